// swarmfs unmount: ends a mount cleanly if it can be, by force if not, and says which.
#include <sys/mount.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/mountpoint.h"

namespace swarmfs::mount {

namespace {

constexpr Duration kAnswerTime = std::chrono::seconds(3);
constexpr Duration kEndTime = std::chrono::seconds(15);

bool gone(const std::string& path) {
  const auto entry = mount_on(path);
  return !entry || entry->type != kMountType;
}

bool wait_gone(const std::string& path, const std::string& socket) {
  const auto deadline = std::chrono::steady_clock::now() + kEndTime;
  const auto ended = [&] {
    // The socket goes last, when the cache is closed.
    return gone(path) && !control_request(socket, "status", std::chrono::milliseconds(500));
  };
  while (!ended()) {
    if (std::chrono::steady_clock::now() >= deadline) return gone(path);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// Takes the mount away and cuts its connection in one go, which only root may, and which works
/// where fusectl, the file system that abort_connection() needs, is not mounted.
bool detach_by_kernel(const std::string& path) {
  return ::umount2(path.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
}

/// For a daemon that is dead or does not listen: cuts its connection, without which whoever waits
/// would wait on, and takes the mount away.
int by_force(const std::string& path, const MountEntry& entry) {
  if (mount_on(path) != entry) return kOk;  // gone in the end; its numbers may be another's
  const bool cut = abort_connection(entry.connection) || detach_by_kernel(path);
  // A daemon that lives takes a mount away itself once its connection is cut.
  const auto detached = gone(path) ? Result<>() : detach_mount(path);
  if (!gone(path))
    return report(detached ? fail(ErrorKind::busy, path + " is still mounted") : detached.error());
  std::fprintf(stderr, "swarmfs: the mount did not answer; it was taken away%s\n",
               cut ? " and its connection cut"
                   : ", but its connection could not be cut: reads that wait go on waiting until "
                     "its process ends");
  return kOk;
}

int run(const std::string& mountpoint) {
  const auto path = canonical_mountpoint(mountpoint);
  if (!path) return report(path.error());
  const auto entry = mount_on(*path);
  if (!entry || entry->type != kMountType)
    return report(fail(ErrorKind::not_found, "no swarmfs is mounted on " + mountpoint));
  const auto folder = control_folder();
  if (!folder) return report(folder.error());
  const std::string socket = control_path(*folder, *path);
  if (control_request(socket, "unmount", kAnswerTime) && wait_gone(*path, socket)) return kOk;
  return by_force(*path, *entry);
}

}  // namespace

void add_unmount(Command app, Context& context) {
  const Command command =
      app.add("unmount", "End a mount; by force if its program does not answer");
  const auto mountpoint = std::make_shared<std::string>();  // lives as long as the callback
  command.option("MOUNTPOINT", *mountpoint, "Where it is mounted").required();
  command.callback(
      [mountpoint, &context] { context.run = [mountpoint] { return run(*mountpoint); }; });
}

}  // namespace swarmfs::mount
