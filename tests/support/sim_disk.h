// A disk in memory that can lose power, fill up and fail.
//
// It keeps, for every file and every name, what is durable and each change since: after a crash
// any legal mixture of those may be found. Files by sectors of 512 B or 4 KiB, each in any of the
// versions it had since the last sync; lengths and names likewise, each on its own. SQLite runs on
// the same disk through a VFS.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cache/disk.h"

namespace swarmfs::test {

namespace fs = std::filesystem;

/// Which of the legal states a crash leaves.
enum class CrashStyle : std::uint8_t {
  drop_all,    ///< nothing unsynced survives
  keep_all,    ///< everything unsynced survives
  in_order,    ///< per file, the first changes survive, the last of them torn
  mixed_512,   ///< every 512 B sector, length and name in any version it had
  mixed_4096,  ///< the same with 4 KiB sectors
};
inline constexpr CrashStyle kCrashStyles[] = {CrashStyle::drop_all, CrashStyle::keep_all,
                                              CrashStyle::in_order, CrashStyle::mixed_512,
                                              CrashStyle::mixed_4096};

class SimDisk final : public cache::Disk {
 public:
  enum class OpKind : std::uint8_t { write, resize, sync, make, remove, rename, sync_folder, read };
  struct Op {
    OpKind kind;
    std::string path;
  };

  SimDisk();
  ~SimDisk() override;

  /// Errno that an operation fails with, 0 for none. Asked without a lock held.
  std::function<int(const Op&)> fault;
  /// After a failed sync: true if the file reads as it was written although it never will be on
  /// disk (ext4), false if it reads as it is on disk (xfs, btrfs).
  bool failed_sync_keeps_cache = false;
  /// True if every read has to ask the disk.
  bool caches_nothing = false;
  /// Bytes that fit; counted in sectors ever written.
  std::uint64_t capacity = UINT64_MAX;

  /// The power fails at the n-th changing operation from now (1: the next): it may or may not
  /// reach the disk, and from then on everything fails.
  void die_at(std::uint64_t n) { die_at_ = operations_ + n; }
  bool dead() const { return dead_; }
  /// Changing operations so far.
  std::uint64_t operations() const { return operations_; }
  std::uint64_t open_files() const { return open_files_; }
  std::uint64_t most_open_files() const { return most_open_files_; }

  /// A disk as it may be found after the power failed now.
  std::unique_ptr<SimDisk> after_crash(CrashStyle style, std::uint64_t seed) const;
  /// Changes one byte of a file, behind everyone's back and durably.
  void flip(const fs::path& path, std::uint64_t offset);
  /// Content of a file as it reads now; empty if missing.
  Bytes content(const fs::path& path) const;
  void replace(const fs::path& path, Bytes content);

  // cache::Disk
  Result<std::unique_ptr<cache::DiskFile>> open(const fs::path& path,
                                                cache::OpenMode mode) override;
  Result<bool> make_folder(const fs::path& path, unsigned permissions) override;
  Result<> sync_folder(const fs::path& path) override;
  Result<std::vector<std::string>> list(const fs::path& path) override;
  bool exists(const fs::path& path) override;
  Result<> remove(const fs::path& path) override;
  Result<> rename(const fs::path& from, const fs::path& to) override;
  Result<cache::DiskSpace> space(const fs::path& path) override;
  Result<std::unique_ptr<cache::DiskLock>> lock(const fs::path& path) override;
  const char* sqlite_vfs() const override { return vfs_name_.c_str(); }

 private:
  friend class SimFile;
  friend class SimLock;

  struct Change {
    bool is_write = true;
    std::uint64_t offset = 0;  ///< of a write; the new length of a resize
    Bytes bytes;
  };
  struct Node {
    bool folder = false;
    Bytes now;
    Bytes durable;
    std::vector<Change> unsynced;
    std::set<std::uint64_t> sectors;  ///< of 512 B, ever written
  };
  using NodePtr = std::shared_ptr<Node>;
  /// Versions of a name since its folder was synced, the durable one first; null: not there.
  using Name = std::vector<NodePtr>;

  static void apply(Bytes& content, const Change& change);
  static void sync_node(Node& node);
  Bytes crashed(const Node& node, CrashStyle style, std::mt19937_64& rng) const;
  NodePtr find(const fs::path& path) const;
  void set_name(const fs::path& path, NodePtr node);
  /// Counts a changing operation. Nothing: go on. Otherwise the errno to fail with; with EIO of a
  /// dying disk the change is still to be noted as unsynced.
  int before(OpKind kind, const fs::path& path);
  std::uint64_t used() const;

  mutable std::recursive_mutex mutex_;
  std::map<std::string, Name> names_;
  std::set<std::string> locked_;
  std::uint64_t operations_ = 0;
  std::uint64_t die_at_ = 0;
  bool dead_ = false;
  std::uint64_t open_files_ = 0;
  std::uint64_t most_open_files_ = 0;
  std::string vfs_name_;
  std::unique_ptr<struct SimVfs> vfs_;
};

}  // namespace swarmfs::test
