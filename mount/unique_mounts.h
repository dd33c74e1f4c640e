// What tells one mount from every other that ever was: the numbers in /proc/self/mountinfo are
// given out anew at once.
#pragma once

#include <cstdint>
#include <vector>

namespace swarmfs::mount {

struct UniqueMount {
  std::uint64_t unique = 0;  ///< never used again until the machine starts anew
  unsigned id = 0;           ///< as mountinfo has it
  unsigned minor = 0;        ///< of the device: of a FUSE mount, the number of its connection
};

/// The mounts of this namespace; empty where the kernel has no such numbers (before Linux 6.8).
/// Asks no file system, so it never hangs.
std::vector<UniqueMount> unique_mounts();

}  // namespace swarmfs::mount
