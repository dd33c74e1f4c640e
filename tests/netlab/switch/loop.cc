#include "tests/netlab/switch/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>

namespace swarmfs::netlab {
namespace {

/// Frames from one host before others have their turn.
constexpr int kBatch = 64;
/// See pace(). The credit is for what comes alone: a question and its answer, a ping.
constexpr Duration kTurn = std::chrono::microseconds(150);
constexpr Duration kCredit = 20 * kTurn;
constexpr std::size_t kLongestLine = 4096;

TimePoint now() { return Clock::now(); }

int check(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw std::system_error(ENAMETOOLONG, std::generic_category(), path);
  }
  path.copy(address.sun_path, path.size());
  Fd fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), path);
  check(::listen(fd.get(), 16), path);
  return fd;
}

}  // namespace

Loop::Loop(const std::string& socket_path, std::uint64_t seed)
    : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll")),
      listener_(listen_at(socket_path)),
      network_(seed, [this](PortIndex to, const Frame& frame) { taps_[to]->write(frame); }) {
  watch(listener_.get(), [this] { accept(); });
}

void Loop::watch(int fd, std::function<void()> ready) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  ready_[fd] = std::move(ready);
}

void Loop::run() {
  while (true) {
    network_.advance(now());
    pace();
    wait();
  }
}

/// Keeps the turns of the loop to one per kTurn, once kCredit is used up.
///
/// Waking up costs ten times what is done then, above all in a virtual machine: one turn for each
/// packet of a fast flow would take half a core from the programs that are measured. A frame is
/// late by a kTurn at most, and lateness never adds up: the network counts in the times at which
/// things were due.
void Loop::pace() {
  const TimePoint time = now();
  paced_ = std::max(paced_, time - kCredit) + kTurn;
  if (paced_ <= time) return;
  const Duration left = paced_ - time;
  const timespec pause{0, left.count()};
  ::nanosleep(&pause, nullptr);
}

void Loop::wait() {
  std::array<epoll_event, 64> events;
  const TimePoint next = network_.next();
  timespec timeout{};
  if (next != kNever) {
    const Duration left = std::max(next - now(), Duration(0));
    timeout.tv_sec = left / std::chrono::seconds(1);
    timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
  }
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), events.size(),
                                   next == kNever ? nullptr : &timeout, nullptr);
  if (count < 0 && errno != EINTR) check(count, "epoll_pwait2");
  for (int i = 0; i < count; ++i) {
    const auto found = ready_.find(events[static_cast<std::size_t>(i)].data.fd);
    if (found == ready_.end()) continue;
    const std::function<void()> ready = found->second;  // a copy: it may take itself off the list
    ready();
  }
}

void Loop::accept() {
  Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  const int number = fd.get();
  clients_[number].fd = std::move(fd);
  watch(number, [this, number] { read_commands(number); });
}

void Loop::read_commands(int number) {
  Client& client = clients_.at(number);
  std::array<char, kLongestLine> buffer;
  const ssize_t got = ::recv(number, buffer.data(), buffer.size(), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got > 0) client.unread.append(buffer.data(), static_cast<std::size_t>(got));
  std::string answers;
  std::size_t begin = 0;
  for (std::size_t end; (end = client.unread.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string_view line = std::string_view(client.unread).substr(begin, end - begin);
    const auto attach = [this](PortIndex port, const std::string& netns) {
      auto tap = std::make_unique<Tap>(netns, "eth0");
      watch(tap->fd(), [this, port] { read_frames(port); });
      taps_.push_back(std::move(tap));
    };
    answers += execute(line, network_, attach, now()) + "\n";
  }
  client.unread.erase(0, begin);
  // Answers are short and one is asked for at a time: a socket without room for one is not ours.
  const bool answered =
      answers.empty() || ::send(number, answers.data(), answers.size(), MSG_NOSIGNAL) ==
                             static_cast<ssize_t>(answers.size());
  if (got <= 0 || !answered || client.unread.size() >= kLongestLine) {
    clients_.erase(number);  // closed, and so no longer in the epoll set
    ready_.erase(number);
  }
}

void Loop::read_frames(PortIndex port) {
  for (int i = 0; i < kBatch; ++i) {
    Frame frame;
    if (!taps_[port]->read(frame)) return;
    network_.receive(port, std::move(frame), now());
  }
}

}  // namespace swarmfs::netlab
