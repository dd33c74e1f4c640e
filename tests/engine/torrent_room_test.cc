// engine::Torrent with all connections taken: whose place a newcomer gets, and whose it does not.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

constexpr Duration kLong = limits::kIdleBeforeRoom + 1s;

TorrentConfig places(unsigned n) {
  TorrentConfig config;
  config.peer_book.max_connections = n;
  return config;
}

struct RoomRig : Rig {
  RoomRig(unsigned n, bool seed) : Rig(v1_content(), seed, places(n)) {}
  bool come(const Endpoint& from, unsigned n) {
    return torrent.add_peer(from, handshake(n), 20ms, now).has_value();
  }
  bool come(unsigned n) { return come(address(n), n); }
  /// A peer without pieces and without a wish.
  PeerId idle(unsigned n) {
    const PeerId id = accept(n);
    plain(id, MessageId::have_none);
    return id;
  }
  std::size_t gone(const std::vector<PeerId>& peers) {
    return static_cast<std::size_t>(
        std::count_if(peers.begin(), peers.end(), [&](PeerId p) { return closed(p); }));
  }
};

TEST(TorrentRoom, WhoIsIdleForLongestGivesWay) {
  RoomRig rig(3, true);
  const PeerId busy = rig.idle(1);
  rig.pass(1s);
  const PeerId first = rig.idle(2);
  rig.pass(1s);
  const PeerId second = rig.idle(3);
  EXPECT_FALSE(rig.come(4)) << "nobody is idle for long enough";
  // The oldest has had something meanwhile.
  rig.pass(20s);
  rig.plain(busy, MessageId::interested);
  rig.block_ref(busy, MessageId::request, {PieceIndex(0), 0, kBlockSize});
  ASSERT_THAT(rig.host.peers[busy].blocks, SizeIs(1));
  rig.torrent.on_block_sent(busy, rig.host.peers[busy].blocks[0], true, rig.now);
  rig.plain(busy, MessageId::not_interested);
  rig.pass(kLong - 20s);
  EXPECT_TRUE(rig.come(5));
  EXPECT_TRUE(rig.closed(first));
  EXPECT_FALSE(rig.closed(busy) || rig.closed(second));
  rig.pass(2s);
  EXPECT_TRUE(rig.come(6));
  EXPECT_TRUE(rig.closed(second));
  rig.pass(2s);
  EXPECT_FALSE(rig.come(7)) << "newcomers are given their time too";
  EXPECT_FALSE(rig.closed(busy));
}

TEST(TorrentRoom, NobodyThatWantsOrIsWantedGivesWay) {
  RoomRig taker(1, true);
  const PeerId interested = taker.idle(1);
  taker.plain(interested, MessageId::interested);
  taker.pass(kLong);
  EXPECT_FALSE(taker.come(2));
  EXPECT_FALSE(taker.closed(interested));

  RoomRig giver(1, false);
  const PeerId useful = giver.accept(1);
  giver.indexed(useful, MessageId::have, PieceIndex(1));
  giver.pass(kLong);
  EXPECT_FALSE(giver.come(2));
  EXPECT_FALSE(giver.closed(useful));

  // It has gone quiet with a request in flight and says that it wants no more.
  RoomRig asked(1, true);
  const PeerId owed = asked.idle(1);
  asked.plain(owed, MessageId::interested);
  asked.block_ref(owed, MessageId::request, {PieceIndex(0), 0, kBlockSize});
  ASSERT_THAT(asked.host.peers[owed].blocks, SizeIs(1));
  asked.plain(owed, MessageId::not_interested);
  asked.pass(kLong);
  EXPECT_FALSE(asked.come(2)) << "a block of ours is still under way";
  asked.torrent.on_block_sent(owed, {PieceIndex(0), 0, kBlockSize}, true, asked.now);
  asked.pass(kLong);
  EXPECT_TRUE(asked.come(2));
  EXPECT_TRUE(asked.closed(owed));
}

