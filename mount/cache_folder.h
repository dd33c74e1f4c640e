// Where things are kept that can be had again.
#pragma once

#include <filesystem>

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// $XDG_CACHE_HOME/swarmfs, else ~/.cache/swarmfs. Error: bad_input, if neither is set.
Result<std::filesystem::path> default_cache_folder();

}  // namespace swarmfs::mount
