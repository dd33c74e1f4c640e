// An open file of the mount: where its reads go, and what it is expected to read next.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "fs/read_window.h"
#include "fs/tree.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::mount {

class OpenFile;

/// Who reads a torrent's small files one after the other reads the torrent: an open file that is
/// all of it, which sees the reads of them all and wants what follows them. A folder would else be
/// fetched at one piece for each round trip.
struct Run {
  /// Files from this length on have windows of their own that are worth something.
  static constexpr std::uint64_t kSmaller = 1 << 20;

  std::shared_ptr<OpenFile> whole;  ///< null: the file is not small
  std::uint64_t begin = 0;          ///< where in it the file begins
};

/// Each stream of reads in the handle is a source of demand with a HandleId of its own.
/// Thread-safe.
class OpenFile {
 public:
  /// Of a file that is all here: no window is worth keeping, and the source hears of this handle
  /// only what waits all the same.
  OpenFile(fs::Ino ino, fs::OpenTarget target, std::atomic<std::uint64_t>& next_handle);
  /// Of any other. `next_handle` gives out HandleIds and outlives this.
  OpenFile(fs::Ino ino, fs::OpenTarget target, std::atomic<std::uint64_t>& next_handle,
           fs::WindowTuning tuning, Run run = {});

  fs::Ino ino() const { return ino_; }
  std::uint64_t length() const { return target_.length; }
  FileIndex index() const { return target_.index; }
  const std::shared_ptr<ContentSource>& source() const { return target_.source; }
  const Run& run() const { return run_; }

  struct Noted {
    HandleId handle;  ///< who asks, for the source
    std::uint32_t stream = 0;
    /// When to call on_timer(); nothing if nothing is due or a call is on its way already.
    std::optional<TimePoint> deadline;
  };
  /// Notes a read, tells the source the windows that follow from it.
  Noted on_read(std::uint64_t offset, std::uint64_t length, std::uint32_t reader, TimePoint now);
  /// A read of that stream could not be answered at once.
  void on_wait(std::uint32_t stream);
  /// It is closed, and its reader may open another that is part of the same run: what it wants is
  /// dropped unless that happens soon. As on_read(), says when to call on_timer().
  std::optional<TimePoint> leave(TimePoint now);
  /// For the first answer that brings bytes: the time since the first read. Nothing ever after.
  std::optional<Duration> first_answer(TimePoint now);
  /// Returns the next deadline.
  std::optional<TimePoint> on_timer(TimePoint now);
  /// Closes every stream at the source: its reads end as cancelled.
  void close();

 private:
  HandleId handle_of(std::uint32_t stream);
  void tell(const std::vector<fs::WindowChange>& changes);

  const fs::Ino ino_;
  const fs::OpenTarget target_;
  const Run run_;
  std::atomic<std::uint64_t>& next_handle_;
  /// Also held over set_window(), which never waits or calls back: windows reach the source in
  /// the order they were decided.
  std::mutex mutex_;
  TimePoint first_read_{};  ///< written once, under the mutex, before any answer
  std::atomic<bool> answered_{false};
  bool closed_ = false;
  bool timer_runs_ = false;
  bool waited_ = false;                   ///< a read of it could not be answered at once
  std::optional<fs::ReadWindow> window_;  ///< nothing if the file is all here
  std::map<std::uint32_t, HandleId> handles_;
};

/// Every open file, so that those whose RELEASE never comes, because the mount ended first, are
/// closed all the same. Thread-safe.
class OpenFiles {
 public:
  using FilePtr = std::shared_ptr<OpenFile>;

  OpenFiles() = default;
  /// Closes what is still open. No request may be in progress.
  ~OpenFiles();
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;

  /// The address, which the kernel keeps as the file's handle, stays valid until remove().
  FilePtr* add(FilePtr file);
  /// Closes the file at its source.
  void remove(FilePtr* file);
  /// Of the files of this source that are open, each once.
  std::set<fs::Ino> inodes_of(const ContentSource& source) const;
  /// The run that a file about to be opened is part of. It lasts as long as this, or until
  /// forget_run().
  Run run_of(const fs::OpenTarget& target, std::atomic<std::uint64_t>& next_handle);
  /// No file of this source will be opened any more.
  void forget_run(const ContentSource& source);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<FilePtr*, std::unique_ptr<FilePtr>> files_;
  std::unordered_map<const ContentSource*, FilePtr> runs_;
};

}  // namespace swarmfs::mount
