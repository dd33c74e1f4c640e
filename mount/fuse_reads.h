// Reads between the kernel and the content source: answered at once, or parked and answered later.
//
// Every READ is answered exactly once, with all its bytes or an errno: a short answer would make
// the kernel take the file for shorter than it is. No FUSE thread waits here. What must not run
// under libfuse's locks (an interrupt's callback) or must wait (pushing pages) has its own thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mount/fuse_stats.h"
#include "mount/open_file.h"
#include "mount/page_pusher.h"
#include "mount/page_ranges.h"
#include "mount/reader_thread.h"
#include "mount/wait_ring.h"

struct fuse_req;
struct fuse_session;

namespace swarmfs::mount {

class FuseReads {
 public:
  struct Request {
    fuse_req* req = nullptr;
    std::shared_ptr<OpenFile> file;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    pid_t tid = 0;        ///< the reading thread; 0 if it cannot be seen from here
    bool direct = false;  ///< O_DIRECT: the program itself gets any error
  };

  /// A READ unanswered for `expire_after`, or the start of which has been here for
  /// `straddle_after`, is given back to the kernel once if its reader waits for a page (see
  /// fuse_give_back.cc). One that waits for the disk, which nobody else ends, is given
  /// `disk_timeout`.
  FuseReads(Duration expire_after, Duration straddle_after, Duration disk_timeout);
  ~FuseReads();
  FuseReads(const FuseReads&) = delete;
  FuseReads& operator=(const FuseReads&) = delete;

  /// Starts the helper threads. `session` lives until stop() has returned.
  void start(fuse_session* session);
  /// Answers or parks. The range lies in the file and is not empty.
  void read(Request request);
  /// The last descriptor of an open file is closed.
  void closed(const OpenFile& file);
  /// Somebody closed a descriptor of the file: drops what dead threads asked for, and what `tid`
  /// had asked for before `answer` is called, which lets it go on.
  void flush(const std::shared_ptr<OpenFile>& file, pid_t tid, const std::function<void()>& answer);
  /// Ends every parked read, and every later one at once, with ENOTCONN. Threads of the session
  /// must still be serving. Idempotent.
  void stop();
  /// After stop(): true once the source has let go of every read, false if it has not in time.
  bool wait_idle(Duration at_most);

  FuseStats stats() const;
  std::uint64_t waiting(const ContentSource* source) const;
  /// The reads that wait now, the one that waits longest first.
  std::vector<WaitingRead> waits() const;
  std::vector<PastWait> recent_waits() const { return ring_.recent(); }

 private:
  struct Ticket;
  using TicketPtr = std::shared_ptr<Ticket>;

  static void on_interrupt(fuse_req* req, void* data);
  struct Answer {
    Result<Content> content;
    ReadStory story;
  };
  /// Static, as on_part(): of a read that was given up the source may call when this has gone.
  static void on_done(const TicketPtr& ticket, Answer result);
  static void leave_disk(const TicketPtr& ticket, Error why);
  void cancel(const TicketPtr& ticket);
  void finish(const TicketPtr& ticket, Answer result);
  void answer(Ticket& ticket, Answer result);
  bool publish(const TicketPtr& ticket);
  void remove(const TicketPtr& ticket);
  void watch(const std::shared_ptr<OpenFile>& file, TimePoint deadline);

  void run_janitor();
  void run_timers(TimePoint now);
  void end_hung(TimePoint now);

  // fuse_give_back.cc
  ReadPart parts_of(const TicketPtr& ticket);
  static void on_part(const TicketPtr& ticket, std::uint32_t bytes);
  void push_here(Ticket& ticket);
  void push_all(Ticket& ticket);
  void straddle_due(TimePoint now);
  void expire_overdue(TimePoint now);
  void give_back(const TicketPtr& ticket);
  void count_straddled(const Ticket& ticket, std::uint32_t here);
  void forget_expired(fs::Ino ino, std::uint64_t begin, std::uint64_t end);

  const Duration expire_after_, straddle_after_, disk_timeout_;
  FuseCounters counters_;
  WaitRing ring_;
  ReaderProcesses processes_;
  PagePusher pusher_;
  std::atomic<bool> stopping_{false};

  std::mutex stop_mutex_;  ///< held while stop() cancels and joins
  /// Never held while calling the source, libfuse or an OpenFile.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::unordered_set<TicketPtr> tickets_;
  std::vector<TicketPtr> interrupted_;
  std::multimap<TimePoint, std::weak_ptr<OpenFile>> timers_;
  /// When to look at READs whose start is here; ascending, since all wait for as long.
  std::deque<std::pair<TimePoint, std::weak_ptr<Ticket>>> straddles_;
  TimePoint sleeps_until_ = TimePoint::max();  ///< the janitor, if nobody wakes it
  bool janitor_ends_ = false;
  std::thread janitor_;

  /// Pages given back to the kernel and not delivered since: a second error on one of them would
  /// reach the program.
  std::mutex expired_mutex_;
  std::atomic<bool> any_expired_{false};
  std::unordered_map<fs::Ino, PageRanges> expired_;
};

}  // namespace swarmfs::mount
