#include "mount/mountpoint.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

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
  std::ifstream table("/proc/self/mountinfo");
  std::optional<MountEntry> found;
  for (std::string line; std::getline(table, line);) {
    // "id parent major:minor root mountpoint options [tags] - type source options"
    std::istringstream fields(line);
    std::string id, parent, device, root, point, field;
    fields >> id >> parent >> device >> root >> point;
    if (unescaped(point) != canonical_path) continue;
    while (fields >> field && field != "-") {
    }
    MountEntry entry;
    fields >> entry.type;
    const auto colon = device.find(':');
    if (colon != std::string::npos)
      entry.connection =
          static_cast<unsigned>(std::strtoul(device.c_str() + colon + 1, nullptr, 10));
    found = entry;
  }
  return found;
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
  // In a child, because a stuck mount would keep whoever asks.
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    struct statvfs st {};
    ::_exit(::statvfs(path.c_str(), &st) == 0 ? 0 : 1);
  }
  return wait_for_child(child, at_most) == 0;
}

Result<> detach_mount(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  const int error = errno;
  if (error != EPERM) return Error::from_errno(error, "cannot unmount " + path);
  std::string words[] = {"fusermount3", "-u", "-q", "-z", "--", path};
  char* argv[7] = {};
  for (std::size_t i = 0; i < 6; ++i) argv[i] = words[i].data();
  pid_t child = 0;
  const int spawned = ::posix_spawnp(&child, "fusermount3", nullptr, nullptr, argv, environ);
  if (spawned != 0) return Error::from_errno(spawned, "cannot run fusermount3");
  if (wait_for_child(child, std::chrono::seconds(5)) == 0) return {};
  return fail(ErrorKind::permission, "fusermount3 could not unmount " + path);
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
