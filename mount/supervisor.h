// The process that owns a mount: it starts the worker that does all the rest, and when the worker
// dies takes the dead mount away and starts another.
//
// It reads nothing that came from a network or a manifest, has one thread, waits for nothing
// without a limit and never looks into the mount itself.
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>
#include <string>

#include "mount/service_manager.h"
#include "mount/worker_link.h"
#include "swarm/base/clock.h"

namespace swarmfs::mount {

struct SupervisorOptions {
  std::string mountpoint;  ///< canonical
  bool restart = true;     ///< false: a dead worker is the end
  /// A worker that answers nothing for so long is killed; zero: never.
  Duration stuck_after = std::chrono::seconds(20);
  /// A worker that was told to end and has not by then is killed.
  Duration end_within = std::chrono::seconds(5);
  /// A worker that is started again and is not ready by then is killed.
  Duration start_within = std::chrono::minutes(5);
};

struct SupervisorPorts {
  /// Runs in the worker's process, a child without threads. Tells what Note names at its end of the
  /// link, and returns an ExitCode. SIGINT, SIGTERM and SIGHUP are blocked in it.
  std::function<int(Link&)> worker;
  /// In the worker's process, before `worker`: lets go of what only the supervisor may hold.
  std::function<void()> in_child = [] {};
  /// The first worker is ready; called once.
  std::function<void()> on_ready = [] {};
  /// The first worker could not start, instead of on_ready. Returns the exit code.
  std::function<int(const Error&)> on_failed;
  ServiceManager manager;
  std::shared_ptr<spdlog::logger> logger;
};

/// Runs workers until the mount has ended: by its user (unmount, SIGINT or SIGTERM to either
/// process), or because workers die again and again. Before there are threads. Returns an ExitCode;
/// no process and no mount of ours is left then, unless the system itself would not let go of one.
int supervise(const SupervisorOptions& options, SupervisorPorts ports);

}  // namespace swarmfs::mount
