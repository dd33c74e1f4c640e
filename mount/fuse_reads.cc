#include "mount/fuse_reads.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>

#include "mount/errno_table.h"
#include "mount/libfuse.h"
#include "mount/read_ticket.h"
#include "mount/reader_thread.h"
#include "swarm/base/now.h"

namespace swarmfs::mount {

namespace {

constexpr Duration kExpiryScan = std::chrono::milliseconds(100);
constexpr std::size_t kMaxIov = 1000;  // IOV_MAX is 1024, libfuse adds its header

/// All of the content or an error, never less.
void reply_content(fuse_req* req, const Content& content) {
  std::vector<iovec> iov;
  iov.reserve(content.size());
  for (const auto& slice : content) {
    // writev only reads through this pointer.
    iov.push_back({const_cast<std::uint8_t*>(slice.bytes.data()), slice.bytes.size()});
  }
  if (iov.size() <= kMaxIov) {
    fuse_reply_iov(req, iov.data(), static_cast<int>(iov.size()));
    return;
  }
  Bytes joined;
  for (const auto& slice : content) append(joined, slice.bytes);
  fuse_reply_buf(req, reinterpret_cast<const char*>(joined.data()), joined.size());
}

std::uint64_t size_of(const Content& content) {
  std::uint64_t size = 0;
  for (const auto& slice : content) size += slice.bytes.size();
  return size;
}

}  // namespace

FuseReads::FuseReads(Duration expire_after, Duration straddle_after, Duration disk_timeout)
    : expire_after_(expire_after),
      straddle_after_(straddle_after),
      disk_timeout_(disk_timeout),
      pusher_([this](fs::Ino ino, std::uint64_t begin, std::uint64_t end) {
        forget_expired(ino, begin, end);
      }) {}

FuseReads::~FuseReads() { stop(); }

void FuseReads::start(fuse_session* session) {
  pusher_.start(session);
  janitor_ = std::thread([this] { run_janitor(); });
}

void FuseReads::read(Request request) {
  auto ticket = std::make_shared<Ticket>();
  ticket->owner = this;
  ticket->started = ticket->since = now();
  ticket->request = std::move(request);
  const Request& r = ticket->request;
  if (stopping_ || !r.file->source()) {
    fuse_reply_err(r.req, stopping_ ? ENOTCONN : EIO);
    return;
  }
  const auto noted =
      r.file->on_read(r.offset, r.length, static_cast<std::uint32_t>(r.tid), ticket->started);
  if (noted.deadline) watch(r.file, *noted.deadline);
  const Run& run = r.file->run();
  OpenFile::Noted in_run;
  if (run.whole) {
    in_run = run.whole->on_read(run.begin + r.offset, r.length, static_cast<std::uint32_t>(r.tid),
                                ticket->started);
    if (in_run.deadline) watch(run.whole, *in_run.deadline);
  }

  ReadId id;
  try {
    id = r.file->source()->read(
        {r.file->index(), r.offset, r.length, noted.handle,
         ReaderId(static_cast<std::uint64_t>(processes_.of(r.tid)))},
        [ticket](Result<Content> content, ReadStory story) {
          on_done(ticket, {std::move(content), std::move(story)});
        },
        parts_of(ticket));
  } catch (const std::exception& e) {
    on_done(ticket, {fail(ErrorKind::io, e.what()), {}});
  }
  if (auto result = ticket->take_result_or(Ticket::State::starting)) {
    answer(*ticket, std::move(*result));
    return;
  }
  r.file->on_wait(noted.stream);
  if (run.whole) run.whole->on_wait(in_run.stream);
  {
    const std::lock_guard lock(ticket->mutex);
    ticket->id = id;
  }
  const bool stopping = publish(ticket);
  // May call on_interrupt() at once or from another thread; while the ticket is `starting`,
  // nobody else answers and so frees the request under libfuse's feet.
  fuse_req_interrupt_func(r.req, &FuseReads::on_interrupt, ticket.get());
  if (auto result = ticket->take_result_or(Ticket::State::parked)) {
    finish(ticket, std::move(*result));
  } else if (stopping || thread_is_gone(r.tid)) {  // flush() may have come before publish()
    cancel(ticket);
  }
}

void FuseReads::closed(const OpenFile& file) {
  if (const auto& whole = file.run().whole)
    if (const auto deadline = whole->leave(now())) watch(whole, *deadline);
}

/// What the disk was asked for cannot be taken back: its answer finds nobody then, perhaps not even
/// this object.
void FuseReads::leave_disk(const TicketPtr& ticket, Error why) {
  on_done(ticket, {std::move(why), {ReadSource::disk, "the local disk did not answer"}});
}

void FuseReads::cancel(const TicketPtr& ticket) {
  if (ticket->id == ReadId{})
    leave_disk(ticket, fail(ErrorKind::cancelled, "given up by the reader"));
  else
    ticket->request.file->source()->cancel(ticket->id);
}

void FuseReads::end_hung(TimePoint time) {
  std::vector<TicketPtr> hung;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& ticket : tickets_)
      if (ticket->id == ReadId{} && ticket->since + disk_timeout_ <= time) hung.push_back(ticket);
  }
  for (const auto& ticket : hung)
    leave_disk(ticket, fail(ErrorKind::timed_out, "the local disk did not answer in time"));
}

