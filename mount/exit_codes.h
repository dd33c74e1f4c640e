// What swarmfs's exit status says; documented in README.md and --help.
#pragma once

#include "swarm/base/result.h"

namespace swarmfs::mount {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,       ///< anything not named below
  kUsage = 2,        ///< the command line is wrong
  kBadManifest = 3,  ///< malformed or unsupported manifest
  kFile = 4,         ///< a local file, folder, permission or disk problem
  kMismatch = 5,     ///< data does not match the manifest
  kNetwork = 6,      ///< no peer or tracker, or nothing came in time
  kBusy = 7,         ///< mount point, cache or address in use
};

ExitCode exit_code_for(ErrorKind kind);

}  // namespace swarmfs::mount
