// A reader whose every message is watched, and the accounts that are settled at the end of a scene.
#pragma once

#include <initializer_list>
#include <vector>

#include "tests/sim/sim.h"
#include "tests/sim/wire_watch.h"

namespace swarmfs::sim {

struct PolicyScene {
  PolicyScene(std::shared_ptr<const Content> content, std::uint64_t seed, bool on_demand,
              Duration read_timeout = 60s);

  World world;
  EngineNode& reader;
  WireWatch watch;
  Rng rng;  ///< of what the reader's user does; the network has its own
  const Duration read_timeout;

  EngineNode& add_source(const NodeOptions& options);
  ScriptedPeer& add_source(Script script);
  std::uint64_t size() const { return world.content->size(); }
  std::uint64_t piece_length() const { return world.content->layout().piece_length(); }
  PieceIndex piece_at(std::uint64_t offset) const {
    return PieceIndex(static_cast<std::uint32_t>(offset / piece_length()));
  }
  std::uint64_t below(std::uint64_t end) { return rng() % end; }
  bool chance(unsigned percent) { return rng() % 100 < percent; }

  /// A read at a place where at least something is missing; nothing if none is found soon.
  std::optional<ReadId> cold_read(std::uint32_t length, HandleId handle = HandleId(1));
  /// Waits for the end of a read; how long it took from its beginning.
  Duration wait(ReadId read);

  /// What may have come for nothing.
  struct Most {
    double useless = 0.02;    ///< as a share of the payload
    double crossed = 0;       ///< the same, of what a cancel was too late for
    std::uint64_t stuck = 0;  ///< bytes in the sockets of seeds that froze, on top
  };
  /// Every read ends in time and for a cause it may have, and no more came for nothing than that.
  void settle(const Most& most);
  void settle() { settle(Most{}); }

  /// How long the reads took that were parked and answered.
  std::vector<Duration> waits() const;
  /// One line for people, about these times and the accounts.
  void print(std::uint64_t seed, const std::vector<Duration>& took) const;

 private:
  void check_timed_out(ReadId id, const EngineNode::Read& read) const;
};

/// Of durations, the one that a share `q` of them does not exceed.
Duration quantile(std::vector<Duration> took, double q);

}  // namespace swarmfs::sim
