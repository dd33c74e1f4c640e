// The process that does the work of a mount, under a supervisor.
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>

#include "mount/mount_service.h"
#include "mount/worker_link.h"

namespace swarmfs::mount {

/// Mounts and serves until the mount ends, by its user or because the supervisor is gone; tells the
/// supervisor what Note names. `on_visible` is called when the tree is. Returns an ExitCode; errors
/// have been told to the supervisor.
int run_worker(Link& link, MountOptions options, const std::shared_ptr<spdlog::logger>& logger,
               const std::function<void()>& on_visible);

}  // namespace swarmfs::mount
