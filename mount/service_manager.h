// What a service manager is told: sd_notify(3)'s protocol, a datagram of lines to a Unix socket.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// Tells nobody if nobody asked. Only the process that the manager started should talk.
class ServiceManager {
 public:
  /// There is none.
  ServiceManager() = default;
  /// As sd_notify(3) and sd_watchdog_enabled(3) define the variables; null where one is not set.
  /// `self` is the process that will talk: a watchdog meant for another process is none.
  ServiceManager(const char* notify_socket, const char* watchdog_usec, const char* watchdog_pid,
                 pid_t self);
  /// From the environment, out of which it takes them, so that no child talks too. Before there are
  /// threads.
  static ServiceManager from_environment();

  bool present() const { return !socket_.empty(); }
  /// How often it wants WATCHDOG=1 at the least.
  std::optional<Duration> watchdog() const { return watchdog_; }
  /// Lines such as "READY=1\nMAINPID=7". Never waits; what cannot be delivered is dropped.
  void tell(std::string_view lines) const;
  /// "STATUS=" and the text in one line, whatever is in it.
  void tell_status(std::string_view text) const;

 private:
  std::string socket_;
  std::optional<Duration> watchdog_;
};

}  // namespace swarmfs::mount
