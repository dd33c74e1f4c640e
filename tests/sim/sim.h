// What the simulation's tests share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <vector>

#include "tests/sim/engine_node.h"
#include "tests/sim/probe.h"
#include "tests/sim/scripted_peer.h"

namespace swarmfs::sim {

using namespace std::chrono_literals;
using metainfo::Format;

/// SIM_SEED in the environment replays one seed.
inline std::vector<std::uint64_t> seeds(unsigned count = 4) {
  if (const char* one = std::getenv("SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> out;
  for (unsigned i = 1; i <= count; ++i) out.push_back(i);
  return out;
}

inline std::string replay(std::uint64_t seed) {
  return "replay with SIM_SEED=" + std::to_string(seed);
}

inline NodeOptions node(double up_bps, double down_bps, Duration delay = 10ms) {
  NodeOptions options;
  options.line = {up_bps, down_bps, delay, {}, 0};
  return options;
}
inline NodeOptions seeder(double up_bps, double down_bps = 10e6, Duration delay = 10ms) {
  NodeOptions options = node(up_bps, down_bps, delay);
  options.seed = true;
  return options;
}

/// Payload received and thrown away, as a share of the content.
inline double waste(const World& world, const EngineNode& of) {
  return static_cast<double>(of.stats().wasted) / static_cast<double>(world.content->size());
}

}  // namespace swarmfs::sim
