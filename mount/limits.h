// What a user allows torrents: of the line, and how many connections.
#pragma once

#include "swarm/engine/rate_limiter.h"

namespace swarmfs::mount {

/// Of one torrent, or of all together.
struct Limits : engine::RateLimits {
  /// Of a torrent over 0. Of all together: 0 for as many as each torrent may have.
  unsigned connections = 0;
};

inline constexpr unsigned kMostConnections = 100'000;

}  // namespace swarmfs::mount
