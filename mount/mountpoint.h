// Mount points as the system sees them: what is mounted where, and how to get rid of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// What `mount` and /proc show as the type of our mounts.
inline constexpr const char* kMountType = "fuse.swarmfs";

struct MountEntry {
  unsigned id = 0;          ///< of the mount, wherever it is moved; used again for later ones
  unsigned connection = 0;  ///< number of the FUSE connection; used again too
  std::string type;
  /// Of a mount of ours, what no other mount ever has; 0 where the kernel does not tell (before
  /// Linux 6.8).
  std::uint64_t unique = 0;
  bool operator==(const MountEntry&) const = default;
};

/// The topmost mount on exactly this canonical path.
std::optional<MountEntry> mount_on(const std::string& canonical_path);
/// The path that this mount is on now.
std::optional<std::string> place_of(const MountEntry& mount);

/// The mount point that a canonical path is on or below.
std::string mount_holding(const std::string& canonical_path);

/// The path as the mount table writes it, for a mount point that may be dead. not_found if its
/// parent folder is not there.
Result<std::string> canonical_mountpoint(const std::string& path);

/// Checks that something can be mounted on `path` and returns it canonical. Clears a dead mount of
/// ours. not_found: not there or no folder; busy: a mount of ours lives there; permission.
Result<std::string> prepare_mountpoint(const std::string& path);

/// True if whatever is mounted there answers within the time; false if dead or stuck.
bool mount_answers(const std::string& path, Duration at_most);

/// Takes the mount off the tree at once, open files or not; as root or through fusermount3. Some
/// seconds at most.
Result<> detach_mount(const std::string& path);

enum class Removal : std::uint8_t {
  gone,     ///< it was not there any more
  removed,  ///< readers got ENOTCONN, and it is off the tree
  covered,  ///< another file system is mounted over it: readers got ENOTCONN, the mount stays
  lives,    ///< it answers, so it is another's with the same numbers: nothing was done
  refused,  ///< the system would not unmount it
};
/// Removes a mount whose process is dead or stuck, wherever it has been moved to, and nothing else.
/// Some seconds at most, as a rule milliseconds.
Removal remove_dead_mount(const MountEntry& mount);

/// Ends a FUSE connection: everyone waiting gets ENOTCONN. False if the system does not let us.
bool abort_connection(unsigned connection);

}  // namespace swarmfs::mount
