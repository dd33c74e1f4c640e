#include "mount/mountpoint.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "mount/unique_mounts.h"

extern char** environ;

namespace swarmfs::mount {

namespace {

/// Undoes the octal escapes of /proc/self/mountinfo.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct TableLine {
  MountEntry entry;
  unsigned parent = 0;  ///< id of the mount that it stands on
  std::string path;
};

/// What is mounted in this namespace, as /proc/self/mountinfo has it.
std::vector<TableLine> mount_table() {
  std::ifstream table("/proc/self/mountinfo");
  std::vector<TableLine> lines;
  for (std::string text; std::getline(table, text);) {
    // "id parent major:minor root mountpoint options [tags] - type source options"
    std::istringstream fields(text);
    TableLine line;
    std::string device, root, point, field;
    fields >> line.entry.id >> line.parent >> device >> root >> point;
    while (fields >> field && field != "-") {
    }
    fields >> line.entry.type;
    line.path = unescaped(point);
    const auto colon = device.find(':');
    if (colon != std::string::npos)
      line.entry.connection =
          static_cast<unsigned>(std::strtoul(device.c_str() + colon + 1, nullptr, 10));
    lines.push_back(std::move(line));
  }
  const auto ours = [](const TableLine& line) { return line.entry.type == kMountType; };
  if (std::none_of(lines.begin(), lines.end(), ours)) return lines;
  const auto known = unique_mounts();
  for (TableLine& line : lines) {
    if (!ours(line)) continue;
    for (const UniqueMount& mount : known)
      if (mount.id == line.entry.id && mount.minor == line.entry.connection)
        line.entry.unique = mount.unique;
  }
  return lines;
}

/// Waits for a child up to the time, then kills it. Its exit status, or nothing if killed.
std::optional<int> wait_for_child(pid_t child, Duration at_most) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  int status = 0;
  while (true) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child)
      return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
    if (ended < 0 && errno != EINTR) return std::nullopt;
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return std::nullopt;
}

/// Runs `body`, which may hang in the kernel, in a child: what it returned, or nothing if it was
/// killed. It may only make system calls.
template <class Body>
std::optional<int> in_child(Duration at_most, Body body) {
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  // Not _exit(), at which a sanitizer would look for what the threads left behind are up to.
  if (child == 0) ::syscall(SYS_exit_group, body());
  return wait_for_child(child, at_most);
}

constexpr Duration kAnswerTime = std::chrono::milliseconds(500);

enum class Sight { answers, dead, another };

/// What is seen at a path where this mount should be the topmost.
Sight look_at(const std::string& path, const MountEntry& mount) {
  const auto status = in_child(kAnswerTime, [&] {
    struct statx st {};
    const bool seen = ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                              STATX_TYPE, &st) == 0;
    if (seen && (st.stx_dev_major != 0 || st.stx_dev_minor != mount.connection))
      return static_cast<int>(Sight::another);  // a folder above it is covered
    struct statvfs space {};
    const bool answers = ::statvfs(path.c_str(), &space) == 0;
    return static_cast<int>(answers ? Sight::answers : Sight::dead);
  });
  return status ? static_cast<Sight>(*status) : Sight::dead;
}

constexpr Duration kUnmountTime = std::chrono::seconds(5);

/// In a child, because a folder above the mount point may hang.
Result<> unmount(const std::string& path, int flags) {
  const auto status = in_child(
      kUnmountTime, [&] { return ::umount2(path.c_str(), flags) == 0 ? 0 : std::min(errno, 255); });
  if (status == 0) return {};
  if (!status) return fail(ErrorKind::timed_out, "unmounting " + path + " hangs");
  return Error::from_errno(*status, "cannot unmount " + path);
}

Result<> check_folder(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return Error::from_errno(errno, "cannot use the mount point " + path);
  if (!S_ISDIR(st.st_mode))
    return fail(ErrorKind::not_found, "the mount point " + path + " is not a folder");
  if (::geteuid() != 0 && ::access(path.c_str(), W_OK) != 0) {
    return fail(ErrorKind::permission,
                "you may not write to the mount point " + path + "; mount on a folder of yours");
  }
  return {};
}

}  // namespace

