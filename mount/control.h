// The socket through which a mount is asked and told things: one per mount, for its owner only.
//
// One line of JSON each way and the connection is over. {"version":1,"command":"status"} gets
// {"version":1,"ok":true,"status":{...}}, what is refused {"version":1,"ok":false,"error":"...",
// "kind":"..."}. CONTROL.md has every command.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

inline constexpr int kControlVersion = 1;
inline constexpr std::size_t kMaxControlRequest = 64 << 10;
inline constexpr std::size_t kMaxControlReply = 16 << 20;

/// $XDG_RUNTIME_DIR/swarmfs, else /run/user/UID/swarmfs, else /tmp/swarmfs-UID; made with mode
/// 0700 if missing. permission if it belongs to another or is open to others.
Result<std::string> control_folder();
/// The socket's path for a mount on this canonical path.
std::string control_path(const std::string& folder, const std::string& mountpoint);

/// Takes the whole request and returns the fields of the reply besides "version" and "ok", or a
/// refusal() of it. Called on threads of the server, several at a time; may take a few seconds,
/// which keep nobody else waiting. What it throws becomes a refusal.
using ControlHandler = std::function<nlohmann::json(const nlohmann::json& request)>;

/// What a handler returns instead of fields if it does not do what it was asked.
nlohmann::json refusal(const Error& error);

struct ControlHandlers {
  std::map<std::string, ControlHandler, std::less<>> commands;  ///< by name
  /// Asks the mount to end; returns at once. The command "unmount", called once the reply is sent.
  std::function<void()> unmount;
};

/// The reply line to a request line, both without the newline. `unmount` is set if the caller has
/// to call handlers.unmount once the reply is sent.
std::string control_reply(std::string_view request, const ControlHandlers& handlers, bool& unmount);

/// Serves the socket on threads of its own until destroyed. A client gets three seconds to ask, and
/// three to take the reply.
class ControlServer {
 public:
  /// Replaces a socket that nobody serves; busy if somebody does.
  static Result<std::unique_ptr<ControlServer>> listen(const std::string& path,
                                                       ControlHandlers handlers);
  /// Removes the socket.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Sends a command, with a "path" unless `about` is empty, and returns the reply, a JSON object
/// with "ok":true. not_found if nothing listens there, timed_out, protocol, or the server's words
/// and kind of error if it refused (`busy` if it named none).
Result<std::string> control_request(const std::string& path, std::string_view command,
                                    Duration timeout, std::string_view about = {});
/// The same with fields of one's own; `request` is an object, and gets "version".
Result<std::string> control_send(const std::string& path, nlohmann::json request, Duration timeout);
/// Paths of all sockets in the folder, sorted.
std::vector<std::string> control_sockets(const std::string& folder);

}  // namespace swarmfs::mount
