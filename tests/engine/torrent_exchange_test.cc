// engine::Torrent and peers that tell of peers (BEP 11), and a private torrent's peers (BEP 27).
#include "swarm/engine/torrent_limits.h"
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

constexpr std::uint8_t kTheirId = 7;

TorrentConfig exchanging() {
  TorrentConfig config;
  config.exchange_peers = true;
  return config;
}

TestContent private_content() {
  TestContent content = v1_content();
  auto metainfo = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  metainfo->is_private = true;
  content.metainfo = metainfo;
  return content;
}

/// Says in an extension handshake that ut_pex is wanted, and where we listen.
void wants_peers(Rig& rig, PeerId peer, std::uint16_t port = 7000) {
  wire::ExtensionHandshake h;
  h.ids.ut_pex = kTheirId;
  h.port = port;
  Bytes out;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(h));
  rig.say(peer, out);
}

std::vector<wire::PexMessage> told(Rig& rig, PeerId peer) {
  std::vector<wire::PexMessage> out;
  for (const Bytes& body : rig.host.peers[peer].bodies)
    if (body.size() > 2 && body[0] == 20 && body[1] == kTheirId)
      out.push_back(wire::parse_pex(ByteView(body).subspan(2)).value());
  return out;
}

void tell(Rig& rig, PeerId from, const std::vector<Endpoint>& endpoints) {
  wire::PexMessage message;
  for (const Endpoint& endpoint : endpoints) message.added.push_back({endpoint, 0});
  Bytes out;
  wire::append_extended(out, limits::kPexId, wire::encode(message));
  rig.say(from, out);
}

/// Of the last extension handshake that a peer got.
wire::ExtensionIds our_ids(Rig& rig, PeerId peer) {
  wire::ExtensionIds ids;
  for (const auto& message : rig.host.got<wire::Extended>(peer))
    if (message.id == wire::kExtensionHandshakeId)
      ids = wire::parse_extension_handshake(message.payload).value().ids;
  return ids;
}

TEST(TorrentExchange, APeerThatMovesItsPortIsToldOfAtTheNewOne) {
  Rig rig(v1_content(), false, exchanging());
  const PeerId a = rig.accept(1);
  const PeerId b = rig.accept(2);
  wants_peers(rig, a, 7001);
  wants_peers(rig, b, 7002);
  rig.pass(5s);
  wants_peers(rig, b, 7003);
  rig.pass(2min);
  const auto messages = told(rig, a);
  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[1].added, (std::vector<wire::PexPeer>{{{address(2).address, 7003}, 0}}));
  EXPECT_EQ(messages[1].dropped, (std::vector<Endpoint>{{address(2).address, 7002}}));
  const std::size_t known = rig.torrent.explain({}, rig.now).known;
  for (std::uint16_t port = 8000; port < 8100; ++port) wants_peers(rig, b, port);
  EXPECT_LE(rig.torrent.explain({}, rig.now).known, known + 8) << "it filled the book";
}

TEST(TorrentExchange, PeersThatAreHereHearOfPortsThatHaveMoved) {
  TorrentConfig config = exchanging();
  config.listen_port = 6000;
  config.dht_port = 6001;
  Rig rig(v1_content(), false, config);
  wire::Handshake with_node = rig.handshake(1);
  with_node.dht = true;
  const PeerId a = *rig.torrent.add_peer(address(1), with_node, 20ms, rig.now);
  const PeerId b = rig.accept(2);  // knows nothing of the hash table
  const auto ports = [&](PeerId peer) {
    std::vector<int> out;
    for (const auto& message : rig.host.got<wire::Extended>(peer))
      if (message.id == wire::kExtensionHandshakeId)
        out.push_back(wire::parse_extension_handshake(message.payload).value().port.value_or(0));
    for (const auto& message : rig.host.got<wire::Port>(peer)) out.push_back(message.port);
    return out;
  };
  EXPECT_THAT(ports(a), testing::ElementsAre(6000, 6001));
  rig.torrent.set_ports(6000, 6001, rig.now);
  EXPECT_THAT(ports(a), testing::ElementsAre(6000, 6001)) << "nothing new, nothing said";
  rig.torrent.set_ports(7000, 7001, rig.now);
  EXPECT_THAT(ports(a), testing::ElementsAre(6000, 7000, 6001, 7001));
  EXPECT_THAT(ports(b), testing::ElementsAre(6000, 7000));
}

TEST(TorrentExchange, OneNodeOfTheHashTableIsTakenOfAPeerIfWeAreInItOurselves) {
  for (const bool in_it : {true, false}) {
    TorrentConfig config = exchanging();
    if (in_it) config.dht_port = 6001;
    Rig rig(v1_content(), false, config);
    const PeerId peer = rig.accept(1);
    for (const std::uint16_t port : {7001, 7002}) {
      Bytes message;
      wire::append_port(message, port);
      rig.torrent.on_received(peer, message, rig.now);
    }
    const std::vector<Endpoint> one{{address(1).address, 7001}};
    EXPECT_EQ(rig.host.nodes, in_it ? one : std::vector<Endpoint>{});
    EXPECT_FALSE(rig.host.peers[peer].closed);
  }
}