void FuseReads::on_interrupt(fuse_req*, void* data) {
  // Runs under the request's lock, which answering takes: cancelling is left to the janitor.
  auto ticket = static_cast<Ticket*>(data)->shared_from_this();
  FuseReads& self = *ticket->owner;
  const std::lock_guard lock(self.mutex_);
  self.interrupted_.push_back(std::move(ticket));
  self.wake_.notify_one();
}

void FuseReads::on_done(const TicketPtr& ticket, Answer result) {
  Ticket::State was;
  {
    const std::lock_guard lock(ticket->mutex);
    was = ticket->state;
    if (was == Ticket::State::starting) {
      ticket->result.emplace(std::move(result));
      return;
    }
    ticket->state = Ticket::State::answered;
  }
  if (was == Ticket::State::answered) return;
  FuseReads& self = *ticket->owner;
  if (was == Ticket::State::parked) {
    self.finish(ticket, std::move(result));
  } else if (was == Ticket::State::expired) {
    if (result.content) self.push_all(*ticket);
    self.remove(ticket);
  }
}

void FuseReads::finish(const TicketPtr& ticket, Answer result) {
  // Waits for a callback that runs just now. libfuse itself would call one while it is taken away.
  fuse_req_interrupt_func(ticket->request.req, nullptr, nullptr);
  answer(*ticket, std::move(result));
  remove(ticket);
}

void FuseReads::answer(Ticket& ticket, Answer result) {
  const Request& r = ticket.request;
  const Result<Content>& content = result.content;
  const TimePoint time = now();
  const Duration waited = time - ticket.since;
  const bool whole = content && size_of(*content) == r.length;
  const ErrorKind kind = content ? ErrorKind::io : content.error().kind;
  const int error = whole                                       ? 0
                    : kind == ErrorKind::cancelled && stopping_ ? ENOTCONN
                                                                : errno_for(kind);
  const ReadSource source = result.story.source;
  // All of it before the answer: whoever has that may ask for the figures next.
  if (waited >= WaitRing::kNoted)
    ring_.note(
        {r.file->ino(), r.offset, r.length, r.tid, time, waited, error, std::move(result.story)});
  if (!whole) {
    counters_.failed();
    fuse_reply_err(r.req, error);
    return;
  }
  if (any_expired_) forget_expired(r.file->ino(), r.offset, r.offset + r.length);
  counters_.delivered(r.length, source, waited);
  if (const auto since_first = r.file->first_answer(time)) counters_.first_byte(*since_first);
  reply_content(r.req, *content);
}

bool FuseReads::publish(const TicketPtr& ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket->started + kExpiryScan < sleeps_until_) wake_.notify_one();
  // Asked again after it was given back, it is still the same wait until something has come.
  if (any_expired_)
    for (const auto& other : tickets_)
      if (other->covers(ticket->request) && other->expired_empty())
        ticket->since = std::min(ticket->since, other->started);
  tickets_.insert(ticket);
  return stopping_;
}

void FuseReads::remove(const TicketPtr& ticket) {
  const std::lock_guard lock(mutex_);
  tickets_.erase(ticket);
  if (tickets_.empty()) idle_.notify_all();
}

