#include "mount/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "swarm/base/fd.h"

namespace swarmfs::mount {

namespace {

std::optional<std::uint64_t> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  const char* const end = text + std::strlen(text);
  std::uint64_t value = 0;
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc{} && at == end ? std::optional(value) : std::nullopt;
}

}  // namespace

ServiceManager::ServiceManager(const char* notify_socket, const char* watchdog_usec,
                               const char* watchdog_pid, pid_t self) {
  const std::string_view path = notify_socket == nullptr ? "" : notify_socket;
  const bool usable = path.size() > 1 && (path[0] == '/' || path[0] == '@') &&
                      path.size() < sizeof(sockaddr_un::sun_path);
  if (!usable) return;
  socket_ = path;
  const auto usec = number(watchdog_usec);
  const auto pid = number(watchdog_pid);
  constexpr std::uint64_t kLongest = 366ULL * 86400 * 1'000'000;
  const bool meant_for_us = watchdog_pid == nullptr || pid == static_cast<std::uint64_t>(self);
  if (usec && *usec > 0 && *usec <= kLongest && meant_for_us)
    watchdog_ = std::chrono::microseconds(*usec);
}

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager(std::getenv("NOTIFY_SOCKET"), std::getenv("WATCHDOG_USEC"),
                         std::getenv("WATCHDOG_PID"), ::getpid());
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  return manager;
}

void ServiceManager::tell(std::string_view lines) const {
  if (!present()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return;
  static_cast<void>(::sendto(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), length));
}

void ServiceManager::tell_status(std::string_view text) const {
  std::string line = "STATUS=";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  tell(line);
}

}  // namespace swarmfs::mount
