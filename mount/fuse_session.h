// A tree mounted in the system, served by threads of its own.
//
// Nothing here waits for the network: what is not here is parked, and everything parked ends when
// the mount does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/tree.h"
#include "mount/fuse_stats.h"
#include "mount/wait_ring.h"
#include "swarm/base/clock.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

struct FuseOptions {
  bool allow_other = false;            ///< other users may look too
  std::uint32_t max_read = 128 << 10;  ///< bytes the kernel asks at once: a multiple of 4096
  unsigned threads = 4;
  /// Let the kernel read complete, verified files from the disk itself, where it and our
  /// privileges allow that.
  bool passthrough = true;
  /// How old st_blocks of a file may be that still arrives.
  Duration attributes_after = std::chrono::seconds(1);
  /// How long a READ made for read-ahead may stay unanswered before its waiters may be interrupted.
  Duration expire_after = std::chrono::milliseconds(300);
  /// How long the start of such a READ may be here before whoever waits for it gets that alone:
  /// longer than a fast link takes for the rest, so that READs there stay whole.
  Duration straddle_after = std::chrono::milliseconds(20);
  /// How long a READ waits for a disk that does not answer. Those of the swarm end by themselves.
  Duration disk_timeout = std::chrono::seconds(60);
  /// Called once, on a thread that serves, before the first open() is answered. Must not wait.
  std::function<void()> on_first_open;
};

class FuseSession {
 public:
  /// Mounts `tree` on a folder. Programs that look wait until start(). Errors of
  /// prepare_mountpoint(), and permission or io with what the system said. Starts no thread.
  /// The tree outlives the session.
  static Result<std::unique_ptr<FuseSession>> mount(const std::string& mountpoint, fs::Tree& tree,
                                                    FuseOptions options);
  /// As stop() and wait().
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  /// What the files of the hidden folder say, asked on a thread of its own whenever one is opened.
  using InfoText = std::function<std::string(const fs::InfoFile&)>;
  /// Starts to serve. Once.
  void start(InfoText info = {});
  /// Returns when it is unmounted, from outside or by stop(), and no thread serves any more.
  void wait();
  /// Ends every waiting read with an errno, unmounts and ends the threads, in bounded time.
  /// From any thread but one that serves; idempotent.
  void stop();

  /// Takes the mount off the tree if it is still there, and nothing that came in its place. Open
  /// files live on. From any thread.
  void detach();
  /// True if a request that came now would be taken: a thread waits for one, or none has been at
  /// the same request since the last call. One thread at a time calls it.
  bool answers();
  /// The number of the FUSE connection; nothing if the system does not show it.
  std::optional<unsigned> connection() const;
  /// Has the kernel forget a name of the root. On a thread that serves nothing, with no lock held
  /// that serving takes: it waits for lookups in the root.
  void forget_name(const std::string& name);
  /// Has the kernel forget the pages of open files of this source, so that their reads come here
  /// again. As above, but it waits for READs of these files: they must have been answered, or be
  /// about to be by others.
  void forget_pages(const ContentSource& source);

  /// Canonical, as /proc/self/mountinfo has it.
  const std::string& mountpoint() const;
  FuseStats stats() const;
  /// Reads of this source's files that wait now.
  std::uint64_t waiting(const ContentSource& source) const;
  /// The reads that wait now, the one that waits longest first.
  std::vector<WaitingRead> waits() const;
  /// Those that waited lately, the newest first.
  std::vector<PastWait> recent_waits() const;

 private:
  struct Impl;
  explicit FuseSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace swarmfs::mount
