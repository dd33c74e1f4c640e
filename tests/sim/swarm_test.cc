// Swarms: everybody completes, close to the bound, and the engine's invariants hold throughout.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

struct Swarm {
  Swarm(std::shared_ptr<const Content> content, unsigned peers, std::uint64_t seed, NodeOptions s,
        const NodeOptions& p)
      : world(std::move(content), seed), seed_node(world.add<EngineNode>(std::move(s))) {
    for (unsigned i = 0; i < peers; ++i) {
      nodes.push_back(&world.add<EngineNode>(p));
      nodes.back()->meet(seed_node.number);
      for (const EngineNode* other : nodes)
        if (other != nodes.back()) nodes.back()->meet(other->number);
    }
  }
  bool complete() const {
    return std::all_of(nodes.begin(), nodes.end(), [](const auto* n) { return n->complete(); });
  }
  double seconds() const { return to_seconds(world.now() - begun); }

  World world;
  EngineNode& seed_node;
  std::vector<EngineNode*> nodes;
  TimePoint begun = world.now();
};

TEST(Swarm, TwentyPeersCompleteNearTheLowerBound) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    const double up = 1e6;
    Swarm swarm(Content::make(Format::v1, 64, 64 << 10), 20, seed, seeder(up), node(up, 4e6));
    EXPECT_TRUE(swarm.world.run_until([&] { return swarm.complete(); }, 120s));
    EXPECT_EQ(swarm.world.wrong(), "");
    const double size = static_cast<double>(swarm.world.content->size());
    const double bound = std::max({size / up, size / 4e6, 20 * size / (21 * up)});
    const double copies = swarm.world.copies_sent(swarm.seed_node.number);
    std::uint64_t wasted = 0;
    for (const EngineNode* n : swarm.nodes) wasted += n->stats().wasted;
    const double waste = static_cast<double>(wasted) / size / 20;
    std::printf("seed %llu: %.2f s, %.2f x the bound, %.2f copies from the seed, %.2f %% waste\n",
                static_cast<unsigned long long>(seed), swarm.seconds(), swarm.seconds() / bound,
                copies, waste * 100);
    EXPECT_LE(swarm.seconds(), 2.0 * bound);
    EXPECT_LE(copies, 2.0);
    EXPECT_LE(waste, 0.02);
  }
}

TEST(Swarm, JitterAndLossAndUnequalLinesChangeNothingButTheTime) {
  for (const auto seed : seeds(3)) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::hybrid, 16, 128 << 10), seed);
    NodeOptions s = seeder(2e6);
    s.line.jitter = 20ms;
    s.line.loss = 0.01;
    auto& source = world.add<EngineNode>(s);
    std::vector<EngineNode*> nodes;
    for (unsigned i = 0; i < 8; ++i) {
      NodeOptions o = node(0.1e6 * (1 + i * 3), 0.5e6 * (1 + i), 5ms * (1 + i * i));
      o.line.jitter = 10ms;
      o.line.loss = 0.01;
      nodes.push_back(&world.add<EngineNode>(o));
      nodes.back()->meet(source.number);
      for (const EngineNode* other : nodes)
        if (other != nodes.back()) nodes.back()->meet(other->number);
    }
    EXPECT_TRUE(world.run_until(
        [&] {
          return std::all_of(nodes.begin(), nodes.end(), [](auto* n) { return n->complete(); });
        },
        120s));
    EXPECT_EQ(world.wrong(), "");
    // Of 128 blocks. The slowest line gives each of its peers 12 KB/s, so that cancels come late.
    double sum = 0;
    for (const EngineNode* n : nodes) {
      sum += waste(world, *n);
      EXPECT_LE(waste(world, *n), 0.25) << "node " << n->number;
    }
    EXPECT_LE(sum / static_cast<double>(nodes.size()), 0.1);
  }
}

TEST(Swarm, PeersThatComeAndGoDoNotStopTheOthers) {
  for (const auto seed : seeds(3)) {
    SCOPED_TRACE(replay(seed));
    Swarm swarm(Content::make(Format::v2, 32, 128 << 10), 8, seed, seeder(1e6), node(1e6, 4e6));
    Rng rng(seed);
    for (int round = 0; round < 12; ++round) {
      EngineNode& who = *swarm.nodes[rng() % swarm.nodes.size()];
      who.leave();
      swarm.world.run_for(std::chrono::milliseconds(100 + rng() % 900));
      who.come_back();
    }
    EXPECT_TRUE(swarm.world.run_until([&] { return swarm.complete(); }, 300s));
    EXPECT_EQ(swarm.world.wrong(), "");
  }
}

TEST(Swarm, TwoPeersThatDialEachOtherKeepOneConnection) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, 16, 64 << 10), seed);
    auto& a = world.add<EngineNode>(seeder(0.1e6));
    auto& b = world.add<EngineNode>(node(1e6, 1e6));
    a.meet(b.number);
    b.meet(a.number);
    world.run_for(3s);
    EXPECT_EQ(engine::TorrentProbe::connections(a.torrent()), 1U);
    EXPECT_EQ(engine::TorrentProbe::connections(b.torrent()), 1U);
    EXPECT_TRUE(world.run_until([&] { return b.complete(); }, 60s));
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Swarm, AnIdleSwarmSleeps) {
  World world(Content::make(Format::v1, 4, 64 << 10), 1);
  auto& s = world.add<EngineNode>(seeder(1e6));
  NodeOptions o = node(1e6, 1e6);
  o.config.on_demand = true;
  auto& reader = world.add<EngineNode>(o);
  reader.meet(s.number);
  world.run_for(5s);
  const auto before = s.timer_events() + reader.timer_events();
  world.run_for(100s);
  // Choke rounds every ten seconds and little else.
  EXPECT_LE(s.timer_events() + reader.timer_events() - before, 60U);
  EXPECT_EQ(world.wrong(), "");
}

/// Peers without anything hold every connection of each other; the one seed comes last.
TEST(Swarm, WhoHasWhatIsMissingGetsThePlaceOfAnIdlePeer) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, 16, 64 << 10), seed);
    NodeOptions o = node(1e6, 4e6);
    o.config.peer_book.max_connections = 3;
    std::vector<EngineNode*> nodes;
    std::vector<Endpoint> known;
    for (unsigned i = 0; i < 4; ++i) {
      nodes.push_back(&world.add<EngineNode>(o));
      nodes.back()->hear_of(known);
      known.push_back(nodes.back()->address());
    }
    world.run_for(100s);
    for (const EngineNode* n : nodes) EXPECT_EQ(n->stats().peers, 3U);
    auto& source = world.add<EngineNode>(seeder(1e6));
    source.meet(nodes[0]->number);
    EXPECT_TRUE(world.run_until(
        [&] {
          return std::all_of(nodes.begin(), nodes.end(), [](auto* n) { return n->complete(); });
        },
        200s));
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
