// Which mount a command is about: the one that a person names, the one that a path lies on, or the
// only one there is.
#pragma once

#include <string>

#include "swarm/base/result.h"

namespace swarmfs::mount {

struct WhichMount {
  std::string mountpoint;  ///< as a person may be told
  std::string socket;      ///< its control socket, which somebody may have left
  std::string below;       ///< what a path names below the mount point; may be empty
};

/// A mount of this user's by its mount point.
Result<WhichMount> mount_at(const std::string& mountpoint);
/// The mount that a path lies on. A dead mount is found too. not_found if it is on none of ours.
Result<WhichMount> mount_of(const std::string& path);
/// The mount point if one is given; else the only mount that runs. bad_input names them if there
/// are several, and `option`, with which to choose; not_found if there is none.
Result<WhichMount> mount_meant(const std::string& mountpoint, const std::string& option);

}  // namespace swarmfs::mount
