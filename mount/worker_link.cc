#include "mount/worker_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

namespace swarmfs::mount {

std::string to_text(const Error& error) {
  // 'a' and on: a text has no control characters.
  return static_cast<char>('a' + static_cast<int>(error.kind)) + error.message;
}

Error error_from_text(std::string_view text) {
  constexpr int kLast = static_cast<int>(ErrorKind::network);
  const int kind = text.empty() ? -1 : text[0] - 'a';
  if (kind < 0 || kind > kLast) return fail(ErrorKind::io, std::string(text));
  return fail(static_cast<ErrorKind>(kind), std::string(text.substr(1)));
}

Result<std::pair<Link, Link>> Link::make_pair() {
  int fds[2];
  // Packets, unlike datagrams, tell when the other end is closed.
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
    return Error::from_errno(errno, "cannot make a pair of sockets");
  return std::pair(Link(fds[0]), Link(fds[1]));
}

void Link::send(Note note, std::string_view text) const {
  std::string packet(1, static_cast<char>(note));
  packet += text.substr(0, kMaxText);
  while (::send(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
         errno == EINTR) {
  }
}

std::optional<Message> Link::receive() {
  char buffer[1 + kMaxText];
  ssize_t n = 0;
  do {
    n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return std::nullopt;
  if (n <= 0) {
    ended_ = true;
    return std::nullopt;
  }
  return Message{static_cast<Note>(buffer[0]),
                 std::string(buffer + 1, static_cast<std::size_t>(n - 1))};
}

LinkListener::LinkListener(Link& link, Handlers handlers, Duration grace)
    : link_(link),
      handlers_(std::move(handlers)),
      grace_(grace),
      end_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { run(); }) {}

LinkListener::~LinkListener() {
  const std::uint64_t one = 1;
  if (::write(end_.get(), &one, sizeof one) < 0) return;  // cannot fail on an eventfd
  thread_.join();
}

bool LinkListener::wait(int fd, int timeout_ms) const {
  pollfd fds[] = {{end_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
  while (::poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  return fds[0].revents != 0;
}

void LinkListener::run() {
  while (!link_.ended()) {
    if (wait(link_.fd(), -1)) return;
    while (const auto message = link_.receive()) handlers_.on_note(message->note);
  }
  handlers_.on_gone();
  const auto grace = std::chrono::duration_cast<std::chrono::milliseconds>(grace_);
  if (!wait(-1, static_cast<int>(grace.count()))) handlers_.on_overdue();
}

}  // namespace swarmfs::mount
