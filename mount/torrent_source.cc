#include "mount/torrent_source.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "swarm/base/now.h"

namespace swarmfs::mount {

namespace {

/// Reads that began to wait here have ids that no swarm gives.
constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;
bool is_ours(ReadId read) { return (read.value & kOurs) != 0; }

/// What a reader gets: whatever is wrong with the cache, to a program it is a disk that fails.
Error for_readers(const Error& why) {
  return why.kind == ErrorKind::gone ? why : fail(ErrorKind::io, why.message);
}

Error given_up() { return fail(ErrorKind::cancelled, "given up by the reader"); }

}  // namespace

TorrentSource::TorrentSource(std::shared_ptr<const metainfo::Metainfo> metainfo,
                             std::function<void()> parked)
    : metainfo_(std::move(metainfo)), parked_(std::move(parked)) {}

bool TorrentSource::open(const std::shared_ptr<TorrentContent>& content) {
  WaitingReads waiting;
  std::map<HandleId, Window> windows;
  {
    const std::unique_lock lock(mutex_);
    if (state_ != State::opening) return false;
    state_ = State::open;
    content_ = content;
    waiting.swap(waiting_);
    windows.swap(windows_);
    for (const auto& [id, read] : waiting)
      forwarded_.emplace(id, Forwarded{read.request.handle, {}, false});
  }
  for (const auto& [handle, w] : windows)
    content->set_window(handle, w.file, w.begin, w.end, w.bps);
  // What is on disk is read at once, and that wait is not for the loop's thread.
  for (auto& [id, read] : waiting)
    content->driver().wait_for_disk(
        [self = shared_from_this(), content, ours = id, read = std::move(read)] {
          self->forward(*content, ours, read);
        });
  return true;
}

void TorrentSource::forward(TorrentContent& content, ReadId ours, const Waiting& read) {
  const ReadId id = content.read(
      read.request,
      [self = shared_from_this(), ours, done = read.done](Result<swarmfs::Content> result,
                                                          ReadStory story) {
        {
          const std::unique_lock lock(self->mutex_);
          self->forwarded_.erase(ours);
        }
        done(std::move(result), std::move(story));
      },
      read.part);
  bool cancelled = false;
  {
    const std::unique_lock lock(mutex_);
    const auto it = forwarded_.find(ours);
    if (it == forwarded_.end()) return;
    it->second.id = id;
    cancelled = it->second.cancelled;
  }
  if (cancelled) content.cancel(id);
}

TorrentSource::Ended TorrentSource::end(const Error& why) {
  Ended ended;
  WaitingReads waiting;
  {
    const std::unique_lock lock(mutex_);
    ended.was = state_;
    if (state_ == State::gone) return ended;
    state_ = why.kind == ErrorKind::gone ? State::gone : State::broken;
    error_ = why;
    ended.content.swap(content_);
    waiting.swap(waiting_);
    windows_.clear();
  }
  for (auto& [id, read] : waiting) read.done(for_readers(why), {});
  return ended;
}

void TorrentSource::expire(TimePoint since) {
  std::vector<Waiting> late;
  {
    const std::unique_lock lock(mutex_);
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->second.since <= since) {
        late.push_back(std::move(it->second));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (auto& read : late)
    read.done(fail(ErrorKind::timed_out, "the torrent's cache was not opened in time"), {});
}

TorrentSource::State TorrentSource::state() const {
  const std::shared_lock lock(mutex_);
  return state_;
}

Error TorrentSource::error() const {
  const std::shared_lock lock(mutex_);
  return error_;
}

std::shared_ptr<TorrentContent> TorrentSource::content() const {
  const std::shared_lock lock(mutex_);
  return content_;
}

ReadId TorrentSource::in_swarm(ReadId read) const {
  if (!is_ours(read)) return read;
  const std::shared_lock lock(mutex_);
  const auto it = forwarded_.find(read);
  return it == forwarded_.end() ? ReadId{} : it->second.id;
}

ReadId TorrentSource::read(const ReadRequest& request, ReadDone done, ReadPart part) {
  if (const auto open = content()) return open->read(request, std::move(done), std::move(part));
  std::shared_ptr<TorrentContent> opened;  // meanwhile
  ReadId id;
  Error why;
  {
    const std::unique_lock lock(mutex_);
    if (state_ == State::opening) {
      id = ReadId(kOurs | ++next_);
      waiting_.emplace(id, Waiting{request, std::move(done), std::move(part), now()});
    } else {
      opened = content_;
      why = error_;
    }
  }
  if (opened) return opened->read(request, std::move(done), std::move(part));
  if (id == ReadId{}) {
    done(for_readers(why), {});
  } else if (parked_) {
    parked_();
  }
  return id;
}

void TorrentSource::cancel(ReadId read) {
  if (!is_ours(read)) {
    if (const auto open = content()) open->cancel(read);
    return;
  }
  ReadDone done;
  ReadId forwarded;
  {
    const std::unique_lock lock(mutex_);
    if (const auto it = waiting_.find(read); it != waiting_.end()) {
      done = std::move(it->second.done);
      waiting_.erase(it);
    } else if (const auto other = forwarded_.find(read); other != forwarded_.end()) {
      forwarded = other->second.id;
      other->second.cancelled = true;
    }
  }
  if (done) done(given_up(), {});
  if (forwarded != ReadId{}) cancel(forwarded);
}

std::optional<swarmfs::Content> TorrentSource::peek(FileIndex file, std::uint64_t offset,
                                                    std::uint32_t length) {
  const auto open = content();
  return open ? open->peek(file, offset, length) : std::nullopt;
}

void TorrentSource::set_window(HandleId handle, FileIndex file, std::uint64_t begin,
                               std::uint64_t end, double bps) {
  auto open = content();
  if (!open) {
    const std::unique_lock lock(mutex_);
    if (state_ == State::opening) windows_[handle] = {file, begin, end, bps};
    open = content_;
  }
  if (open) open->set_window(handle, file, begin, end, bps);
}

void TorrentSource::close(HandleId handle) {
  std::vector<ReadDone> cancelled;
  std::shared_ptr<TorrentContent> open;
  {
    const std::unique_lock lock(mutex_);
    open = content_;
    windows_.erase(handle);
    for (auto& [id, read] : forwarded_)
      if (read.handle == handle) read.cancelled = true;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->second.request.handle == handle) {
        cancelled.push_back(std::move(it->second.done));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
  }
  if (open) open->close(handle);
  for (const auto& done : cancelled) done(given_up(), {});
}

Fd TorrentSource::open_verified(FileIndex file) {
  const auto open = content();
  return open ? open->open_verified(file) : Fd();
}

std::uint64_t TorrentSource::bytes_here(FileIndex file) const {
  const auto open = content();
  return open ? open->bytes_here(file) : 0;
}

std::string TorrentSource::piece_map(FileIndex file) const {
  if (const auto open = content()) return open->piece_map(file);
  const auto range = metainfo_->layout.pieces_of(file);
  return std::string(range.end.value - range.first.value, '.');
}

FilePlace TorrentSource::place_of(FileIndex file) const {
  return place_in(metainfo_->layout, file);
}

void TorrentSource::verify_later(FileIndex file) {
  if (const auto to = content()) to->verify_later(file);
}

std::uint64_t TorrentSource::changes() const {
  // Nothing is here before it is open, nor after its end.
  const auto to = content();
  return to ? 1 + to->changes() : 0;
}

bool TorrentSource::is_pinned(FileIndex file) const {
  const auto to = content();
  return to && to->is_pinned(file);
}

std::string TorrentSource::state_text() const {
  const std::shared_lock lock(mutex_);
  switch (state_) {
    case State::opening:
      return "opening";
    case State::open:
      return "open";
    case State::broken:
      return "broken: " + error_.message;
    case State::gone:
      return "removed";
  }
  return {};
}

std::uint32_t TorrentSource::peers() const {
  const auto open = content();
  return open ? open->driver().connection_count() : 0;
}

}  // namespace swarmfs::mount
