// Reads that wait: answered first, verified, within a bound, and always answered.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

/// Two seeds of 2 MB/s at 40 ms round trip, and a reader whose line takes both.
struct Scene {
  explicit Scene(Format format, std::uint64_t seed, bool on_demand = false,
                 std::uint32_t pieces = 64, std::uint32_t piece_length = 256 << 10,
                 std::uint64_t partial_bytes = 48 << 20)
      : world(Content::make(format, pieces, piece_length), seed),
        s1(world.add<EngineNode>(seeder(2e6))),
        s2(world.add<EngineNode>(seeder(2e6))),
        reader(world.add<EngineNode>(options(on_demand, partial_bytes))) {
    reader.meet({s1.number, s2.number});
  }
  static NodeOptions options(bool on_demand, std::uint64_t partial_bytes) {
    NodeOptions o = node(1e6, 8e6);
    o.config.on_demand = on_demand;
    o.config.partial_bytes = partial_bytes;
    return o;
  }
  void connect() {
    ASSERT_TRUE(world.run_until([&] { return reader.stats().peers == 2; }, 5s));
    world.run_for(200ms);
  }
  bool ends(ReadId read, Duration limit = 70s) {
    return world.run_until([&] { return reader.result(read).ended.has_value(); }, limit);
  }
  World world;
  EngineNode& s1;
  EngineNode& s2;
  EngineNode& reader;
};

constexpr Duration kRtt = 40ms;

