// The status of mounts as a person reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace swarmfs::mount {

/// One mount's status: a line for the mount, one or two for each torrent, one for how long reads
/// from peers took if there were any, one for the hash table and one for the address outside a
/// router, where there are such. The object is
/// {"version":1,"mountpoint":...,"torrents":[{"name","infohash","progress","bytes_here","size",
/// "down_rate","up_rate","peers","seeds","waiting_reads","state"}],"latency":{"peer":{"count","p50_us",
/// "p99_us"}}}; rates in bytes a second, progress from 0 to 1. What is missing or of another type
/// is shown as empty or 0. Nothing in a name drives the terminal.
std::string status_text(const nlohmann::json& status);

/// The same object in one short line, for a service manager: no name is in it.
std::string status_line(const nlohmann::json& status);

}  // namespace swarmfs::mount