void FuseReads::watch(const std::shared_ptr<OpenFile>& file, TimePoint deadline) {
  const std::lock_guard lock(mutex_);
  const auto it = timers_.emplace(deadline, file);
  if (it == timers_.begin()) wake_.notify_one();  // else it wakes early enough
}

void FuseReads::flush(const std::shared_ptr<OpenFile>& file, pid_t tid,
                      const std::function<void()>& answer) {
  // Before the answer, after which the thread may read on through another descriptor.
  std::vector<TicketPtr> of_file;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& ticket : tickets_)
      if (ticket->request.file == file) of_file.push_back(ticket);
  }
  answer();
  for (const auto& ticket : of_file) {
    if (ticket->request.tid == tid || thread_is_gone(ticket->request.tid)) cancel(ticket);
  }
}

void FuseReads::stop() {
  const std::lock_guard one_at_a_time(stop_mutex_);
  std::vector<TicketPtr> parked;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    parked.assign(tickets_.begin(), tickets_.end());
    janitor_ends_ = true;
  }
  wake_.notify_one();
  for (const auto& ticket : parked) cancel(ticket);
  pusher_.stop();
  if (janitor_.joinable()) janitor_.join();
}

bool FuseReads::wait_idle(Duration at_most) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, at_most, [&] { return tickets_.empty(); });
}

FuseStats FuseReads::stats() const {
  FuseStats stats = counters_.snapshot();
  const std::lock_guard lock(mutex_);
  stats.waiting = static_cast<std::uint64_t>(std::count_if(
      tickets_.begin(), tickets_.end(), [](const auto& ticket) { return ticket->waits(); }));
  return stats;
}

std::uint64_t FuseReads::waiting(const ContentSource* source) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint64_t>(
      std::count_if(tickets_.begin(), tickets_.end(), [&](const auto& ticket) {
        return ticket->request.file->source().get() == source && ticket->waits();
      }));
}

std::vector<WaitingRead> FuseReads::waits() const {
  std::vector<WaitingRead> waits;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& ticket : tickets_) {
      const Request& r = ticket->request;
      const std::lock_guard state(ticket->mutex);
      if (ticket->state == Ticket::State::starting || ticket->state == Ticket::State::parked)
        waits.push_back({r.file->source().get(), ticket->id, r.file->ino(), r.offset, r.length,
                         r.tid, ticket->since});
    }
  }
  std::sort(waits.begin(), waits.end(), [](const auto& a, const auto& b) {
    return std::tie(a.since, a.ino, a.offset) < std::tie(b.since, b.ino, b.offset);
  });
  return waits;
}

void FuseReads::run_janitor() {
  std::unique_lock lock(mutex_);
  TimePoint next_scan = now() + kExpiryScan;
  bool none_waited = true;
  while (!janitor_ends_) {
    // Where a scan found something there is one more: reads from the disk come one after the other,
    // and none of them should have to wake this thread.
    sleeps_until_ = tickets_.empty() && none_waited ? TimePoint::max() : next_scan;
    if (!timers_.empty()) sleeps_until_ = std::min(sleeps_until_, timers_.begin()->first);
    if (!straddles_.empty()) sleeps_until_ = std::min(sleeps_until_, straddles_.front().first);
    if (interrupted_.empty()) wake_.wait_until(lock, sleeps_until_);

    const auto interrupted = std::exchange(interrupted_, {});
    const TimePoint time = now();
    const bool scans = time >= next_scan;
    if (scans) none_waited = tickets_.empty();
    lock.unlock();
    for (const auto& ticket : interrupted) {
      counters_.interrupted();
      cancel(ticket);
    }
    run_timers(time);
    straddle_due(time);
    if (scans) {
      expire_overdue(time);
      end_hung(time);
      next_scan = time + kExpiryScan;
    }
    lock.lock();
  }
}

void FuseReads::run_timers(TimePoint time) {
  std::vector<std::weak_ptr<OpenFile>> due;
  {
    const std::lock_guard lock(mutex_);
    const auto end = timers_.upper_bound(time);
    for (auto it = timers_.begin(); it != end; ++it) due.push_back(std::move(it->second));
    timers_.erase(timers_.begin(), end);
  }
  for (const auto& weak : due) {
    const auto file = weak.lock();
    if (!file) continue;
    if (const auto next = file->on_timer(time)) watch(file, *next);
  }
}

}  // namespace swarmfs::mount
