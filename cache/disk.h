// The port between the cache and the local disk.
//
// Everything the cache writes goes through here, so that a simulated disk can stand in for the
// real one and show every state that a crash may leave. SQLite reaches the same disk through the
// VFS that sqlite_vfs() names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"

namespace swarmfs::cache {

namespace fs = std::filesystem;

enum class OpenMode : std::uint8_t {
  read,    ///< an existing file, not to be written
  update,  ///< an existing file, read and write
  create,  ///< as update, made if missing
  folder,  ///< a directory, to be synced
};

/// An open file. All methods are thread-safe; the last owner closes it.
class DiskFile {
 public:
  virtual ~DiskFile() = default;

  /// Bytes read at `offset`: fewer than asked for only at the end of the file.
  virtual Result<std::size_t> read(MutableByteView out, std::uint64_t offset) = 0;
  /// Fills `out` from memory, or gives up with false where the disk would have to be asked.
  virtual bool read_cached(MutableByteView out, std::uint64_t offset) = 0;
  /// Writes all parts one after the other from `offset` on, or fails having written any of them.
  virtual Result<> write(std::span<const ByteView> parts, std::uint64_t offset) = 0;
  /// Waits until the content and its size survive a crash. After a failure nothing written since
  /// the last success may be relied on.
  virtual Result<> sync() = 0;
  /// The same for everything of the filesystem that this file is on, names included.
  virtual Result<> sync_filesystem() = 0;
  /// Sets the length; what is added is a hole that reads as zeros.
  virtual Result<> resize(std::uint64_t length) = 0;
  virtual Result<std::uint64_t> size() = 0;
  /// False if part of the range was certainly never written.
  virtual bool has_data(std::uint64_t offset, std::uint64_t length) = 0;
  /// Another descriptor of it, for the kernel to read; invalid if there is none to be had.
  virtual Fd duplicate() const { return Fd(); }
};

/// Held until destroyed.
class DiskLock {
 public:
  virtual ~DiskLock() = default;
};

struct DiskSpace {
  std::uint64_t free = 0;   ///< bytes that this user may still write
  std::uint64_t total = 0;  ///< bytes of the whole filesystem
};

/// All methods are thread-safe. Errors name the path.
class Disk {
 public:
  virtual ~Disk() = default;

  /// Never follows a symbolic link in the last component, except to read.
  virtual Result<std::unique_ptr<DiskFile>> open(const fs::path& path, OpenMode mode) = 0;
  /// Makes one directory with these permissions; true if it was missing, false if it was there.
  /// `exists` if there is something else of that name, a symbolic link included.
  virtual Result<bool> make_folder(const fs::path& path, unsigned permissions) = 0;
  /// Waits until the names in a directory survive a crash.
  virtual Result<> sync_folder(const fs::path& path) = 0;
  /// Names in a directory, in no order.
  virtual Result<std::vector<std::string>> list(const fs::path& path) = 0;
  virtual bool exists(const fs::path& path) = 0;
  /// Removes a file; one that is not there is no error.
  virtual Result<> remove(const fs::path& path) = 0;
  virtual Result<> rename(const fs::path& from, const fs::path& to) = 0;
  virtual Result<DiskSpace> space(const fs::path& path) = 0;
  /// Takes an exclusive lock on a file, made if missing; `busy`, saying who, if it is taken.
  virtual Result<std::unique_ptr<DiskLock>> lock(const fs::path& path) = 0;
  /// Name of the SQLite VFS that reaches this disk; null for SQLite's own.
  virtual const char* sqlite_vfs() const { return nullptr; }
};

/// Makes a directory and those above it that are missing, durably.
Result<> make_folders(Disk& disk, const fs::path& path, unsigned permissions);

/// The disk of this machine.
Disk& posix_disk();

}  // namespace swarmfs::cache