TEST(Reads, OnAnIdleLineAReadCostsOneRoundTripAndItsPiece) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v1, seed, true);
    s.connect();
    const ReadId read = s.reader.read(5'000'000, 4096);
    ASSERT_TRUE(s.ends(read));
    ASSERT_TRUE(s.reader.result(read).answered());
    // 256 KiB over two seeds of 2 MB/s take 66 ms; slow start and four requests at first: a few
    // round trips.
    EXPECT_LE(s.reader.result(read).took(), 4 * kRtt + 140ms);
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, AV2ReadIsAnsweredBeforeItsPieceIsComplete) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    // 4 MiB pieces: a whole one takes more than a second from both seeds.
    Scene s(Format::v2, seed, true, 4, 4 << 20);
    s.connect();
    const ReadId read = s.reader.read(5'000'000, 4096);
    ASSERT_TRUE(s.ends(read));
    ASSERT_TRUE(s.reader.result(read).answered());
    EXPECT_FALSE(s.reader.torrent().have().test(PieceIndex(1)));
    EXPECT_LE(s.reader.result(read).took(), 3 * kRtt + 60ms);
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, AreToldOfTheirStartLongBeforeAllOfItIsHere) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v2, seed, true, 4, 4 << 20);
    s.connect();
    // 2 MiB take half a second from both seeds, and their first block no longer than it alone.
    const ReadId read = s.reader.read(5'000'000, 2 << 20);
    ASSERT_TRUE(s.ends(read));
    const auto& result = s.reader.result(read);
    ASSERT_TRUE(result.answered());
    ASSERT_TRUE(result.start_came);
    EXPECT_LE(*result.start_came - result.begun, 3 * kRtt + 60ms);
    EXPECT_GE(*result.ended - *result.start_came, 300ms);
    EXPECT_GE(result.start, (2 << 20) - 4 * kBlockSize) << "told of as it grew";
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, OfAV2FileCostARoundTripAndOneBlock) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v2, seed, true, 4, 4 << 20);
    s.connect();
    Rng rng(seed);
    constexpr int kReads = 20;
    for (int i = 0; i < kReads; ++i) {
      const std::uint64_t block = rng() % (s.world.content->size() / kBlockSize);
      const ReadId read = s.reader.read(block * kBlockSize + 4096, 4096);
      ASSERT_TRUE(s.ends(read));
      ASSERT_TRUE(s.reader.result(read).answered());
      // The block takes 8 ms, its proof nothing to speak of, finding the leaves 2 ms.
      EXPECT_LE(s.reader.result(read).took(), kRtt + 20ms) << "read " << i;
    }
    EXPECT_LE(s.reader.stats().downloaded, kReads * kBlockSize);
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, AreNoSlowerAfterAMinuteOfBackfill) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    // 400 ms of round trip, where the queue of requests must be long, and may not grow.
    World world(Content::make(Format::v2, 128, 256 << 10), seed);
    std::vector<EngineNode*> sources;
    for (int i = 0; i < 2; ++i) {
      NodeOptions o = seeder(0.2e6);
      o.line.delay = 100ms;
      sources.push_back(&world.add<EngineNode>(o));
    }
    NodeOptions mine = node(1e6, 8e6);
    mine.line.delay = 100ms;
    auto& reader = world.add<EngineNode>(mine);
    for (const EngineNode* source : sources) reader.meet(source->number);
    const auto slowest_of_five = [&] {
      Duration worst{};
      Rng rng(seed);
      for (int i = 0; i < 5; ++i) {
        ReadId read{};
        do {
          const auto block = rng() % (world.content->size() / kBlockSize);
          read = reader.read(block * kBlockSize, 4096);
        } while (reader.result(read).ended);  // here already
        EXPECT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 60s));
        worst = std::max(worst, reader.result(read).took());
      }
      return worst;
    };
    world.run_for(6s);
    const Duration early = slowest_of_five();
    world.run_for(55s);
    ASSERT_FALSE(reader.complete());
    const Duration late = slowest_of_five();
    std::printf("seed %llu: %.0f ms early, %.0f ms late\n", static_cast<unsigned long long>(seed),
                to_seconds(early) * 1000, to_seconds(late) * 1000);
    EXPECT_LE(late, early * 3 / 2);
    EXPECT_LE(late, 1200ms);
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Reads, AreAnsweredFirstWhileBackfillFillsTheLine) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v1, seed);
    s.connect();
    s.world.run_for(1s);
    Duration worst{};
    Rng rng(seed);
    for (int i = 0; i < 6; ++i) {
      const ReadId read = s.reader.read(rng() % (s.world.content->size() - 4096), 4096);
      ASSERT_TRUE(s.ends(read));
      ASSERT_TRUE(s.reader.result(read).answered());
      worst = std::max(worst, s.reader.result(read).took());
    }
    std::printf("seed %llu: the slowest of six reads took %.0f ms\n",
                static_cast<unsigned long long>(seed), to_seconds(worst) * 1000);
    // The queues ahead of it (a round trip and a little each), then its piece.
    EXPECT_LE(worst, 4 * kRtt + 300ms);
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, ManyReadersAreAllAnswered) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v2, seed, true);
    s.connect();
    Rng rng(seed);
    for (int i = 0; i < 200; ++i) {
      s.reader.read(rng() % (s.world.content->size() - 70'000), 1 + rng() % 70'000,
                    HandleId(1 + i % 10));
      if (i % 20 == 0) s.world.run_for(30ms);
    }
    EXPECT_TRUE(s.world.run_until([&] { return s.reader.all_reads_ended(); }, 30s));
    EXPECT_EQ(s.reader.stats().waiting_reads, 0U);
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, CancelledOnesAndClosedHandlesEndAndTheRestGoesOn) {
  Scene s(Format::v1, 1, true);
  s.connect();
  const ReadId kept = s.reader.read(0, 4096, HandleId(1));
  const ReadId cancelled = s.reader.read(3 << 20, 4096, HandleId(1));
  const ReadId closed = s.reader.read(5 << 20, 4096, HandleId(2));
  s.world.run_for(10ms);
  s.reader.cancel(cancelled);
  s.reader.close(HandleId(2));
  EXPECT_EQ(s.reader.result(closed).error, ErrorKind::cancelled);
  ASSERT_TRUE(s.ends(kept));
  EXPECT_TRUE(s.reader.result(kept).answered());
  EXPECT_EQ(engine::TorrentProbe::reads(s.reader.torrent()), 0U);
  EXPECT_EQ(s.world.wrong(), "");
}

