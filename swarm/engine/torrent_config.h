// What a torrent is told when it begins.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/engine/choker.h"
#include "swarm/engine/connection_room.h"
#include "swarm/engine/peer_book.h"
#include "swarm/engine/rate_limiter.h"
#include "swarm/wire/handshake.h"

namespace swarmfs::engine {

struct TorrentConfig {
  wire::ClientId client_id{};
  std::string client_name = "swarmfs";
  std::uint16_t listen_port = 0;  ///< told to peers (BEP 10 "p"); 0: none
  std::uint16_t dht_port = 0;     ///< our node of the hash table, told to peers (BEP 5); 0: none
  /// Tell peers of each other and take their word (BEP 11); never of a private torrent (BEP 27).
  bool exchange_peers = false;
  bool holepunch = false;  ///< dials go over uTP too, so introductions help (BEP 55)
  bool on_demand = false;  ///< fetch only what is read and its windows
  /// What backfill fetches before the rarest, in this order: pieces likely to be read first.
  std::vector<PieceIndex> first;
  Duration read_timeout = std::chrono::seconds(60);  ///< of a parked read without progress
  std::uint64_t partial_bytes = 48 << 20;  ///< unfinished pieces in memory, at least two of them
  std::uint64_t volatile_bytes = 16
                                 << 20;  ///< verified pieces the disk did not take, kept readable
  RateLimits limits;
  /// What all torrents of the session may do together; shared with them, may be null.
  std::shared_ptr<CommonLimits> common_limits;
  std::shared_ptr<CommonRoom> common_room;  ///< likewise
  ChokerConfig choker;
  PeerBookConfig peer_book;
};

}  // namespace swarmfs::engine
