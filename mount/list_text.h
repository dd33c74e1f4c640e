// The list of a mount's torrents as a person reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace swarmfs::mount {

/// A line for the mount, one for each torrent and one for each broken manifest; the object is that
/// of CONTROL.md. What is missing or of another type is shown as empty or 0. Nothing in a name
/// drives the terminal.
std::string list_text(const nlohmann::json& list);

}  // namespace swarmfs::mount
