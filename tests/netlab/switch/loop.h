// Where frames, time and commands come in: one thread that waits for whichever is next.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/netlab/switch/control.h"
#include "tests/netlab/switch/fd.h"
#include "tests/netlab/switch/network.h"
#include "tests/netlab/switch/tap.h"

namespace swarmfs::netlab {

class Loop {
 public:
  /// Listens for commands at a Unix socket of that path, which must not exist. Throws
  /// std::system_error.
  Loop(const std::string& socket_path, std::uint64_t seed);

  /// Runs until the process is killed.
  [[noreturn]] void run();

 private:
  void watch(int fd, std::function<void()> ready);
  void accept();
  void read_commands(int client);
  void read_frames(PortIndex port);
  void pace();
  void wait();

  Fd epoll_, listener_;
  Network network_;
  std::vector<std::unique_ptr<Tap>> taps_;  ///< by port
  struct Client {
    Fd fd;
    std::string unread;  ///< the beginning of a line
  };
  std::map<int, Client> clients_;
  std::map<int, std::function<void()>> ready_;  ///< what to do when a descriptor is readable
  TimePoint paced_{};                           ///< to where pace() has counted
};

}  // namespace swarmfs::netlab
