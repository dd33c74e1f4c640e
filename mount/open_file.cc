#include "mount/open_file.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace swarmfs::mount {

namespace {

/// How far ahead of a reader of small files at most: he may be near his folder's end.
constexpr std::uint64_t kRunCap = 16 << 20;
/// Between the end of one file and the beginning of the next.
constexpr Duration kRunPatience = std::chrono::seconds(2);

}  // namespace

OpenFile::OpenFile(fs::Ino ino, fs::OpenTarget target, std::atomic<std::uint64_t>& next_handle,
                   fs::WindowTuning tuning, Run run)
    : ino_(ino),
      target_(std::move(target)),
      run_(std::move(run)),
      next_handle_(next_handle),
      window_(std::in_place, target_.length, tuning) {}

OpenFile::OpenFile(fs::Ino ino, fs::OpenTarget target, std::atomic<std::uint64_t>& next_handle)
    : ino_(ino), target_(std::move(target)), next_handle_(next_handle) {}

OpenFile::Noted OpenFile::on_read(std::uint64_t offset, std::uint64_t length, std::uint32_t reader,
                                  TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (first_read_ == TimePoint{}) first_read_ = now;
  if (!window_) return {handle_of(0), 0, std::nullopt};
  const auto outcome = window_->on_read(offset, length, reader, now);
  tell(outcome.changes);
  Noted noted{handle_of(outcome.stream), outcome.stream, std::nullopt};
  if (!timer_runs_) noted.deadline = window_->deadline();
  if (noted.deadline) timer_runs_ = true;
  return noted;
}

void OpenFile::on_wait(std::uint32_t stream) {
  const std::lock_guard lock(mutex_);
  waited_ = true;
  if (window_) window_->on_wait(stream);
}

std::optional<TimePoint> OpenFile::leave(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (!window_) return std::nullopt;
  window_->leave(now);
  const auto deadline = timer_runs_ ? std::nullopt : window_->deadline();
  if (deadline) timer_runs_ = true;
  return deadline;
}

std::optional<Duration> OpenFile::first_answer(TimePoint now) {
  if (answered_.load(std::memory_order_relaxed) || answered_.exchange(true)) return std::nullopt;
  return now - first_read_;
}

std::optional<TimePoint> OpenFile::on_timer(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (closed_ || !window_) return std::nullopt;
  tell(window_->on_timer(now));
  const auto next = window_->deadline();
  timer_runs_ = next.has_value();
  return next;
}

void OpenFile::close() {
  std::map<std::uint32_t, HandleId> handles;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (window_ || waited_) handles.swap(handles_);
  }
  for (const auto& [stream, handle] : handles) target_.source->close(handle);
}

HandleId OpenFile::handle_of(std::uint32_t stream) {
  const auto [it, added] = handles_.try_emplace(stream);
  if (added) it->second = HandleId{next_handle_.fetch_add(1) + 1};
  return it->second;
}

void OpenFile::tell(const std::vector<fs::WindowChange>& changes) {
  for (const auto& change : changes) {
    target_.source->set_window(handle_of(change.stream), target_.index, change.begin, change.end,
                               change.bps);
  }
}

OpenFiles::~OpenFiles() {
  for (const auto& [address, file] : files_) (*file)->close();
  for (const auto& [source, whole] : runs_) whole->close();
}

Run OpenFiles::run_of(const fs::OpenTarget& target, std::atomic<std::uint64_t>& next_handle) {
  if (target.length >= Run::kSmaller || !target.source) return {};
  const FilePlace place = target.source->place_of(target.index);
  if (place.total == 0) return {};
  // Files may each begin a piece (BEP 52): a step from one to the next is then no seek, and a
  // window of so many bytes holds fewer files.
  const std::uint64_t piece = place.piece_length;
  fs::WindowTuning tuning;
  tuning.first = std::max(tuning.first, 4 * piece);
  tuning.cap = std::max(kRunCap, 16 * piece);
  tuning.skip = std::max(tuning.skip, piece);
  tuning.patience = kRunPatience;
  const std::lock_guard lock(mutex_);
  FilePtr& whole = runs_[target.source.get()];
  if (!whole)
    whole = std::make_shared<OpenFile>(
        fs::Ino{}, fs::OpenTarget{target.source, FileIndex{0}, place.total}, next_handle, tuning);
  return {whole, place.begin};
}

void OpenFiles::forget_run(const ContentSource& source) {
  FilePtr whole;  // closed without the lock
  {
    const std::lock_guard lock(mutex_);
    const auto it = runs_.find(&source);
    if (it == runs_.end()) return;
    whole = std::move(it->second);
    runs_.erase(it);
  }
  whole->close();
}

OpenFiles::FilePtr* OpenFiles::add(FilePtr file) {
  auto owned = std::make_unique<FilePtr>(std::move(file));
  FilePtr* const address = owned.get();
  const std::lock_guard lock(mutex_);
  files_.emplace(address, std::move(owned));
  return address;
}

std::set<fs::Ino> OpenFiles::inodes_of(const ContentSource& source) const {
  std::set<fs::Ino> inodes;
  const std::lock_guard lock(mutex_);
  for (const auto& [address, file] : files_)
    if ((*file)->source().get() == &source) inodes.insert((*file)->ino());
  return inodes;
}

void OpenFiles::remove(FilePtr* file) {
  std::unique_lock lock(mutex_);
  const auto node = files_.extract(file);
  lock.unlock();
  if (!node.empty()) (*node.mapped())->close();
}

}  // namespace swarmfs::mount