std::optional<MountEntry> mount_on(const std::string& canonical_path) {
  std::vector<TableLine> here;
  for (TableLine& line : mount_table())
    if (line.path == canonical_path) here.push_back(std::move(line));
  // The topmost stands on all others; of two that stand on none of these, the later one is seen.
  const TableLine* top = nullptr;
  for (const TableLine& line : here) {
    const bool below = std::any_of(here.begin(), here.end(), [&](const TableLine& other) {
      return other.parent == line.entry.id && other.entry.id != line.entry.id;
    });
    if (!below) top = &line;
  }
  return top != nullptr ? std::optional(top->entry) : std::nullopt;
}

std::optional<std::string> place_of(const MountEntry& mount) {
  for (const TableLine& line : mount_table())
    if (line.entry == mount) return line.path;
  return std::nullopt;
}

std::string mount_holding(const std::string& canonical_path) {
  std::filesystem::path path = canonical_path;
  while (path.has_relative_path() && !mount_on(path.string())) path = path.parent_path();
  return path.string();
}

Result<std::string> canonical_mountpoint(const std::string& path) {
  namespace stdfs = std::filesystem;
  std::error_code error;
  // A dead mount cannot be looked at, its parent can.
  stdfs::path full = stdfs::absolute(path, error).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();
  const stdfs::path whole = stdfs::canonical(full, error);
  if (!error) return whole.string();
  const stdfs::path parent = stdfs::canonical(full.parent_path(), error);
  if (error) return Error::from_errno(error.value(), "cannot use the mount point " + path);
  return (parent / full.filename()).string();
}

Result<std::string> prepare_mountpoint(const std::string& path) {
  const auto canonical = canonical_mountpoint(path);
  if (!canonical) return canonical.error();
  const auto mounted = mount_on(*canonical);
  if (mounted && mounted->type == kMountType) {
    if (mount_answers(*canonical, std::chrono::seconds(2))) {
      return fail(ErrorKind::busy, "swarmfs is mounted on " + path +
                                       " already; end it with \"swarmfs unmount " + path + "\"");
    }
    if (const auto gone = detach_mount(*canonical); !gone) {
      return fail(ErrorKind::busy,
                  "a dead mount is on " + path + " and cannot be removed: " + gone.error().message);
    }
  }
  const auto folder = check_folder(*canonical);
  if (!folder) return folder.error();
  return *canonical;
}

bool mount_answers(const std::string& path, Duration at_most) {
  const auto status = in_child(at_most, [&path] {
    struct statvfs st {};
    return ::statvfs(path.c_str(), &st) == 0 ? 0 : 1;
  });
  return status == 0;
}

Result<> detach_mount(const std::string& path) {
  const auto unmounted = unmount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (unmounted || unmounted.error().kind != ErrorKind::permission) return unmounted;
  std::string words[] = {"fusermount3", "-u", "-q", "-z", "--", path};
  char* argv[7] = {};
  for (std::size_t i = 0; i < 6; ++i) argv[i] = words[i].data();
  pid_t child = 0;
  const int spawned = ::posix_spawnp(&child, "fusermount3", nullptr, nullptr, argv, environ);
  if (spawned != 0) return Error::from_errno(spawned, "cannot run fusermount3");
  if (wait_for_child(child, kUnmountTime) == 0) return {};
  return fail(ErrorKind::permission, "fusermount3 could not unmount " + path);
}

Removal remove_dead_mount(const MountEntry& mount) {
  const auto place = place_of(mount);
  if (!place) return Removal::gone;
  const Sight sight = mount_on(*place) == mount ? look_at(*place, mount) : Sight::another;
  // Before Linux 6.8 the numbers may be another's by now.
  if (sight == Sight::answers) return Removal::lives;
  // Of a dead process it is cut already; one that hangs in the kernel keeps it up.
  const bool cut = abort_connection(mount.connection);
  if (sight == Sight::another) return Removal::covered;
  // Where the system has no switch for it, forcing does the same before it unmounts.
  const int force = cut ? 0 : MNT_FORCE;
  if (unmount(*place, force | MNT_DETACH | UMOUNT_NOFOLLOW) || detach_mount(*place))
    return Removal::removed;
  return place_of(mount) ? Removal::refused : Removal::gone;
}

bool abort_connection(unsigned connection) {
  const std::string path = "/sys/fs/fuse/connections/" + std::to_string(connection) + "/abort";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = ::write(fd, "1", 1) == 1;
  ::close(fd);
  return done;
}

}  // namespace swarmfs::mount