TEST(TorrentRoom, WhoTheUserNamedStays) {
  for (const PeerSource source : {PeerSource::user, PeerSource::tracker}) {
    RoomRig rig(1, false);
    const Endpoint to[] = {address(1)};
    rig.torrent.add_candidates(to, source, rig.now);
    ASSERT_THAT(rig.host.dialled, SizeIs(1));
    const auto peer = rig.torrent.add_peer(address(1), std::nullopt, 20ms, rig.now);
    Bytes out;
    wire::append_handshake(out, rig.handshake(1));
    wire::append_plain(out, MessageId::have_none);
    rig.say(*peer, out);
    rig.pass(kLong);
    EXPECT_EQ(rig.come(2), source != PeerSource::user);
    EXPECT_EQ(rig.closed(*peer), source != PeerSource::user);
  }
}

TEST(TorrentRoom, OneHostDisplacesOnePeerHoweverOftenItComes) {
  RoomRig rig(10, true);
  std::vector<PeerId> good;
  for (unsigned n = 1; n <= 10; ++n) good.push_back(rig.idle(n));
  rig.pass(kLong);
  Endpoint flood = address(500);
  std::optional<PeerId> in;
  for (unsigned i = 0; i < 200; ++i) {
    flood.port = static_cast<std::uint16_t>(2000 + i);
    const auto got = rig.torrent.add_peer(flood, rig.handshake(1000 + i), 20ms, rig.now);
    if (i % 3 == 2 && in) {  // it leaves and comes back at once
      rig.torrent.on_closed(*in, rig.now);
      in.reset();
    } else if (got) {
      in = got;
    }
    for (const PeerId peer : good)
      if (!rig.closed(peer)) rig.say(peer, Bytes(4));  // keep-alives
    rig.pass(2s);
  }
  EXPECT_EQ(rig.gone(good), 1U);
}

TEST(TorrentRoom, AnIPv6HostIsItsWholeNetwork) {
  RoomRig rig(4, true);
  std::vector<PeerId> good;
  for (unsigned n = 1; n <= 4; ++n) good.push_back(rig.idle(n));
  rig.pass(kLong);
  unsigned taken = 0;
  for (unsigned i = 0; i < 20; ++i) {
    const auto from = IpAddress::parse("2a00:1:2:3::" + std::to_string(i + 1)).value();
    taken += rig.come({from, 6881}, 600 + i);
    rig.pass(2s);
  }
  EXPECT_EQ(taken, 1U);
  EXPECT_TRUE(rig.come({IpAddress::parse("2a00:1:2:4::1").value(), 6881}, 700));
  EXPECT_EQ(rig.gone(good), 2U);
}

TEST(TorrentRoom, ManyHostsAtOnceGainOnePlaceASecond) {
  RoomRig rig(20, true);
  std::vector<PeerId> good;
  for (unsigned n = 1; n <= 20; ++n) good.push_back(rig.idle(n));
  rig.pass(kLong);
  unsigned n = 300;
  for (unsigned tick = 0; tick < 50; ++tick) {
    for (unsigned i = 0; i < 10; ++i) rig.come(n++);
    rig.pass(100ms);
  }
  EXPECT_GE(rig.gone(good), 4U);
  EXPECT_LE(rig.gone(good), 6U);
}

TEST(TorrentRoom, OneAtATimeIsDialledWhileSomethingIsMissing) {
  for (const bool seed : {false, true}) {
    RoomRig rig(2, seed);
    const PeerId first = rig.idle(1);
    rig.idle(2);
    std::vector<Endpoint> known;
    for (unsigned n = 10; n < 20; ++n) known.push_back(address(n));
    rig.torrent.add_candidates(known, PeerSource::tracker, rig.now);
    EXPECT_THAT(rig.host.dialled, IsEmpty());
    rig.pass(kLong + 10s);
    if (seed) {
      EXPECT_THAT(rig.host.dialled, IsEmpty()) << "a seed waits to be asked";
      continue;
    }
    ASSERT_THAT(rig.host.dialled, SizeIs(1));
    EXPECT_FALSE(rig.closed(first)) << "not before the other is there";
    EXPECT_TRUE(rig.torrent.add_peer(rig.host.dialled[0], std::nullopt, 20ms, rig.now));
    EXPECT_TRUE(rig.closed(first));
    EXPECT_THAT(rig.host.dialled, SizeIs(1));
  }
}

}  // namespace
}  // namespace swarmfs::engine
