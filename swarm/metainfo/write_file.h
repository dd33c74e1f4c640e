// Replaces a file whole or not at all.
#pragma once

#include <filesystem>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"

namespace swarmfs::metainfo {

/// Writes to a new file beside `path`, syncs it and renames it into place: whoever opens `path`
/// sees the old content or all of the new. Errors name the path; nothing is left behind.
Result<> write_file_atomically(const std::filesystem::path& path, ByteView bytes);

}  // namespace swarmfs::metainfo