TEST(Reads, AWindowIsFetchedAndNothingBeyondIt) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v1, seed, true);
    s.connect();
    s.reader.window(PieceIndex(10), PieceIndex(14));
    s.world.run_for(5s);
    for (std::uint32_t i = 0; i < 64; ++i)
      EXPECT_EQ(s.reader.torrent().have().test(PieceIndex(i)), i >= 10 && i < 14) << i;
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Reads, PiecesLikelyToBeReadFirstComeBeforeTheRarest) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, 64, 256 << 10), seed);
    auto& source = world.add<EngineNode>(seeder(1e6));
    NodeOptions o = node(1e6, 8e6);
    o.config.first = {PieceIndex(63), PieceIndex(20)};
    auto& reader = world.add<EngineNode>(o);
    reader.meet(source.number);
    const auto& have = reader.torrent().have();
    ASSERT_TRUE(world.run_until([&] { return have.count() >= 3; }, 30s));
    EXPECT_TRUE(have.test(PieceIndex(63)));
    EXPECT_TRUE(have.test(PieceIndex(20)));
    ASSERT_TRUE(world.run_until([&] { return reader.torrent().complete(); }, 60s));
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Reads, WithoutPeersTimeOut) {
  World world(Content::make(Format::v1, 4, 64 << 10), 1);
  NodeOptions o = node(1e6, 1e6);
  o.config.read_timeout = 20s;
  auto& reader = world.add<EngineNode>(o);
  reader.meet(999);
  const ReadId read = reader.read(0, 4096);
  world.run_for(19s);
  EXPECT_FALSE(reader.result(read).ended);
  world.run_for(2s);
  EXPECT_EQ(reader.result(read).error, ErrorKind::timed_out);
  EXPECT_EQ(world.wrong(), "");
}

TEST(Reads, TimeOutWhenTheOnlyPeerIgnoresRequests) {
  for (const Format format : {Format::v1, Format::v2}) {
    World world(Content::make(format, 4, 64 << 10), 1);
    Script script;
    script.on_request = [](auto&, auto, const auto&) {};
    script.on_hash_request = [](auto&, auto, const auto&) {};
    auto& peer = world.add<ScriptedPeer>(script);
    NodeOptions o = node(1e6, 1e6);
    o.config.read_timeout = 20s;
    auto& reader = world.add<EngineNode>(o);
    reader.meet(peer.number);
    const ReadId read = reader.read(0, 4096);
    world.run_for(21s);
    EXPECT_EQ(reader.result(read).error, ErrorKind::timed_out);
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Reads, SurviveAPeerThatChokesInTheMiddle) {
  for (const bool fast : {true, false}) {
    World world(Content::make(Format::v1, 8, 256 << 10), 1);
    Script script;
    script.fast = fast;
    script.on_request = [](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
      if (self.requests < 5 || self.requests > 20) return self.send_block(socket, block);
      if (self.requests == 5) {
        self.plain(socket, wire::MessageId::choke);
        self.world().timeline.after(2s, [&self, socket] {
          self.requests = 100;
          self.plain(socket, wire::MessageId::unchoke);
        });
      }
    };
    auto& peer = world.add<ScriptedPeer>(script);
    auto& reader = world.add<EngineNode>(node(1e6, 1e6));
    reader.meet(peer.number);
    const ReadId read = reader.read(0, 200'000);
    ASSERT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 10s));
    EXPECT_TRUE(reader.result(read).answered());
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Reads, WaitForTheOnlyHolderToComeBack) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, 16, 256 << 10), seed);
    auto& holder = world.add<EngineNode>(seeder(0.5e6));
    auto& reader = world.add<EngineNode>(node(1e6, 1e6));
    reader.meet(holder.number);
    world.run_for(1s);
    const ReadId read = reader.read(3'000'000, 300'000);
    world.run_for(100ms);
    holder.leave();
    world.run_for(10s);
    EXPECT_FALSE(reader.result(read).ended);
    holder.come_back();
    ASSERT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 59s));
    EXPECT_TRUE(reader.result(read).answered());
    EXPECT_EQ(world.wrong(), "");
  }
}

