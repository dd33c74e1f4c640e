// Peers that lie, stall, flood or refuse, beside one honest seed: everything completes, the damage
// is bounded, and who can be convicted is out.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

constexpr std::uint32_t kPieces = 24;

/// An honest slow seed, a fast liar, and one reader of the whole.
struct Case {
  Case(Format format, std::uint64_t seed, Script script)
      : world(Content::make(format, kPieces, 128 << 10), seed),
        honest(world.add<EngineNode>(seeder(1e6))),
        liar(world.add<ScriptedPeer>(faster(std::move(script)))),
        reader(world.add<EngineNode>(node(1e6, 4e6))) {
    reader.meet({honest.number, liar.number});
  }
  static Script faster(Script script) {
    script.line = {3e6, 10e6, 5ms, {}, 0};
    return script;
  }
  bool finish(Duration limit = 120s) {
    return world.run_until([this] { return reader.complete(); }, limit);
  }
  World world;
  EngineNode& honest;
  ScriptedPeer& liar;
  EngineNode& reader;
};

class LiarTest : public testing::TestWithParam<Format> {};

TEST_P(LiarTest, WhoAlwaysSendsCorruptBlocksIsOutAfterTwoBadPieces) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.send_block(socket, block, true);
    };
    Case c(GetParam(), seed, script);
    EXPECT_TRUE(c.finish());
    EXPECT_EQ(c.world.wrong(), "");
    EXPECT_EQ(c.reader.stats().banned, 1U);
    EXPECT_FALSE(c.liar.connected());
    EXPECT_LE(c.reader.stats().failed_pieces, 2U);
    EXPECT_EQ(c.liar.connections, 1U) << "the banned are not dialled again";
  }
}

TEST_P(LiarTest, WhoSometimesSendsACorruptBlockIsOutAndTheHonestStay) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.send_block(socket, block, self.world().rng() % 20 == 0);
    };
    Case c(GetParam(), seed, script);
    EXPECT_TRUE(c.finish());
    EXPECT_EQ(c.world.wrong(), "");
    EXPECT_EQ(c.reader.stats().banned, c.reader.stats().failed_pieces > 0 ? 1U : 0U);
    EXPECT_EQ(c.reader.warnings().size(), c.reader.stats().failed_pieces + c.reader.stats().banned);
    EXPECT_LE(c.reader.stats().failed_pieces, 3U);
  }
}

TEST_P(LiarTest, OneBadBlockIndexIsFoundOut) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.send_block(socket, block, block.begin == 3 * kBlockSize);
    };
    Case c(GetParam(), seed, script);
    EXPECT_TRUE(c.finish());
    EXPECT_EQ(c.world.wrong(), "");
    EXPECT_EQ(c.reader.stats().banned, 1U);
    EXPECT_LE(c.reader.stats().failed_pieces, 3U);
  }
}

/// With reads waiting, a piece is striped over both peers: only comparison finds the liar.
TEST_P(LiarTest, InStripedPiecesTheLiarIsToldFromTheHonest) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.send_block(socket, block, true);
    };
    Case c(GetParam(), seed, script);
    ASSERT_TRUE(c.world.run_until([&] { return c.reader.stats().peers == 2; }, 5s));
    const ReadId read = c.reader.read(0, 1 << 20);
    EXPECT_TRUE(c.finish());
    EXPECT_TRUE(c.reader.result(read).answered());
    EXPECT_EQ(c.reader.stats().banned, 1U);
    EXPECT_FALSE(c.liar.connected());
    EXPECT_EQ(c.world.wrong(), "");
  }
}

TEST_P(LiarTest, WhoStallsAfterItsUnchokeCostsNoMoreThanTheBlockTimeout) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto&, auto, const auto&) {};
    Case c(GetParam(), seed, script);
    ASSERT_TRUE(c.world.run_until([&] { return c.reader.stats().peers == 2; }, 5s));
    const ReadId read = c.reader.read(0, 256 << 10);
    EXPECT_TRUE(c.finish(40s));
    EXPECT_TRUE(c.reader.result(read).answered());
    EXPECT_EQ(c.world.wrong(), "");
  }
}

TEST_P(LiarTest, WhoStallsInTheMiddleOfABlockCostsNoMoreThanTheBlockTimeout) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      if (self.requests > 5) return;
      Bytes out;
      wire::append_piece_header(out, block);
      const auto length = self.requests == 5 ? block.length / 2 : block.length;
      append(out, self.world().content->at(block.piece, block.begin, length));
      self.send(socket, std::move(out));
    };
    Case c(GetParam(), seed, script);
    EXPECT_TRUE(c.finish(40s));
    EXPECT_EQ(c.world.wrong(), "");
  }
}

