// Two peers behind routers, which only a third in the open can introduce (BEP 55).
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

NodeOptions introduced(NodeOptions options, bool takes_part = true) {
  options.config.holepunch = takes_part;
  return options;
}

struct Routers {
  Routers(std::uint64_t seed, bool relay_introduces)
      : world(Content::make(Format::hybrid, 16, 256 << 10), seed),
        relay(world.add<EngineNode>(introduced(node(100e3, 8e6), relay_introduces))),
        hidden(world.add<EngineNode>(introduced(seeder(4e6)))),
        leech(world.add<EngineNode>(introduced(node(4e6, 8e6)))) {
    world.network.hide(hidden.address());
    world.network.hide(leech.address());
    hidden.meet(relay.number);
    leech.meet(relay.number);
    world.run_for(2s);
    leech.hear_of({hidden.address()});
  }
  bool direct() const {
    return std::any_of(world.sent.begin(), world.sent.end(), [&](const SentBlock& block) {
      return block.from == hidden.number && block.to == leech.number;
    });
  }
  World world;
  EngineNode& relay;
  EngineNode& hidden;
  EngineNode& leech;
};

TEST(SimHolepunch, AreIntroducedAndNeedTheRelayNoLonger) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Routers r(seed, true);
    // Through the relay's line it would be 40 s. With less than that an introduction comes too
    // late behind the blocks on it: the other end knocks for two seconds.
    EXPECT_TRUE(r.world.run_until([&] { return r.leech.complete(); }, 30s)) << r.world.wrong();
    EXPECT_TRUE(r.direct());
    EXPECT_LE(r.leech.dials(), 4U);
    EXPECT_EQ(r.world.wrong(), "");
  }
}

TEST(SimHolepunch, WithoutAnIntroductionNobodyGetsThrough) {
  Routers r(1, false);
  r.world.run_for(30s);
  EXPECT_FALSE(r.direct());
  EXPECT_FALSE(r.leech.complete());
  EXPECT_EQ(r.world.wrong(), "");
}

/// All of a swarm are behind routers, but for one that has nothing at first.
TEST(SimHolepunch, ASwarmBehindRoutersIsServedThroughOneInTheOpen) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v2, 16, 256 << 10), seed);
    auto& relay = world.add<EngineNode>(introduced(node(20e3, 8e6)));
    std::vector<EngineNode*> hidden{&world.add<EngineNode>(introduced(seeder(4e6)))};
    std::vector<Endpoint> all{hidden[0]->address()};
    for (int i = 0; i < 6; ++i) {
      hidden.push_back(&world.add<EngineNode>(introduced(node(2e6, 4e6))));
      all.push_back(hidden.back()->address());
    }
    for (EngineNode* one : hidden) {
      world.network.hide(one->address());
      one->meet(relay.number);
    }
    world.run_for(2s);
    for (EngineNode* one : hidden) one->hear_of(all);
    EXPECT_TRUE(world.run_until(
        [&] {
          return std::all_of(hidden.begin(), hidden.end(),
                             [](const EngineNode* one) { return one->complete(); });
        },
        60s))
        << world.wrong();
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