TEST(TorrentExchange, PeersThatCameAreToldOfEachOtherWhereTheyListen) {
  Rig rig(v1_content(), false, exchanging());
  const PeerId a = rig.accept(1);
  const PeerId b = rig.accept(2);
  const PeerId silent = rig.accept(3);
  wants_peers(rig, a, 7001);
  wants_peers(rig, b, 7002);
  rig.pass(5s);
  ASSERT_THAT(told(rig, a), SizeIs(1));
  EXPECT_EQ(told(rig, a)[0].added, (std::vector<wire::PexPeer>{{{address(2).address, 7002}, 0}}))
      << "the third has not said where it listens";
  EXPECT_EQ(told(rig, b)[0].added, (std::vector<wire::PexPeer>{{{address(1).address, 7001}, 0}}));
  EXPECT_THAT(told(rig, silent), IsEmpty());
  rig.torrent.on_closed(b, rig.now);
  rig.pass(55s);
  EXPECT_THAT(told(rig, a), SizeIs(1)) << "once a minute";
  rig.pass(5s);
  ASSERT_THAT(told(rig, a), SizeIs(2));
  EXPECT_THAT(told(rig, a)[1].dropped, SizeIs(1));
}

TEST(TorrentExchange, WhatPeersTellIsDialledAndShown) {
  Rig rig(v1_content(), false, exchanging());
  const PeerId relay = rig.accept(1);
  EXPECT_EQ(our_ids(rig, relay).ut_pex, limits::kPexId);
  tell(rig, relay, {address(9)});
  ASSERT_THAT(rig.host.dialled, testing::ElementsAre(address(9)));
  EXPECT_TRUE(rig.torrent.can_introduce(relay, address(9)));
  const auto id = rig.torrent.add_peer(address(9), std::nullopt, 10ms, rig.now);
  ASSERT_TRUE(id);
  Bytes hello;
  wire::append_handshake(hello, rig.handshake(9));
  rig.say(*id, hello);
  const auto views = rig.torrent.peers(rig.now);
  ASSERT_THAT(views, SizeIs(2));
  EXPECT_EQ(views[0].source, PeerSource::incoming);
  EXPECT_EQ(views[1].source, PeerSource::pex);
}

TEST(TorrentExchange, ASeedDialsNobodyForIt) {
  Rig rig(v1_content(), true, exchanging());
  const PeerId relay = rig.accept(1);
  tell(rig, relay, {address(9)});
  EXPECT_THAT(rig.host.dialled, IsEmpty());
}

TEST(TorrentExchange, WhoFloodsIsDropped) {
  Rig rig(v1_content(), false, exchanging());
  const PeerId relay = rig.accept(1);
  for (unsigned i = 0; i < PeerExchange::kFlood; ++i) tell(rig, relay, {address(100 + i)});
  EXPECT_FALSE(rig.closed(relay));
  tell(rig, relay, {address(200)});
  EXPECT_TRUE(rig.closed(relay));
  const PeerId broken = rig.accept(2);
  Bytes out;
  wire::append_extended(out, limits::kPexId, as_bytes("i1e"));
  rig.say(broken, out);
  EXPECT_TRUE(rig.closed(broken));
}

TEST(TorrentExchange, APrivateTorrentNeitherTellsNorListens) {
  Rig rig(private_content(), false, exchanging());
  const PeerId a = rig.accept(1);
  const PeerId b = rig.accept(2);
  EXPECT_FALSE(our_ids(rig, a).ut_pex);
  wants_peers(rig, a);
  wants_peers(rig, b);
  tell(rig, a, {address(9)});
  rig.pass(2min);
  EXPECT_THAT(told(rig, a), IsEmpty());
  EXPECT_THAT(rig.host.dialled, IsEmpty());
}

TEST(TorrentExchange, APrivateTorrentMeetsWhomItsTrackersAndTheUserName) {
  Rig rig(private_content());
  unsigned n = 20;
  for (const auto source :
       {PeerSource::dht, PeerSource::pex, PeerSource::lsd, PeerSource::magnet}) {
    const Endpoint endpoint = address(++n);
    rig.torrent.add_candidates({&endpoint, 1}, source, rig.now);
  }
  EXPECT_THAT(rig.host.dialled, IsEmpty());
  const Endpoint named = address(30), tracked = address(31);
  rig.torrent.add_candidates({&named, 1}, PeerSource::user, rig.now);
  rig.torrent.add_candidates({&tracked, 1}, PeerSource::tracker, rig.now);
  EXPECT_THAT(rig.host.dialled, testing::ElementsAre(named, tracked));
}

TEST(TorrentExchange, APrivateTorrentTakesOverTrackersPeersAlone) {
  for (const auto source : {PeerSource::tracker, PeerSource::dht}) {
    Rig rig(private_content());
    AdoptedPeer known;
    known.endpoint = address(1);
    known.source = source;
    known.dialled = true;
    known.theirs = rig.handshake(1);
    rig.host.peers[PeerId(1)].framer = MessageFramer(false, 1 << 16);  // ours has gone before
    EXPECT_EQ(rig.torrent.adopt_peer(known, rig.now).has_value(), source == PeerSource::tracker);
  }
}

TEST(TorrentExchange, WithAnotherTrackerTheOldSwarmIsLeft) {
  Rig rig(private_content());
  const Endpoint named = address(30), old = address(31);
  rig.torrent.add_candidates({&named, 1}, PeerSource::user, rig.now);
  const auto friendly = rig.torrent.add_peer(named, std::nullopt, 10ms, rig.now);
  const PeerId stranger = rig.accept(5);
  rig.torrent.on_dial_failed(old, rig.now);
  rig.torrent.leave_swarm(rig.now);
  EXPECT_TRUE(rig.closed(stranger));
  EXPECT_FALSE(rig.closed(*friendly));
}

}  // namespace
}  // namespace swarmfs::engine
