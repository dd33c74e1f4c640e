// FuseReads: READs given back to the kernel unanswered, so that nobody waits for more of them than
// he needs.
//
// A page is readable only once the whole READ that the kernel made for it, mostly of read-ahead, is
// answered. Given back with EAGAIN, the READ loses its pages, and nobody sees the error: whoever
// waits for one of them then asks for that page alone. The source goes on fetching the rest, which
// is pushed when it comes, so that nothing is lost by it. There are two occasions:
//  - The start of the READ is here and the rest keeps its reader waiting ("straddle"): its reader
//    gets what is here, and block by block what comes.
//  - Nothing has come for long ("expire"): the wait for one page can be interrupted, which the wait
//    for a page of a read-ahead cannot by a signal with a handler.
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "mount/libfuse.h"
#include "mount/read_ticket.h"
#include "mount/reader_thread.h"

namespace swarmfs::mount {

namespace {

/// How threads stand, each asked about once.
class WaitKinds {
 public:
  WaitKind of(pid_t tid) {
    const auto [it, added] = kinds_.try_emplace(tid, WaitKind::unknown);
    if (added) it->second = wait_kind(tid);
    return it->second;
  }

 private:
  std::unordered_map<pid_t, WaitKind> kinds_;
};

std::uint32_t page_size() {
  static const auto size = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::string words_of_part(std::uint32_t here, std::uint32_t length) {
  return "got the first " + std::to_string(here / 1024) + " KiB of the " +
         std::to_string(length / 1024) + " KiB asked for, and waited for no more of them";
}

}  // namespace

ReadPart FuseReads::parts_of(const TicketPtr& ticket) {
  if (ticket->request.direct || ticket->request.length <= page_size()) return {};
  return [ticket](std::uint32_t bytes) { on_part(ticket, bytes); };
}

void FuseReads::on_part(const TicketPtr& ticket, std::uint32_t bytes) {
  const std::uint32_t pages = bytes / page_size() * page_size();
  bool first = false;
  {
    const std::lock_guard lock(ticket->mutex);
    if (ticket->state == Ticket::State::answered || pages <= ticket->here) return;
    first = ticket->here == 0;
    ticket->here = pages;
  }
  FuseReads& self = *ticket->owner;
  self.push_here(*ticket);
  if (!first) return;
  const std::lock_guard lock(self.mutex_);
  if (self.straddles_.empty()) self.wake_.notify_one();  // else it wakes early enough for others
  self.straddles_.emplace_back(std::chrono::steady_clock::now() + self.straddle_after_, ticket);
}

/// Of a READ given back: pushes what has come and was not pushed before.
void FuseReads::push_here(Ticket& ticket) {
  std::uint32_t begin = 0, end = 0;
  {
    const std::lock_guard lock(ticket.mutex);
    if (!ticket.given_back) return;
    begin = std::exchange(ticket.pushed, ticket.here);
    end = ticket.here;
  }
  if (begin < end) pusher_.push(ticket.request.file, ticket.request.offset + begin, end - begin);
}

void FuseReads::push_all(Ticket& ticket) {
  {
    const std::lock_guard lock(ticket.mutex);
    ticket.here = ticket.request.length;
  }
  push_here(ticket);
}

void FuseReads::straddle_due(TimePoint time) {
  std::vector<TicketPtr> due;
  /// Where each thread's first READ of a file is: a thread that reads on waits inside that one.
  std::map<std::pair<pid_t, fs::Ino>, std::uint64_t> first;
  {
    const std::lock_guard lock(mutex_);
    for (; !straddles_.empty() && straddles_.front().first <= time; straddles_.pop_front()) {
      auto ticket = straddles_.front().second.lock();
      if (ticket && ticket->waits()) due.push_back(std::move(ticket));
    }
    if (due.empty()) return;
    for (const auto& ticket : tickets_) {
      const Request& r = ticket->request;
      if (!ticket->waits()) continue;
      const auto [it, added] = first.try_emplace({r.tid, r.file->ino()}, r.offset);
      if (!added) it->second = std::min(it->second, r.offset);
    }
  }
  WaitKinds kinds;
  std::vector<TicketPtr> later;
  for (auto& ticket : due) {
    const Request& r = ticket->request;
    const auto it = first.find({r.tid, r.file->ino()});
    if (it != first.end() && it->second == r.offset && kinds.of(r.tid) == WaitKind::page)
      give_back(ticket);
    else
      later.push_back(std::move(ticket));  // its reader may yet come to it
  }
  const std::lock_guard lock(mutex_);
  for (auto& ticket : later) straddles_.emplace_back(time + straddle_after_, std::move(ticket));
}

void FuseReads::expire_overdue(TimePoint time) {
  std::vector<TicketPtr> overdue;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& ticket : tickets_)
      if (!ticket->request.direct && ticket->started + expire_after_ <= time)
        overdue.push_back(ticket);
  }
  WaitKinds kinds;
  for (const auto& ticket : overdue)
    if (kinds.of(ticket->request.tid) == WaitKind::page) give_back(ticket);
}

/// Once only for a page, and never if the reader may be inside this very READ: the error would be
/// its answer.
void FuseReads::give_back(const TicketPtr& ticket) {
  const Request& r = ticket->request;
  const std::uint64_t end = r.offset + r.length;
  std::uint32_t here = 0;
  {
    const std::scoped_lock lock(ticket->mutex, expired_mutex_);
    if (ticket->state != Ticket::State::parked) return;
    PageRanges& pages = expired_[r.file->ino()];
    if (pages.overlaps(r.offset, end)) return;
    pages.insert(r.offset, end);
    any_expired_ = true;
    ticket->state = Ticket::State::expired;
    here = ticket->here;
  }
  // Before the answer: whoever has that may ask for the figures next.
  if (here > 0)
    count_straddled(*ticket, here);
  else
    counters_.expired();
  fuse_req_interrupt_func(r.req, nullptr, nullptr);
  fuse_reply_err(r.req, EAGAIN);
  {
    const std::lock_guard lock(ticket->mutex);
    ticket->given_back = true;  // from now on pushing does not have to wait for this READ
  }
  push_here(*ticket);
}

/// The wait ends here, with what is here: what its reader asks for next are other waits.
void FuseReads::count_straddled(const Ticket& ticket, std::uint32_t here) {
  const Request& r = ticket.request;
  const TimePoint time = std::chrono::steady_clock::now();
  const Duration waited = time - ticket.since;
  if (waited >= WaitRing::kNoted)
    ring_.note({r.file->ino(),
                r.offset,
                here,
                r.tid,
                time,
                waited,
                0,
                {ReadSource::peer, words_of_part(here, r.length)}});
  counters_.straddled(waited);
  if (const auto since_first = r.file->first_answer(time)) counters_.first_byte(*since_first);
}

void FuseReads::forget_expired(fs::Ino ino, std::uint64_t begin, std::uint64_t end) {
  const std::lock_guard lock(expired_mutex_);
  const auto it = expired_.find(ino);
  if (it == expired_.end()) return;
  it->second.erase(begin, end);
  if (it->second.empty()) expired_.erase(it);
  any_expired_ = !expired_.empty();
}

}  // namespace swarmfs::mount
