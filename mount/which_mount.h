// Which mounts of this user a command is about, from what the user wrote.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

struct OnMount {
  std::string socket;  ///< its control socket
  std::string below;   ///< path below the mount point; empty: all of it
};

/// A path on a mount of this user. Errors: not_found if it is on none, or not there.
Result<OnMount> locate(const std::string& path);

/// All mounts if `text` is empty; else the one that holds this path; else, as a torrent's name, on
/// all of them.
Result<std::vector<OnMount>> name_or_path(const std::string& text);

/// Sends the request, with the "path" of each place, and collects the replies. A mount that has no
/// such torrent is passed over if another has; one that has just ended as well. Errors: the first
/// other one; not_found if nobody has it, or nothing is mounted.
Result<nlohmann::json> order(const std::vector<OnMount>& places, nlohmann::json request,
                             const std::string& text);

/// For an order about one path: its reply.
Result<nlohmann::json> order_on_path(const std::string& path, nlohmann::json request);

/// Prints the reply or replies as JSON, or calls `show` for each. An ExitCode.
int answer(const Result<nlohmann::json>& reply, bool as_json,
           const std::function<void(const nlohmann::json&)>& show);

}  // namespace swarmfs::mount