/// It never falls silent, so only the one block's age can tell.
TEST_P(LiarTest, WhoAnswersAllButSomeBlocksDoesNotHoldUpAReader) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      if (block.begin != 0) self.send_block(socket, block);
    };
    Case c(GetParam(), seed, script);
    ASSERT_TRUE(c.world.run_until([&] { return c.reader.stats().peers == 2; }, 5s));
    for (std::uint64_t i = 0; i < 8; ++i) {
      const ReadId read = c.reader.read(i * 3 * (128 << 10), 4096);
      ASSERT_TRUE(c.world.run_until([&] { return c.reader.result(read).ended.has_value(); }, 70s));
      EXPECT_TRUE(c.reader.result(read).answered());
      EXPECT_LE(c.reader.result(read).took(), 3s);
    }
    EXPECT_TRUE(c.finish(60s));
    EXPECT_EQ(c.world.wrong(), "");
  }
}

TEST_P(LiarTest, WhoClaimsAllAndRejectsEverythingIsDisbelieved) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.reject(socket, block);
    };
    Case c(GetParam(), seed, script);
    EXPECT_TRUE(c.finish(30s));
    EXPECT_LE(c.liar.requests, kPieces * 8) << "a piece refused is not asked for again";
    EXPECT_EQ(c.world.wrong(), "");
  }
}

TEST_P(LiarTest, WhoServesAnotherTorrentIsDropped) {
  Script script;
  script.another_torrent = true;
  Case c(GetParam(), 1, script);
  EXPECT_TRUE(c.finish(30s));
  EXPECT_EQ(c.liar.requests, 0U);
  EXPECT_FALSE(c.liar.connected());
  EXPECT_EQ(c.world.wrong(), "");
}

TEST_P(LiarTest, WhoFloodsIsDropped) {
  Script script;
  script.unchokes = false;
  script.on_greeted = [](ScriptedPeer& self, SocketId socket) {
    for (std::uint32_t i = 0; i < 6000; ++i)
      self.send_block(socket, {PieceIndex(i % kPieces), 0, kBlockSize}, true);
  };
  Case c(GetParam(), 1, script);
  EXPECT_TRUE(c.finish(60s));
  c.world.run_for(60s);
  EXPECT_FALSE(c.liar.connected());
  EXPECT_EQ(c.world.wrong(), "");
}

TEST_P(LiarTest, WhoNamesWhatDoesNotExistIsDroppedAndHarmsNobody) {
  using wire::MessageId;
  const std::vector<std::function<void(Bytes&)>> messages = {
      [](Bytes& out) { wire::append_indexed(out, MessageId::have, PieceIndex(kPieces)); },
      [](Bytes& out) { wire::append_indexed(out, MessageId::have, PieceIndex(0xffffffff)); },
      [](Bytes& out) { wire::append_indexed(out, MessageId::suggest, PieceIndex(0x80000000)); },
      [](Bytes& out) {
        wire::append_indexed(out, MessageId::allowed_fast, PieceIndex(0xffffffff));
      },
      [](Bytes& out) {
        wire::append_block_ref(out, MessageId::request, {PieceIndex(0xffffffff), 0, kBlockSize});
      },
      [](Bytes& out) {
        wire::append_block_ref(out, MessageId::request, {PieceIndex(0), 0xffffffff, kBlockSize});
      },
      [](Bytes& out) {
        wire::append_block_ref(out, MessageId::request, {PieceIndex(0), 0, 0xffffffff});
      },
      [](Bytes& out) {
        wire::append_piece_header(out, {PieceIndex(0xfffffffe), 0xffffffff, 16});
        out.resize(out.size() + 16);
      },
      [](Bytes& out) { append_be<std::uint32_t>(out, 0xffffffff); },
      [](Bytes& out) { wire::append_bitfield(out, Bytes(1)); },
      [](Bytes& out) { wire::append_plain(out, MessageId::have_all); },
  };
  for (std::size_t i = 0; i < messages.size(); ++i) {
    SCOPED_TRACE("message " + std::to_string(i));
    Script script;
    script.on_greeted = [&](ScriptedPeer& self, SocketId socket) {
      Bytes out;
      messages[i](out);
      self.send(socket, std::move(out));
    };
    script.on_request = [](auto&, auto, const auto&) {};
    Case c(GetParam(), 1, script);
    EXPECT_TRUE(c.finish(30s));
    EXPECT_FALSE(c.liar.connected());
    EXPECT_EQ(c.world.wrong(), "");
  }
}

/// Rejects and cancels of what was never asked, and hashes nobody wants: no harm, no drop needed.
TEST_P(LiarTest, AnswersToWhatNobodyAskedAreIgnored) {
  Script script;
  script.on_greeted = [](ScriptedPeer& self, SocketId socket) {
    Bytes out;
    for (std::uint32_t i = 0; i < 100; ++i) {
      const wire::BlockRef block{PieceIndex(0xfffffff0 + i), i, i};
      wire::append_block_ref(out, wire::MessageId::reject, block);
      wire::append_block_ref(out, wire::MessageId::cancel, block);
      wire::append_hash_ref(out, wire::MessageId::hash_reject, {});
      wire::append_hashes(out, {}, {});
    }
    self.send(socket, std::move(out));
  };
  Case c(GetParam(), 1, script);
  EXPECT_TRUE(c.finish(30s));
  EXPECT_EQ(c.world.wrong(), "");
}

