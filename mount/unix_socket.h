// Unix stream sockets with deadlines.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "swarm/base/clock.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Nothing fits if the path is longer than the system allows.
inline bool to_address(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

inline int milliseconds_until(TimePoint deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return left.count() < 0 ? 0 : static_cast<int>(left.count()) + 1;
}

/// Reads up to a newline, which is dropped. too long: bad_input; closed early: protocol.
inline Result<std::string> receive_line(int fd, std::size_t max_length, TimePoint deadline) {
  std::string line;
  char buffer[4096];
  while (true) {
    pollfd p{fd, POLLIN, 0};
    const int ready = ::poll(&p, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(ErrorKind::timed_out, "no answer on the control socket");
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return Error::from_errno(errno, "control socket");
    if (n == 0) return fail(ErrorKind::protocol, "the control socket closed before a whole line");
    const std::string_view part(buffer, static_cast<std::size_t>(n));
    const std::size_t newline = part.find('\n');
    line += part.substr(0, newline);
    if (line.size() > max_length) return fail(ErrorKind::bad_input, "the line is too long");
    if (newline != std::string_view::npos) return line;
  }
}

inline Result<> send_all(int fd, std::string_view text, TimePoint deadline) {
  while (!text.empty()) {
    pollfd p{fd, POLLOUT, 0};
    const int ready = ::poll(&p, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(ErrorKind::timed_out, "the control socket takes nothing");
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return Error::from_errno(errno, "control socket");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace swarmfs::mount
