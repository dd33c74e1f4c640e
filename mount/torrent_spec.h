// What a manifest says, as the tree and the engine want it.
#pragma once

#include <memory>
#include <vector>

#include "fs/tree.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::mount {

/// The torrent's files and facts; pads are left out. `source` brings the bytes.
fs::TorrentSpec spec_of(const metainfo::Metainfo& metainfo, std::shared_ptr<ContentSource> source);

/// The pieces under what programs look at first.
std::vector<PieceIndex> pieces_likely_first(const metainfo::Metainfo& metainfo);

}  // namespace swarmfs::mount
