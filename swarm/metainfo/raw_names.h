// The names of a torrent's files as its maker wrote them: what a web server knows them by.
#pragma once

#include <string>
#include <vector>

#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {

struct RawNames {
  std::string name;                             ///< of the torrent
  std::vector<std::vector<std::string>> paths;  ///< parallel to Metainfo::files; pads: empty
};

/// The names before they were made safe for a file system (safe_path.h): any bytes, and none of
/// them fit for a path here. Where the info dictionary is not at hand, the safe ones.
RawNames raw_names(const Metainfo& metainfo);

}  // namespace swarmfs::metainfo
