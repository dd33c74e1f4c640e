#include "mount/control.h"

#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "mount/unix_socket.h"
#include "swarm/base/hash.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
constexpr Duration kClientTime = std::chrono::seconds(3);
constexpr int kServers = 4;

std::string dumped(const json& value) {
  // Names from torrents need not be UTF-8.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The whole reply from what a handler returned.
std::string finished(json fields) {
  fields["version"] = kControlVersion;
  fields["ok"] = !fields.contains("error");
  return dumped(fields);
}

std::string refused(const std::string& why) {
  return finished(refusal({ErrorKind::protocol, why}));
}

/// The kind that a reply names, as to_string() writes it.
ErrorKind kind_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::gone); ++i)
    if (to_string(static_cast<ErrorKind>(i)) == name) return static_cast<ErrorKind>(i);
  return ErrorKind::busy;
}

Result<Fd> connected(const std::string& path) {
  sockaddr_un address{};
  if (!to_address(path, address))
    return fail(ErrorKind::bad_input, "the socket path " + path + " is too long");
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Error::from_errno(errno, "cannot make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const bool nobody = errno == ECONNREFUSED || errno == ENOENT;
    if (nobody) return fail(ErrorKind::not_found, "no swarmfs listens on " + path);
    return Error::from_errno(errno, "cannot connect to " + path);
  }
  return fd;
}

bool peer_may_command(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

}  // namespace

json refusal(const Error& error) {
  return {{"error", error.message}, {"kind", to_string(error.kind)}};
}

Result<std::string> control_folder() {
  const std::string uid = std::to_string(::geteuid());
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::string base = runtime != nullptr && *runtime == '/' ? runtime : "/run/user/" + uid;
  struct stat st {};
  const bool usable =
      ::stat(base.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && ::access(base.c_str(), W_OK) == 0;
  const std::string folder = usable ? base + "/swarmfs" : "/tmp/swarmfs-" + uid;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::from_errno(errno, "cannot make " + folder);
  // In /tmp anybody may have been first.
  if (::lstat(folder.c_str(), &st) != 0) return Error::from_errno(errno, "cannot use " + folder);
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 077) != 0) {
    return fail(ErrorKind::permission,
                folder + " must be a folder of yours that nobody else may enter; remove it");
  }
  return folder;
}

std::string control_path(const std::string& folder, const std::string& mountpoint) {
  const Sha1Hash digest = sha1(as_bytes(mountpoint));
  return folder + "/" + to_hex(ByteView(digest).first(8)) + ".sock";
}

std::string control_reply(std::string_view request, const ControlHandlers& handlers,
                          bool& unmount) {
  unmount = false;
  const json asked = json::parse(request, nullptr, false);
  if (!asked.is_object()) return refused("the request is not a JSON object");
  const auto version = asked.find("version");
  if (version == asked.end() || *version != kControlVersion)
    return refused("the request is not of version " + std::to_string(kControlVersion));
  const auto command = asked.find("command");
  if (command == asked.end() || !command->is_string()) return refused("the request has no command");
  const auto& name = command->get_ref<const std::string&>();
  if (name == "unmount") {
    unmount = true;
    return finished(json::object());
  }
  const auto handler = handlers.commands.find(name);
  if (handler == handlers.commands.end()) return refused("unknown command");
  try {
    return finished(handler->second(asked));
  } catch (const std::exception& e) {
    return refused(e.what());
  }
}

struct ControlServer::Impl {
  std::string path;
  ControlHandlers handlers;
  Fd listener;
  Fd wake;
  std::atomic<bool> ends{false};
  std::vector<std::jthread> threads;

  /// Each thread serves one client at a time: they are the owner's, few, and cut off after
  /// kClientTime, so that those that say nothing do not keep others out for long.
  void run() {
    while (!ends) {
      pollfd fds[] = {{listener.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
      if (ends) return;
      const Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.valid() && peer_may_command(client.get())) serve(client.get());
    }
  }

  void serve(int client) const {
    const auto deadline = [] { return std::chrono::steady_clock::now() + kClientTime; };
    const auto line = receive_line(client, kMaxControlRequest, deadline());
    bool unmount = false;
    const std::string reply =
        line ? control_reply(*line, handlers, unmount) : refused(line.error().message);
    static_cast<void>(send_all(client, reply + "\n", deadline()));
    if (unmount) handlers.unmount();
  }
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(const std::string& path,
                                                             ControlHandlers handlers) {
  sockaddr_un address{};
  if (!to_address(path, address))
    return fail(ErrorKind::bad_input, "the socket path " + path + " is too long");
  if (connected(path)) return fail(ErrorKind::busy, "another swarmfs listens on " + path);
  ::unlink(path.c_str());
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->handlers = std::move(handlers);
  impl->listener = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  impl->wake = Fd(::eventfd(0, EFD_CLOEXEC));
  const int fd = impl->listener.get();
  if (fd < 0 || impl->wake.get() < 0) return Error::from_errno(errno, "cannot make a socket");
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(fd, 16) != 0) {
    return Error::from_errno(errno, "cannot listen on " + path);
  }
  for (int i = 0; i < kServers; ++i) impl->threads.emplace_back([raw = impl.get()] { raw->run(); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::~ControlServer() {
  impl_->ends = true;
  const std::uint64_t one = 1;
  if (::write(impl_->wake.get(), &one, sizeof one) < 0) return;  // cannot fail on an eventfd
  impl_->threads.clear();
  ::unlink(impl_->path.c_str());
}

Result<std::string> control_request(const std::string& path, std::string_view command,
                                    Duration timeout, std::string_view about) {
  json request = {{"command", command}};
  if (!about.empty()) request["path"] = about;
  return control_send(path, std::move(request), timeout);
}

Result<std::string> control_send(const std::string& path, json request, Duration timeout) {
  const auto fd = connected(path);
  if (!fd) return fd.error();
  const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
  request["version"] = kControlVersion;
  const auto sent = send_all(fd->get(), dumped(request) + "\n", deadline);
  if (!sent) return sent.error();
  const auto line = receive_line(fd->get(), kMaxControlReply, deadline);
  if (!line) return line.error();
  const json reply = json::parse(*line, nullptr, false);
  if (!reply.is_object() || reply.value("version", 0) != kControlVersion || !reply.contains("ok") ||
      !reply["ok"].is_boolean()) {
    return fail(ErrorKind::protocol, "the answer on " + path + " is not one of this version");
  }
  if (!reply["ok"].get<bool>())
    return fail(kind_named(reply.value("kind", "")), reply.value("error", "refused"));
  return *line;
}

std::vector<std::string> control_sockets(const std::string& folder) {
  std::vector<std::string> paths;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return paths;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name.ends_with(".sock")) paths.push_back(folder + "/" + name);
  }
  ::closedir(dir);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace swarmfs::mount
