// What the user orders: pause, rate limits, pins and prefetches.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

TorrentConfig on_demand() {
  TorrentConfig config;
  config.on_demand = true;
  return config;
}

std::vector<std::uint32_t> pieces_asked(Rig& rig, PeerId peer) {
  std::vector<std::uint32_t> pieces;
  for (const auto& request : rig.host.got<wire::Request>(peer))
    if (pieces.empty() || pieces.back() != request.block.piece.value)
      pieces.push_back(request.block.piece.value);
  return pieces;
}

/// Serves and hashes until nothing more is asked for.
void finish(Rig& rig, PeerId peer) {
  while (rig.serve(peer) > 0) rig.hash();
}

Layout::PieceRange range(std::uint32_t first, std::uint32_t end) {
  return {PieceIndex(first), PieceIndex(end)};
}

std::vector<Layout::Span> block_of(std::uint32_t piece) { return {{PieceIndex(piece), 0, 1000}}; }

TEST(TorrentPins, ArePiecesThatComeBeforeTheRest) {
  Rig rig(v1_content(16));
  const std::vector pins{range(11, 13), range(4, 5)};
  rig.torrent.set_pinned(pins, rig.now);
  const PeerId seed = rig.seed_peer(1);
  finish(rig, seed);
  const auto asked = pieces_asked(rig, seed);
  ASSERT_EQ(asked.size(), 16U);
  EXPECT_EQ(std::vector(asked.begin(), asked.begin() + 3), (std::vector<std::uint32_t>{11, 12, 4}));
}

TEST(TorrentPins, AreFetchedOnDemandTooAndNothingElseIs) {
  Rig rig(v1_content(16), false, on_demand());
  const PeerId seed = rig.seed_peer(1);
  EXPECT_THAT(pieces_asked(rig, seed), IsEmpty());
  rig.torrent.set_pinned(std::vector{range(5, 8)}, rig.now);
  finish(rig, seed);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{5, 6, 7}));
  rig.torrent.set_pinned({}, rig.now);
  rig.torrent.on_piece_lost(PieceIndex(6), rig.now);
  finish(rig, seed);
  EXPECT_THAT(pieces_asked(rig, seed), SizeIs(3)) << "a piece that is pinned no more";
}

TEST(TorrentPins, AreFetchedAgainWhenTheDiskLosesThem) {
  Rig rig(v1_content(16), false, on_demand());
  const PeerId seed = rig.seed_peer(1);
  rig.torrent.set_pinned(std::vector{range(5, 8)}, rig.now);
  finish(rig, seed);
  rig.torrent.on_piece_lost(PieceIndex(6), rig.now);
  finish(rig, seed);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{5, 6, 7, 6}));
}

TEST(TorrentPins, TakeWhatRoomIsKeptFromBackfillButNothingFromAFullDisk) {
  Rig rig(v1_content(16));
  rig.torrent.set_room_for_backfill(false, rig.now);
  const PeerId seed = rig.seed_peer(1);
  EXPECT_THAT(pieces_asked(rig, seed), IsEmpty());
  rig.torrent.set_pinned(std::vector{range(5, 6)}, rig.now);
  finish(rig, seed);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{5}));
  rig.torrent.on_piece_stored(PieceIndex(5), fail(ErrorKind::no_space, "full"), rig.now);
  rig.torrent.set_pinned(std::vector{range(5, 7)}, rig.now);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{5}));
}

TEST(TorrentPrefetch, FetchesOnceInTheOrderAskedForBeforePins) {
  Rig rig(v1_content(16), false, on_demand());
  rig.torrent.set_pinned(std::vector{range(0, 2)}, rig.now);
  rig.torrent.prefetch(range(9, 12), rig.now);
  rig.torrent.prefetch(range(3, 5), rig.now);
  rig.torrent.prefetch(range(10, 13), rig.now);
  const PeerId seed = rig.seed_peer(1);
  finish(rig, seed);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{9, 10, 11, 3, 4, 12, 0, 1}));
  rig.torrent.on_piece_lost(PieceIndex(10), rig.now);
  finish(rig, seed);
  EXPECT_THAT(pieces_asked(rig, seed), SizeIs(8)) << "once is enough";
}

TEST(TorrentPrefetch, ComesBehindReadersAndTheirWindows) {
  Rig rig(v1_content(32), false, on_demand());
  rig.torrent.prefetch(range(20, 24), rig.now);
  rig.torrent.set_window(HandleId(1), {PieceIndex(3), PieceIndex(5), PieceIndex(5)}, rig.now);
  rig.torrent.add_read(ReadId(1), HandleId(2), block_of(9), rig.now);
  const PeerId seed = rig.seed_peer(1);
  finish(rig, seed);
  EXPECT_EQ(pieces_asked(rig, seed), (std::vector<std::uint32_t>{9, 3, 4, 20, 21, 22, 23}));
}

