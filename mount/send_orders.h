// Sends an order to the mounts of this user that it is about, and shows what they reply.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mount/which_mount.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// All mounts if `text` is empty; else the one that holds this path; else, as a torrent's name, on
/// all of them.
Result<std::vector<WhichMount>> name_or_path(const std::string& text);

/// Sends the request, with the "path" of each place, and collects the replies. A mount that has no
/// such torrent is passed over if another has; one that has just ended as well. Errors: the first
/// other one; not_found if nobody has it, or nothing is mounted.
Result<nlohmann::json> order(const std::vector<WhichMount>& places, nlohmann::json request,
                             const std::string& text);

/// For an order about one path: its reply.
Result<nlohmann::json> order_on_path(const std::string& path, nlohmann::json request);

/// Prints the reply or replies as JSON, or calls `show` for each. An ExitCode.
int answer(const Result<nlohmann::json>& reply, bool as_json,
           const std::function<void(const nlohmann::json&)>& show);

}  // namespace swarmfs::mount
