// Looks inside an engine::Torrent and says which of its invariants are broken.
#pragma once

#include <string>

#include "swarm/engine/torrent.h"

namespace swarmfs::engine {

class TorrentProbe {
 public:
  /// Empty if all is well, else the first thing wrong. `thorough`: also what costs a pass over
  /// all pieces of all peers.
  static std::string broken(const Torrent& torrent, TimePoint now, bool thorough);

  /// Unfinished pieces in memory.
  static std::size_t partials(const Torrent& torrent) { return torrent.partials_.size(); }
  static std::size_t connections(const Torrent& torrent) { return torrent.peers_.size(); }
  static std::size_t reads(const Torrent& torrent) { return torrent.reads_.size(); }
  static std::size_t outstanding(const Torrent& torrent);

 private:
  static std::string broken_partials(const Torrent& torrent);
  static std::string broken_requests(const Torrent& torrent);
  static std::string broken_availability(const Torrent& torrent);
  static std::string broken_reads(const Torrent& torrent, TimePoint now);
  static std::string over_budget(const Torrent& torrent);
  static std::string idle_though_urgent(const Torrent& torrent, TimePoint now);
  static std::string leaves_unasked(const Torrent& torrent);
};

}  // namespace swarmfs::engine