TEST(TorrentPrefetch, GivesEachPeerAPieceAndLetsAllHelpWithTheLast) {
  Rig rig(v1_content(16), false, on_demand());
  const PeerId a = rig.seed_peer(1), b = rig.seed_peer(2);
  rig.torrent.prefetch(range(5, 8), rig.now);
  // Each has four requests out, a whole piece.
  EXPECT_EQ(pieces_asked(rig, a), (std::vector<std::uint32_t>{5}));
  EXPECT_EQ(pieces_asked(rig, b), (std::vector<std::uint32_t>{6}));
  while (rig.serve(a) > 0 || rig.serve(b) > 0) rig.hash();
  EXPECT_EQ(rig.torrent.have().count(), 3U);
}

TEST(TorrentPause, ClosesEveryConnectionAndTakesAndOpensNone) {
  Rig rig(v1_content());
  const PeerId seed = rig.seed_peer(1);
  EXPECT_THAT(pieces_asked(rig, seed), testing::Not(IsEmpty()));
  rig.torrent.pause(rig.now);
  EXPECT_TRUE(rig.closed(seed));
  EXPECT_TRUE(rig.torrent.stats(rig.now).paused);
  EXPECT_FALSE(rig.torrent.add_peer(address(2), rig.handshake(2), 20ms, rig.now));
  const Endpoint other = address(3);
  rig.torrent.add_candidates({&other, 1}, PeerSource::tracker, rig.now);
  rig.pass(10min);
  EXPECT_THAT(rig.host.dialled, IsEmpty());
  EXPECT_EQ(rig.host.peers_needed, 0U);
}

TEST(TorrentPause, GoesOnAtOnceWithThePeersItHad) {
  Rig rig(v1_content());
  const std::array<Endpoint, 2> peers{address(1), address(2)};
  rig.torrent.add_candidates(peers, PeerSource::tracker, rig.now);
  ASSERT_THAT(rig.host.dialled, SizeIs(2));
  const auto seed = rig.torrent.add_peer(address(1), std::nullopt, 20ms, rig.now);
  Bytes out;
  wire::append_handshake(out, rig.handshake(1));
  rig.say(*seed, out);
  rig.torrent.pause(rig.now);
  // The other one is reached only then.
  EXPECT_FALSE(rig.torrent.add_peer(address(2), std::nullopt, 20ms, rig.now));
  rig.pass(1s);
  rig.torrent.resume(rig.now);
  EXPECT_THAT(rig.host.dialled, SizeIs(4));
  EXPECT_EQ(rig.host.peers_needed, 1U);
}

TEST(TorrentPause, ReadsOfWhatIsNotHereTimeOutAndSayWhy) {
  Rig rig(v1_content());
  const PeerId seed = rig.seed_peer(1);
  finish(rig, seed);
  rig.torrent.on_piece_lost(PieceIndex(3), rig.now);
  rig.torrent.pause(rig.now);
  rig.torrent.add_read(ReadId(1), HandleId(1), block_of(0), rig.now);
  EXPECT_THAT(rig.host.ready, SizeIs(1)) << "what is here can be read";
  rig.torrent.add_read(ReadId(2), HandleId(1), block_of(3), rig.now);
  const std::array asked{ReadId(2)};
  EXPECT_EQ(rig.torrent.explain(asked, rig.now).reads.at(0).cause, WaitCause::paused);
  rig.pass(59s);
  EXPECT_THAT(rig.host.failed, IsEmpty());
  rig.pass(2s);
  ASSERT_TRUE(rig.host.failed.contains(ReadId(2)));
  EXPECT_EQ(rig.host.failed.at(ReadId(2)).kind, ErrorKind::timed_out);
  EXPECT_EQ(rig.host.ended.at(ReadId(2)).longest(rig.now).cause, WaitCause::paused);
}

TEST(TorrentPause, AReadThatWaitedIsAnsweredAfterwards) {
  Rig rig(v1_content(), false, on_demand());
  rig.torrent.pause(rig.now);
  rig.torrent.add_read(ReadId(1), HandleId(1), block_of(3), rig.now);
  rig.pass(30s);
  rig.torrent.resume(rig.now);
  finish(rig, rig.seed_peer(1));
  EXPECT_THAT(rig.host.ready, SizeIs(1));
}

/// For so long, a peer is served whatever it is asked for at once: the bytes it was asked for.
std::uint64_t fetched_in(Rig& rig, PeerId peer, Duration time) {
  const std::uint64_t before = rig.torrent.totals().downloaded;
  const TimePoint end = rig.now + time;
  while (rig.now < end) {
    rig.serve(peer);
    rig.hash();
    rig.pass(5ms);
  }
  return rig.torrent.totals().downloaded - before;
}

TEST(TorrentLimits, RequestsAreMadeAsFastAsIsAllowed) {
  TorrentConfig config;
  config.limits.down_bps = 1'000'000;
  Rig rig(v1_content(400), false, config);
  const PeerId seed = rig.seed_peer(1);
  EXPECT_NEAR(static_cast<double>(fetched_in(rig, seed, 5s)), 5e6, 0.05 * 5e6);
  rig.torrent.set_limits({2'000'000, 0}, rig.now);
  EXPECT_NEAR(static_cast<double>(fetched_in(rig, seed, 5s)), 10e6, 0.05 * 10e6);
}

