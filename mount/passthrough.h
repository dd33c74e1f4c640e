// Complete, verified files that the kernel reads from the local disk itself (FUSE passthrough).
//
// Such a file is as fast as its copy on disk, since no read of it comes here any more. The kernel's
// rules, and what it does if one is broken: all handles of a file are of one kind, through the page
// cache or passed through, or open() fails with EIO; all that are passed through name one backing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "fs/tree.h"
#include "swarm/base/bytes.h"
#include "swarm/base/fd.h"

struct fuse_conn_info;
struct fuse_file_info;
struct fuse_req;
struct fuse_session;
struct iovec;

namespace swarmfs::mount {

/// Thread-safe but for attach(). Does nothing where the kernel is too old (before 6.9) or we may
/// not (it takes CAP_SYS_ADMIN): every file then goes through the page cache.
class Passthrough {
 public:
  Passthrough() = default;
  Passthrough(const Passthrough&) = delete;
  Passthrough& operator=(const Passthrough&) = delete;

  // How it is agreed on with the kernel depends on libfuse: see passthrough_native.cc and
  // passthrough_shim.cc, of which CMake takes one.

  /// After the mount and before the first request. The session's userdata is a FuseBridge whose
  /// member this is.
  void attach(fuse_session* session);
  /// Shows every request before libfuse gets it.
  void see_request(ByteView request);
  /// When libfuse asks what the answer to INIT shall be.
  void negotiate(fuse_conn_info* conn);

  /// Counts a new handle of a file and says how to open it: by this backing, or, if there is none,
  /// through the page cache. `verified` opens the file on disk; it is asked only when it decides.
  std::optional<std::int32_t> add_handle(fs::Ino ino, const std::function<Fd()>& verified);
  /// The handle is released, or its open() was never answered.
  void remove_handle(fs::Ino ino);
  /// Answers an OPEN that is passed through, with the handle in `fi`; not 0 if nobody takes the
  /// answer.
  static int reply_open(fuse_req* req, fuse_file_info* fi, std::int32_t backing);

  /// Handles opened so, since the mount.
  std::uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }

 private:
  struct File {
    std::uint32_t handles = 0;
    std::optional<std::int32_t> backing;  ///< of all of them; none: the page cache
  };

  static std::ptrdiff_t write_reply(int fd, iovec* parts, int count, void* userdata);
  void complete_init(iovec* parts, int count);
  std::optional<std::int32_t> register_backing(const Fd& file);
  void release_backing(std::int32_t id) const;

  int device_ = -1;
  std::atomic<std::uint64_t> init_{0};  ///< id of the INIT that offers passthrough; 0 for none
  std::atomic<bool> enabled_{false};
  std::atomic<std::uint64_t> opened_{0};
  std::mutex mutex_;
  std::unordered_map<fs::Ino, File> files_;
};

}  // namespace swarmfs::mount
