// engine::Torrent and introductions (BEP 55): as who seeks one, who is sought, and who introduces.
#include "swarm/wire/holepunch.h"
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

using wire::HolepunchMessage;
using Type = HolepunchMessage::Type;
using Code = HolepunchMessage::Code;
using testing::ElementsAre;

constexpr std::uint8_t kTheirId = 9;

TorrentConfig with_holepunch() {
  TorrentConfig config;
  config.holepunch = true;
  config.peer_book.dials_per_second = 1000;
  return config;
}

struct PunchRig : Rig {
  PunchRig() : Rig(v1_content(), false, with_holepunch()) {}

  void extended(PeerId peer, std::uint8_t id, const Bytes& payload) {
    Bytes out;
    wire::append_extended(out, id, payload);
    say(peer, out);
  }
  /// A peer that came to us, listens at address(n) and takes introductions, unless `id` is 0.
  PeerId comer(unsigned n, std::uint8_t id = kTheirId) {
    const Endpoint from{address(n).address, 40000};
    const auto peer = torrent.add_peer(from, handshake(n), 20ms, now);
    EXPECT_TRUE(peer);
    plain(*peer, MessageId::have_none);
    wire::ExtensionHandshake theirs;
    theirs.port = address(n).port;
    if (id != 0) theirs.ids.ut_holepunch = id;
    extended(*peer, wire::kExtensionHandshakeId, wire::encode(theirs));
    return *peer;
  }
  void tell(PeerId from, Type type, const Endpoint& endpoint) {
    extended(from, limits::kHolepunchId,
             wire::encode(HolepunchMessage{type, endpoint, Code::none}));
  }
  /// What a peer was sent.
  std::vector<HolepunchMessage> told(PeerId peer) {
    std::vector<HolepunchMessage> out;
    for (const auto& message : host.got<wire::Extended>(peer)) {
      if (message.id != kTheirId) continue;
      const auto parsed = wire::parse_holepunch(message.payload);
      EXPECT_TRUE(parsed);
      out.push_back(*parsed);
    }
    return out;
  }
  unsigned dials(const Endpoint& endpoint) const {
    return static_cast<unsigned>(std::count(host.dialled.begin(), host.dialled.end(), endpoint));
  }
  /// An address that is dialled, and does not answer.
  void fail_to_reach(const Endpoint& endpoint) {
    torrent.add_candidates({&endpoint, 1}, PeerSource::tracker, now);
    EXPECT_EQ(dials(endpoint), 1U);
    pass(3s);
    torrent.on_dial_failed(endpoint, now);
  }
};

TEST(TorrentHolepunch, IsOfferedOnlyWhereItIsOfUse) {
  PunchRig with;
  const PeerId peer = with.accept(1);
  Rig without(v1_content());
  const PeerId other = without.accept(1);
  const auto offered = [](Rig& rig, PeerId to) {
    for (const auto& message : rig.host.got<wire::Extended>(to))
      if (message.id == wire::kExtensionHandshakeId)
        return wire::parse_extension_handshake(message.payload)->ids.ut_holepunch;
    return std::optional<std::uint8_t>();
  };
  EXPECT_EQ(offered(with, peer), limits::kHolepunchId);
  EXPECT_FALSE(offered(without, other));
}

TEST(TorrentHolepunch, WhoIsNotReachedIsAskedForAtAFewPeersOnce) {
  PunchRig rig;
  std::vector<PeerId> relays;
  for (unsigned n = 1; n <= 5; ++n) relays.push_back(rig.comer(n));
  const PeerId without = rig.comer(6, 0);
  const Endpoint hidden = address(100);
  rig.fail_to_reach(hidden);
  std::size_t asked = 0;
  for (const PeerId relay : relays) asked += rig.told(relay).size();
  EXPECT_EQ(asked, Holepunch::kMaxRelays);
  EXPECT_THAT(rig.told(without), IsEmpty());
  EXPECT_THAT(rig.told(relays[0]),
              ElementsAre(HolepunchMessage{Type::rendezvous, hidden, Code::none}));
  // Told to, it dials at once, though the address rests.
  rig.tell(relays[0], Type::connect, hidden);
  EXPECT_EQ(rig.dials(hidden), 2U);
  rig.tell(relays[1], Type::connect, hidden);
  EXPECT_EQ(rig.dials(hidden), 2U) << "while one dial is under way, no other";
  rig.torrent.on_dial_failed(hidden, rig.now);
  EXPECT_THAT(rig.told(relays[0]), SizeIs(1)) << "not again and again";
}

