// The socket through which a mount is asked how it is and told to end: one per mount, for its
// owner only.
//
// One line of JSON each way and the connection is over. {"version":1,"command":"status"} gets
// {"version":1,"ok":true,"status":{...}}, "why" with an optional "path" below the mount point gets
// {"version":1,"ok":true,"why":{...}}, "unmount" gets {"version":1,"ok":true} and the mount ends;
// mount/control_orders.h has more. What is refused gets {"version":1,"ok":false,"error":"...",
// "kind":"..."}.
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
/// refusal() of it. What it throws becomes a refusal.
using ControlHandler = std::function<nlohmann::json(const nlohmann::json& request)>;

/// What a handler returns instead of fields if it does not do what it was asked.
nlohmann::json refusal(const Error& error);

struct ControlHandlers {
  /// The status object of the mount, as mount/status_text.h reads it. Called on the server's
  /// thread; must not wait.
  std::function<nlohmann::json()> status;
  /// Asks the mount to end; returns at once.
  std::function<void()> unmount;
  /// What the reads of files on or below a path wait for, as mount/why_text.h reads it; the empty
  /// path is the whole mount. As for status, but may take half a second.
  std::function<nlohmann::json(const std::string& path)> why;
  std::map<std::string, ControlHandler, std::less<>> commands{};  ///< more of them, by name
};

/// The reply line to a request line, both without the newline. `unmount` is set if the caller has
/// to call handlers.unmount once the reply is sent.
std::string control_reply(std::string_view request, const ControlHandlers& handlers, bool& unmount);

/// Serves the socket on a thread of its own until destroyed; a client gets one second.
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
Result<std::string> control_call(const std::string& path, nlohmann::json request, Duration timeout);
/// Paths of all sockets in the folder, sorted.
std::vector<std::string> control_sockets(const std::string& folder);

}  // namespace swarmfs::mount