/// Reads of single leaves leave unfinished pieces behind; memory for them is bounded, and a
/// window must go on getting pieces all the same.
TEST(Reads, OfManySingleLeavesDoNotStarveAWindowForGood) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v2, seed, true, 16, 2 << 20, 8 << 20);  // room for four
    s.connect();
    for (std::uint64_t i = 0; i < 12; ++i) {
      const ReadId read = s.reader.read(i * (2 << 20) + 100'000, 4096);
      ASSERT_TRUE(s.ends(read));
      ASSERT_TRUE(s.reader.result(read).answered());
    }
    EXPECT_LE(engine::TorrentProbe::partials(s.reader.torrent()), 5U);
    s.reader.window(PieceIndex(13), PieceIndex(15));
    s.world.run_for(10s);
    for (std::uint32_t i = 13; i < 15; ++i)
      EXPECT_TRUE(s.reader.torrent().have().test(PieceIndex(i))) << i;
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Disk, WithoutRoomReadsAreStillAnsweredAndBackfillWaits) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    Scene s(Format::v1, seed, false, 128);
    s.reader.set_disk_full(true);
    s.connect();
    s.world.run_for(3s);
    EXPECT_TRUE(s.reader.stats().disk_full);
    const auto stopped_at = s.reader.stats().downloaded;
    s.world.run_for(10s);
    EXPECT_EQ(s.reader.stats().downloaded, stopped_at) << "backfill stops";
    // Far more than what memory keeps.
    for (std::uint64_t i = 0; i < 100; ++i) {
      const ReadId read = s.reader.read(i * (256 << 10), 4096);
      ASSERT_TRUE(s.ends(read));
      EXPECT_TRUE(s.reader.result(read).answered()) << i;
    }
    s.reader.set_disk_full(false);
    for (std::uint64_t i = 0; i < 128; ++i) {
      const ReadId read = s.reader.read(i * (256 << 10), 4096);
      ASSERT_TRUE(s.ends(read));
      EXPECT_TRUE(s.reader.result(read).answered()) << i;
    }
    EXPECT_TRUE(s.world.run_until([&] { return s.reader.complete(); }, 60s)) << "it resumes";
    EXPECT_EQ(s.world.wrong(), "");
  }
}

TEST(Disk, BackfillWaitsWhileThereIsNoRoomToSpare) {
  Scene s(Format::v1, 1);
  s.reader.set_room(false);
  s.connect();
  s.world.run_for(5s);
  EXPECT_EQ(s.reader.stats().downloaded, 0U);
  s.reader.set_room(true);
  EXPECT_TRUE(s.world.run_until([&] { return s.reader.complete(); }, 60s));
  EXPECT_EQ(s.world.wrong(), "");
}

TEST(Disk, ALostPieceIsFetchedAgain) {
  Scene s(Format::v1, 1, true);
  s.connect();
  const ReadId first = s.reader.read(0, 4096);
  ASSERT_TRUE(s.ends(first));
  s.world.run_for(100ms);
  s.reader.lose_piece(PieceIndex(0));
  const ReadId second = s.reader.read(0, 4096);
  ASSERT_TRUE(s.ends(second));
  EXPECT_TRUE(s.reader.result(second).answered());
  EXPECT_EQ(s.world.wrong(), "");
}

/// BEP 54: who is told asks another, and not in vain first.
TEST(Reads, OfAPieceThatASeedHasLostGoToAnother) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, 16, 64 << 10), seed);
    auto& loses = world.add<EngineNode>(seeder(4e6, 10e6, 1ms));
    auto& slow = world.add<EngineNode>(seeder(0.5e6, 10e6, 40ms));
    NodeOptions o = node(1e6, 4e6);
    o.config.on_demand = true;
    auto& reader = world.add<EngineNode>(o);
    reader.meet({loses.number, slow.number});
    world.run_for(2s);
    loses.lose_piece(PieceIndex(7));
    world.run_for(100ms);
    const ReadId read = reader.read(7 * (64 << 10), 64 << 10);
    EXPECT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 20s));
    EXPECT_TRUE(reader.result(read).answered());
    EXPECT_LE(reader.result(read).took(), 1s);
    for (const SentBlock& block : world.sent) {
      if (block.to != reader.number || block.piece != PieceIndex(7)) continue;
      EXPECT_EQ(block.from, slow.number);
    }
    EXPECT_TRUE(world.run_until([&] { return loses.complete(); }, 60s)) << "it fetches it again";
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
