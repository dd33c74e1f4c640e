// Peers that find each other by peers (BEP 11): a swarm whose tracker few know, and those that lie.
#include "swarm/engine/peer_exchange.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

constexpr std::uint32_t kPieces = 24;

NodeOptions exchanging(NodeOptions options) {
  options.config.exchange_peers = true;
  return options;
}

TEST(Exchange, ASwarmOfWhichEachKnowsOneMeetsAndCompletes) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, kPieces, 128 << 10), seed);
    auto& first = world.add<EngineNode>(exchanging(seeder(1e6)));
    std::vector<EngineNode*> others;
    for (int i = 0; i < 8; ++i)
      others.push_back(&world.add<EngineNode>(exchanging(node(1e6, 4e6))));
    // A chain: who knows only the one before cannot see the seed but through it.
    for (std::size_t i = 0; i < others.size(); ++i)
      others[i]->meet(i == 0 ? first.number : others[i - 1]->number);
    EXPECT_TRUE(world.run_until(
        [&] {
          return std::all_of(others.begin(), others.end(), [](auto* n) { return n->complete(); });
        },
        300s))
        << world.wrong();
    EXPECT_EQ(world.wrong(), "");
    unsigned dialled = 0;
    for (const EngineNode* other : others) dialled += other->dials();
    EXPECT_GT(dialled, others.size() + 3) << "they have met others than the one they knew";
  }
}

/// Tells of `count` peers that are not there, again every few seconds, as often as is borne.
Script telling_of_nobody(unsigned liar, unsigned count) {
  Script script;
  script.line = {3e6, 10e6, 5ms, {}, 0};
  script.claims_all = false;
  script.on_greeted = [liar, count](ScriptedPeer& self, SocketId socket) {
    const auto lie = [liar, count](unsigned round) {
      wire::PexMessage message;
      for (unsigned i = 0; i < count; ++i)
        message.added.push_back(
            {{IpAddress::v4({90, static_cast<std::uint8_t>(liar),
                             static_cast<std::uint8_t>((round * count + i) >> 8),
                             static_cast<std::uint8_t>(round * count + i)}),
              7000},
             wire::pex_flags::kSeed});
      Bytes out;
      wire::append_extended(out, engine::limits::kPexId, wire::encode(message));
      return out;
    };
    for (unsigned round = 0; round < 6; ++round) self.send(socket, lie(round));
  };
  return script;
}

TEST(Exchange, TwoThatTellOfNobodyCostLittle) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, kPieces, 128 << 10), seed);
    auto& honest = world.add<EngineNode>(exchanging(seeder(1e6)));
    auto& relay = world.add<EngineNode>(exchanging(node(1e6, 4e6)));
    std::vector<ScriptedPeer*> liars;
    for (unsigned i = 0; i < 2; ++i)
      liars.push_back(&world.add<ScriptedPeer>(telling_of_nobody(i, 400)));
    auto& reader = world.add<EngineNode>(exchanging(node(1e6, 4e6)));
    relay.meet(honest.number);
    // The seed is known to the relay alone.
    reader.meet({relay.number, liars[0]->number, liars[1]->number});
    EXPECT_TRUE(world.run_until([&] { return reader.complete() && relay.complete(); }, 120s))
        << world.wrong();
    EXPECT_EQ(world.wrong(), "");
    // Each is believed a hundred times at once; an address that is not there is tried five times.
    EXPECT_LE(reader.dials(), 2 * engine::PeerExchange::kBelievedAtOnce * 5 + 10);
    EXPECT_GE(reader.dials(), 100U) << "the lies have come";
  }
}

}  // namespace
}  // namespace swarmfs::sim