TEST_P(LiarTest, WhoChokesAndUnchokesAllTheTimeDoesNotStopTheDownload) {
  for (const auto seed : seeds(2)) {
    for (const bool fast : {true, false}) {
      SCOPED_TRACE(replay(seed));
      Script script;
      script.fast = fast;
      script.on_request = [](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
        if (self.requests % 7 != 0) return self.send_block(socket, block);
        self.plain(socket, wire::MessageId::choke);
        self.world().timeline.after(
            50ms, [&self, socket] { self.plain(socket, wire::MessageId::unchoke); });
      };
      Case c(GetParam(), seed, script);
      EXPECT_TRUE(c.finish(30s));
      EXPECT_EQ(c.world.wrong(), "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LiarTest, testing::Values(Format::v1, Format::v2),
                         [](const auto& instance) {
                           return instance.param == Format::v1 ? "V1" : "V2";
                         });

TEST(Liars, WithLeafHashesOneBadBlockIsEnough) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.unchoke_after = 300ms;  // the leaves are known by then
    script.on_request = [](auto& self, auto socket, const auto& block) {
      self.send_block(socket, block, true);
    };
    Case c(Format::v2, seed, script);
    ASSERT_TRUE(c.world.run_until([&] { return c.reader.stats().peers == 2; }, 5s));
    const ReadId read = c.reader.read(0, 2 << 20);
    EXPECT_TRUE(c.finish());
    EXPECT_TRUE(c.reader.result(read).answered());
    EXPECT_EQ(c.reader.stats().banned, 1U);
    EXPECT_EQ(c.reader.stats().failed_pieces, 0U);
    EXPECT_EQ(c.world.wrong(), "");
  }
}

TEST(Liars, WrongHashesGetTheirSenderBanned) {
  Script script;
  script.line.delay = 1ms;
  script.on_hash_request = [](ScriptedPeer& self, SocketId socket, const wire::HashRef& ref) {
    Bytes out;
    wire::append_hashes(out, ref, std::vector<Sha256Hash>(ref.length));
    self.send(socket, std::move(out));
  };
  Case c(Format::v2, 1, script);
  c.reader.read(0, 4096);
  EXPECT_TRUE(c.finish());
  c.world.run_for(1s);
  EXPECT_EQ(c.reader.stats().banned, 1U);
  EXPECT_EQ(c.world.wrong(), "");
}

/// The manifest of a hybrid lies, and the peers do not.
TEST(Liars, AManifestThatContradictsItselfStopsTheTorrentAndNobodyIsBanned) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::hybrid, kPieces, 128 << 10), seed);
    auto& one = world.add<EngineNode>(seeder(2e6));
    auto& two = world.add<EngineNode>(seeder(2e6));
    NodeOptions o = node(1e6, 4e6);
    auto manifest = std::make_shared<metainfo::Metainfo>(*world.content->metainfo());
    manifest->piece_hashes[kPieces / 2][0] ^= 1;
    o.metainfo = manifest;
    auto& reader = world.add<EngineNode>(o);
    reader.meet({one.number, two.number});
    const ReadId read = reader.read(kPieces / 2 * (128 << 10), 100'000);
    EXPECT_TRUE(world.run_until([&] { return reader.torrent().contradicted(); }, 60s));
    world.run_for(1s);
    const Duration begun = world.now().time_since_epoch();
    const ReadId later = reader.read((kPieces / 2 + 0.5) * (128 << 10), 4096);
    EXPECT_EQ(reader.result(later).error, ErrorKind::mismatch);
    EXPECT_EQ(reader.result(later).ended->time_since_epoch(), begun) << "at once";
    EXPECT_TRUE(reader.result(read).ended);
    EXPECT_EQ(reader.stats().banned, 0U);
    EXPECT_EQ(reader.warnings().size(), 1U);
    EXPECT_EQ(reader.stats().peers, 0U);
    const auto timers = reader.timer_events();
    const unsigned dials = reader.dials();
    world.run_for(1000s);
    EXPECT_LE(reader.timer_events(), timers + 1);
    EXPECT_EQ(reader.dials(), dials);
    EXPECT_EQ(world.wrong(), "");
  }
}

/// A piece that failed must come from one peer alone; if that one stalls, another gets it.
TEST(Liars, APieceOnProbationOutlivesAPeerThatStalls) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Script script;
    script.on_request = [](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
      // One bad block in the first piece asked for, then silence.
      if (self.requests <= 10) self.send_block(socket, block, self.requests == 1);
    };
    Case c(Format::v1, seed, script);
    ASSERT_TRUE(c.world.run_until([&] { return c.reader.stats().peers == 2; }, 5s));
    const ReadId read = c.reader.read(0, 128 << 10);
    EXPECT_TRUE(c.finish(60s));
    EXPECT_TRUE(c.reader.result(read).answered());
    EXPECT_EQ(c.world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