TEST(TorrentHolepunch, WhoIsSoughtDialsAtOnceButNotForEver) {
  PunchRig rig;
  const PeerId relay = rig.comer(1);
  for (unsigned n = 100; n < 120; ++n) rig.tell(relay, Type::connect, address(n));
  EXPECT_EQ(rig.host.dialled.size(), static_cast<std::size_t>(PunchAllowance::kBurst));
  EXPECT_EQ(rig.host.dialled[0], address(100));
  rig.pass(PunchAllowance::kEvery + 1ms);
  const auto before = rig.host.dialled.size();
  rig.tell(relay, Type::connect, address(200));
  rig.tell(relay, Type::connect, address(201));
  EXPECT_EQ(rig.host.dialled.size(), before + 1);
}

TEST(TorrentHolepunch, NobodyLeadsUsToALocalAddress) {
  PunchRig rig;
  const PeerId relay = rig.comer(1);
  rig.tell(relay, Type::connect, {*IpAddress::parse("192.168.1.1"), 6881});
  rig.tell(relay, Type::connect, {*IpAddress::parse("127.0.0.1"), 6881});
  rig.tell(relay, Type::connect, {address(100).address, 0});
  EXPECT_THAT(rig.host.dialled, IsEmpty());
}

TEST(TorrentHolepunch, IntroducesTwoThatItKnows) {
  PunchRig rig;
  const PeerId one = rig.comer(1), other = rig.comer(2);
  rig.tell(one, Type::rendezvous, address(2));
  EXPECT_THAT(rig.told(one), ElementsAre(HolepunchMessage{Type::connect, address(2), Code::none}));
  EXPECT_THAT(rig.told(other),
              ElementsAre(HolepunchMessage{Type::connect, address(1), Code::none}));
}

TEST(TorrentHolepunch, SaysWhyItDoesNot) {
  PunchRig rig;
  const PeerId one = rig.comer(1);
  rig.comer(2, 0);
  const Endpoint nobody = address(50), silent = address(2), nowhere{address(3).address, 0};
  for (const Endpoint& target : {nobody, silent, nowhere, address(1)})
    rig.tell(one, Type::rendezvous, target);
  EXPECT_THAT(rig.told(one),
              ElementsAre(HolepunchMessage{Type::error, nobody, Code::not_connected},
                          HolepunchMessage{Type::error, silent, Code::no_support},
                          HolepunchMessage{Type::error, nowhere, Code::no_such_peer},
                          HolepunchMessage{Type::error, address(1), Code::no_such_peer}));
}

TEST(TorrentHolepunch, IntroducesSomeAndNotAnyNumber) {
  PunchRig rig;
  const PeerId one = rig.comer(1), other = rig.comer(2);
  for (int i = 0; i < 50; ++i) rig.tell(one, Type::rendezvous, address(2));
  EXPECT_EQ(rig.told(other).size(), static_cast<std::size_t>(PunchAllowance::kBurst));
  EXPECT_FALSE(rig.closed(one));
}

TEST(TorrentHolepunch, AMalformedMessageEndsTheConnection) {
  PunchRig rig;
  const PeerId one = rig.comer(1);
  rig.extended(one, limits::kHolepunchId, {0, 0, 1, 2});
  EXPECT_TRUE(rig.closed(one));
}

}  // namespace
}  // namespace swarmfs::engine
