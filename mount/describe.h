// What the commands say about a manifest, as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "swarm/metainfo/metainfo.h"

namespace swarmfs::mount {

/// "hybrid", "v2" or "v1".
const char* format_name(metainfo::Format format);

/// A file's path with slashes, the torrent's name in front unless it is the only file. Raw: pass
/// it through printable() on the way to a terminal.
std::string display_path(const metainfo::Metainfo& metainfo, const metainfo::File& file);

/// Name, format, info hashes, size and pieces, a line each, safe for a terminal.
std::string summary_text(const metainfo::Metainfo& metainfo);
/// The same as JSON: name, format, info_hash_v1, info_hash_v2, size, file_count, piece_length,
/// pieces, private.
nlohmann::ordered_json summary_json(const metainfo::Metainfo& metainfo);

/// JSON text; strings that are not UTF-8 are repaired.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace swarmfs::mount