TEST(TorrentLimits, AVeryLowOneMakesProgressAndBlamesNobody) {
  TorrentConfig config;
  config.limits.down_bps = 1024;
  Rig rig(v1_content(64), false, config);
  const PeerId a = rig.seed_peer(1), b = rig.seed_peer(2);
  Bytes keep_alive;
  wire::append_keep_alive(keep_alive);
  std::uint64_t blocks = 0;
  for (int i = 0; i < 160 * 20; ++i) {
    if (i % 1000 == 0)
      for (const PeerId peer : {a, b}) rig.say(peer, keep_alive);
    blocks += rig.serve(a) + rig.serve(b);
    rig.pass(50ms);
  }
  EXPECT_GE(blocks, 9U);
  EXPECT_LE(blocks, 12U);
  EXPECT_FALSE(rig.closed(a) || rig.closed(b));
  EXPECT_EQ(rig.torrent.stats(rig.now).wasted, 0U);
}

TEST(TorrentLimits, AReaderDoesNotWaitUnlessItIsToldTo) {
  for (const bool exempt : {true, false}) {
    TorrentConfig config;
    config.limits = {1024, 0, exempt};
    Rig rig(v1_content(64), false, config);
    const PeerId seed = rig.seed_peer(1);
    rig.serve(seed);
    const std::size_t before = rig.host.got<wire::Request>(seed).size();
    rig.torrent.add_read(ReadId(1), HandleId(1), block_of(9), rig.now);
    const auto asked = rig.host.got<wire::Request>(seed);
    EXPECT_EQ(asked.size() > before, exempt);
    const std::array read{ReadId(1)};
    if (exempt) {
      EXPECT_EQ(asked.back().block.piece, PieceIndex(9));
      continue;
    }
    EXPECT_EQ(rig.torrent.explain(read, rig.now).reads.at(0).cause, WaitCause::limited);
    rig.pass(17s);
    EXPECT_EQ(rig.host.got<wire::Request>(seed).back().block.piece, PieceIndex(9));
  }
}

TEST(TorrentLimits, TheWindowOfAReaderThatWaitsIsExemptAndThatOfOneThatDoesNotIsNot) {
  TorrentConfig config = on_demand();
  config.limits.down_bps = 1024;
  Rig rig(v1_content(64), false, config);
  const PeerId seed = rig.seed_peer(1);
  rig.torrent.set_window(HandleId(1), {PieceIndex(20), PieceIndex(60), PieceIndex(60)}, rig.now);
  const std::size_t before = rig.host.got<wire::Request>(seed).size();
  EXPECT_LE(before, 1U);
  rig.torrent.add_read(ReadId(1), HandleId(1), block_of(20), rig.now);
  finish(rig, seed);
  EXPECT_TRUE(rig.torrent.have().test(PieceIndex(20)));
  EXPECT_FALSE(rig.torrent.have().test(PieceIndex(40))) << "it has its bytes and waits no more";
}

TEST(TorrentLimits, WhatIsTakenBackMayBeAskedOfAnother) {
  TorrentConfig config;
  config.limits.down_bps = 1'000'000;
  Rig rig(v1_content(400), false, config);
  const PeerId a = rig.seed_peer(1), b = rig.seed_peer(2);
  rig.pass(1s);
  const std::size_t with_b = rig.host.got<wire::Request>(b).size();
  rig.plain(a, MessageId::choke);
  rig.serve(b);
  rig.pass(100ms);
  EXPECT_GT(rig.host.got<wire::Request>(b).size(), with_b);
}

/// Asks for blocks of the first pieces, as many as may be queued.
void ask_for_much(Rig& rig, PeerId peer) {
  rig.plain(peer, MessageId::interested);
  for (std::uint32_t piece = 0; piece < 300; ++piece)
    for (std::uint32_t b = 0; b < 4; ++b)
      rig.block_ref(peer, MessageId::request, {PieceIndex(piece), b * kBlockSize, kBlockSize});
}

TEST(TorrentLimits, UploadsKeepToTheirRateAndPeersTakeTurns) {
  TorrentConfig config;
  config.limits.up_bps = 1'000'000;
  Rig rig(v1_content(400), true, config);
  const PeerId a = rig.accept(1), b = rig.accept(2);
  for (const PeerId peer : {a, b}) rig.plain(peer, MessageId::have_none);
  ask_for_much(rig, a);
  ask_for_much(rig, b);
  std::map<PeerId, std::size_t> sent;
  for (const TimePoint end = rig.now + 5s; rig.now < end; rig.pass(5ms))
    for (const PeerId peer : {a, b})
      for (; sent[peer] < rig.host.peers[peer].blocks.size(); ++sent[peer])
        rig.torrent.on_block_sent(peer, rig.host.peers[peer].blocks[sent[peer]], true, rig.now);
  const double bytes = static_cast<double>((sent[a] + sent[b]) * kBlockSize);
  EXPECT_NEAR(bytes, 5e6, 0.05 * 5e6);
  // What was saved up went to the first alone.
  EXPECT_NEAR(static_cast<double>(sent[a]), static_cast<double>(sent[b]), 10);
}

}  // namespace
}  // namespace swarmfs::engine
