// Cutting a FUSE connection from outside.
#pragma once

#include <sys/mount.h>

#include <filesystem>

#include "mount/mountpoint.h"

namespace swarmfs::test {

/// As mount::abort_connection(), on a machine that does not show its connections (fusectl) too, if
/// it may be mounted there. While a mount of FUSE is there.
inline bool cut(unsigned connection) {
  static constexpr const char* kControl = "/sys/fs/fuse/connections";
  std::error_code none;
  if (std::filesystem::is_empty(kControl, none)) ::mount("none", kControl, "fusectl", 0, nullptr);
  return mount::abort_connection(connection);
}

}  // namespace swarmfs::test
