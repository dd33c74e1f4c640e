// Peers with few places that all learn of each other at the same moment.
#include <algorithm>
#include <iterator>

#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

/// All dial all others at once.
std::vector<EngineNode*> crowd(World& world, unsigned count, unsigned places) {
  NodeOptions options;
  options.config.peer_book.max_connections = places;
  options.config.on_demand = true;
  std::vector<EngineNode*> nodes;
  std::vector<Endpoint> all;
  for (unsigned i = 0; i < count; ++i) nodes.push_back(&world.add<EngineNode>(options));
  for (const EngineNode* node : nodes) all.push_back(node->address());
  for (EngineNode* node : nodes) {
    std::vector<Endpoint> others;
    std::copy_if(all.begin(), all.end(), std::back_inserter(others),
                 [&](const Endpoint& other) { return other != node->address(); });
    node->hear_of(others);
  }
  return nodes;
}

unsigned lonely(const std::vector<EngineNode*>& nodes) {
  return static_cast<unsigned>(std::count_if(
      nodes.begin(), nodes.end(), [](const EngineNode* n) { return n->stats().peers == 0; }));
}

TEST(Room, PeersThatDialEachOtherAtOnceFindEachOther) {
  for (const auto seed : seeds())
    for (const unsigned places : {1U, 2U, 3U})
      for (const unsigned count : {2U, 3U, 4U, 5U, 8U, 12U}) {
        SCOPED_TRACE(replay(seed) + ", " + std::to_string(places) + " places for each of " +
                     std::to_string(count));
        World world(Content::make(Format::v1, 4, 64 << 10), seed);
        const auto nodes = crowd(world, count, places);
        // The best connection of all is there at once, and soon nobody is alone who could have one.
        world.run_for(3s);
        EXPECT_LE(lonely(nodes), count - 2);
        EXPECT_TRUE(world.run_until([&] { return lonely(nodes) <= 1; }, 120s))
            << lonely(nodes) << " of them have no connection";
        for (const EngineNode* node : nodes) EXPECT_LE(node->stats().peers, places);
        EXPECT_EQ(world.wrong(), "");
      }
}

}  // namespace
}  // namespace swarmfs::sim
