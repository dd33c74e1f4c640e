// Where a torrent's files lie on the local disk.
#pragma once

#include <filesystem>
#include <vector>

#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {

/// Finds the content of a torrent from a path that a person gave. For a torrent of a single file
/// that is the file itself or the folder that holds it; for others the root folder itself or the
/// folder that holds it. Returns the file or the root folder, which content_paths() builds on; a
/// single file need not exist. Errors: not_found, bad_input.
Result<std::filesystem::path> find_content(const Metainfo& metainfo,
                                           const std::filesystem::path& given);

/// Every file's path, parallel to Metainfo::files; empty for pads. `base` as find_content() says.
std::vector<std::filesystem::path> content_paths(const Metainfo& metainfo,
                                                 const std::filesystem::path& base);

/// What readlink() of this symlink must say: its target as seen from the folder it is in.
std::string link_text(const File& link);

}  // namespace swarmfs::metainfo
