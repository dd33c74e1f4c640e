// Symlinks of a torrent (BEP 47), made to point inside it and nowhere else.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/metainfo/metainfo.h"
#include "swarm/metainfo/raw_files.h"

namespace swarmfs::metainfo {

/// Fills File::symlink of every link. BEP 47's targets count from the torrent's root, but older
/// creators wrote them relative to the link; whichever names something in the torrent is taken.
/// A target that names nothing stays a dangling link inside the root. bad_input if it names the
/// root or nothing at all. `raw` and `files` are parallel.
Result<> resolve_links(std::span<const RawFile> raw, std::span<File> files);

}  // namespace swarmfs::metainfo
