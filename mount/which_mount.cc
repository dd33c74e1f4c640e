#include "mount/which_mount.h"

#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <vector>

#include "mount/control.h"
#include "mount/mountpoint.h"

namespace swarmfs::mount {

using nlohmann::json;

/// A mount that is busy still answers what it is called.
static constexpr Duration kAnswerTime = std::chrono::seconds(3);

Result<WhichMount> mount_at(const std::string& mountpoint) {
  const auto path = canonical_mountpoint(mountpoint);
  if (!path) return path.error();
  const auto folder = control_folder();
  if (!folder) return folder.error();
  return WhichMount{*path, control_path(*folder, *path), ""};
}

Result<WhichMount> mount_of(const std::string& given) {
  struct stat st {};
  // A dead mount is told apart from a path that is not there: the socket says.
  if (::lstat(given.c_str(), &st) != 0 && errno != ENOTCONN)
    return Error::from_errno(errno, "cannot look at " + given);
  const auto path = canonical_mountpoint(given);
  if (!path) return path.error();
  const std::string point = mount_holding(*path);
  const auto entry = mount_on(point);
  if (!entry || entry->type != kMountType)
    return fail(ErrorKind::not_found, given + " is not on a swarmfs mount");
  const auto folder = control_folder();
  if (!folder) return folder.error();
  return WhichMount{point, control_path(*folder, point),
                    path->size() > point.size() ? path->substr(point.size() + 1) : ""};
}

Result<WhichMount> mount_meant(const std::string& mountpoint, const std::string& option) {
  if (!mountpoint.empty()) return mount_at(mountpoint);
  const auto folder = control_folder();
  if (!folder) return folder.error();
  std::vector<WhichMount> running;
  std::string names;
  for (const auto& socket : control_sockets(*folder)) {
    const auto reply = control_request(socket, "status", kAnswerTime);
    if (!reply && reply.error().kind == ErrorKind::not_found) continue;  // left by a dead one
    if (!reply) return reply.error();
    const json status = json::parse(*reply).value("status", json::object());
    running.push_back({status.value("mountpoint", ""), socket, ""});
    names += (names.empty() ? "" : ", ") + running.back().mountpoint;
  }
  if (running.empty()) return fail(ErrorKind::not_found, "no swarmfs of yours is mounted");
  if (running.size() > 1)
    return fail(ErrorKind::bad_input,
                "several are mounted: " + names + "; say which with " + option);
  return running.front();
}

}  // namespace swarmfs::mount
