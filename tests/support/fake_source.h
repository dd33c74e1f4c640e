// A content source under a test's control: known bytes, ranges held back, released or failed.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/clock.h"
#include "swarm/base/content_source.h"

namespace swarmfs::test {

/// Bytes that differ between files and repeat only every 1,000,003, so that no block of one place
/// passes for another's.
class Pattern {
 public:
  static std::uint8_t at(FileIndex file, std::uint64_t offset) {
    return table()[(offset + file.value * std::uint64_t{7919}) % kPeriod];
  }
  /// `length` at most 1 MiB.
  static ByteView view(FileIndex file, std::uint64_t offset, std::uint64_t length) {
    const auto start = (offset + file.value * std::uint64_t{7919}) % kPeriod;
    return ByteView(table()).subspan(start, length);
  }
  static std::string text(FileIndex file, std::uint64_t offset, std::uint64_t length) {
    std::string out;
    while (length > 0) {
      const std::uint64_t n = std::min<std::uint64_t>(length, 1 << 20);
      out += as_text(view(file, offset, n));
      offset += n;
      length -= n;
    }
    return out;
  }

 private:
  static constexpr std::uint64_t kPeriod = 1'000'003;
  static const Bytes& table() {
    static const Bytes bytes = [] {
      Bytes b(kPeriod + (1 << 20));
      std::uint32_t x = 2463534242U;
      for (std::size_t i = 0; i < kPeriod; ++i) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        b[i] = static_cast<std::uint8_t>(x);
      }
      std::copy(b.begin(), b.begin() + (1 << 20), b.begin() + kPeriod);
      return b;
    }();
    return bytes;
  }
};

/// Serves Pattern. Thread-safe.
class FakeSource final : public ContentSource {
 public:
  struct Window {
    HandleId handle;
    std::uint64_t begin, end;
  };

  explicit FakeSource(std::vector<std::uint64_t> lengths) : lengths_(std::move(lengths)) {
    // Made now: a child forked while another thread makes it would wait for that thread for ever.
    static_cast<void>(Pattern::at(FileIndex{0}, 0));
  }
  ~FakeSource() override {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    if (timer_.joinable()) timer_.join();
  }

  /// Reads that touch [begin, end) of a file wait until it is released.
  void hold(FileIndex file, std::uint64_t begin, std::uint64_t end) {
    const std::lock_guard lock(mutex_);
    held_.push_back({file, begin, end});
  }
  /// Lifts the holds on [begin, end) of the file and answers, from this thread, what waited for it.
  void release(FileIndex file, std::uint64_t begin = 0,
               std::uint64_t end = std::numeric_limits<std::uint64_t>::max()) {
    std::vector<Parked> ready;
    std::vector<std::pair<ReadPart, std::uint32_t>> grown;
    {
      const std::lock_guard lock(mutex_);
      for (const Held& h : std::exchange(held_, {})) {
        const bool other = h.file != file;
        if (other || h.begin < begin)
          held_.push_back({h.file, h.begin, other ? h.end : std::min(h.end, begin)});
        if (!other && end < h.end) held_.push_back({file, std::max(h.begin, end), h.end});
      }
      ready = take([&](const Parked& p) { return !is_held(p.request); });
      for (auto& [id, p] : parked_)
        if (const auto here = bytes_of_start(p.request);
            here > std::exchange(p.told, here) && p.part)
          grown.emplace_back(p.part, here);
    }
    for (auto& [part, here] : grown) part(here);
    for (auto& p : ready) p.done(content(p.request), {source_, "waited as the test wished"});
  }
  /// Ends what waits now with an error; the holds stay.
  void fail_parked(ErrorKind kind) {
    std::vector<Parked> failed;
    {
      const std::lock_guard lock(mutex_);
      failed = take([](const Parked&) { return true; });
    }
    for (auto& p : failed) p.done(fail(kind, "as the test wishes"), {ReadSource::peer, "failed"});
  }
  /// From now on a read that waits for so long times out.
  void set_timeout(Duration timeout) {
    const std::lock_guard lock(mutex_);
    timeout_ = timeout;
    if (!timer_.joinable()) timer_ = std::thread([this] { run_timer(); });
  }
  /// From now on reads that wait do so as for a disk: they cannot be cancelled.
  void wait_as_disks_do() { as_disks_do_ = true; }
  /// What answers from now on say of where their bytes came from.
  void set_source(ReadSource source) { source_ = source; }
  /// What bytes_here() says from now on of every file, instead of all, or none of a held one.
  void set_bytes_here(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_here_ = bytes;
    ++changes_;
  }

  std::size_t parked() const {
    const std::lock_guard lock(mutex_);
    return parked_.size();
  }
  /// The programs behind the reads that wait.
  std::multiset<ReaderId> parked_readers() const {
    const std::lock_guard lock(mutex_);
    std::multiset<ReaderId> readers;
    for (const auto& [id, p] : parked_) readers.insert(p.request.reader);
    return readers;
  }
  /// True once exactly `n` reads wait, false if they do not within ten seconds.
  bool wait_parked(std::size_t n) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return parked_.size() == n; });
  }
  bool wait_parked_at_least(std::size_t n) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return parked_.size() >= n; });
  }
  std::vector<Window> windows() const {
    const std::lock_guard lock(mutex_);
    return windows_;
  }
  /// Offset and length of every peek, in order.
  std::vector<std::pair<std::uint64_t, std::uint32_t>> peeks() const {
    const std::lock_guard lock(mutex_);
    return peeks_;
  }
  std::size_t open_handles() const {
    const std::lock_guard lock(mutex_);
    return opened_ - closed_;
  }

  ReadId read(const ReadRequest& request, ReadDone done, ReadPart part) override {
    std::unique_lock lock(mutex_);
    note_handle(request.handle);
    if (!is_held(request)) {
      lock.unlock();
      done(content(request), {source_, {}});
      return ReadId{0};
    }
    const ReadId id{++last_id_};
    const std::uint32_t here = bytes_of_start(request);
    parked_.emplace(id.value,
                    Parked{request, std::move(done), part, here, std::chrono::steady_clock::now()});
    changed_.notify_all();
    lock.unlock();
    if (here > 0 && part) part(here);
    return as_disks_do_ ? ReadId{} : id;
  }
  std::optional<Content> peek(FileIndex file, std::uint64_t offset, std::uint32_t length) override {
    const ReadRequest request{file, offset, length, {}};
    const std::lock_guard lock(mutex_);
    peeks_.emplace_back(offset, length);
    return is_held(request) ? std::nullopt : std::optional(content(request));
  }
  void cancel(ReadId read) override {
    if (as_disks_do_) return;
    std::vector<Parked> cancelled;
    {
      const std::lock_guard lock(mutex_);
      const auto it = parked_.find(read.value);
      if (it == parked_.end()) return;
      cancelled.push_back(std::move(it->second));
      parked_.erase(it);
      changed_.notify_all();
    }
    cancelled[0].done(fail(ErrorKind::cancelled, "cancelled"), {ReadSource::peer, "given up"});
  }
  void set_window(HandleId handle, FileIndex, std::uint64_t begin, std::uint64_t end,
                  double) override {
    const std::lock_guard lock(mutex_);
    note_handle(handle);
    windows_.push_back({handle, begin, end});
  }
  void close(HandleId handle) override {
    std::vector<Parked> cancelled;
    {
      const std::lock_guard lock(mutex_);
      ++closed_;
      cancelled = take([&](const Parked& p) { return p.request.handle == handle; });
    }
    for (auto& p : cancelled)
      p.done(fail(ErrorKind::cancelled, "closed"), {ReadSource::peer, "closed"});
  }
  /// From now on the files lie back to back in a torrent with pieces of this length.
  void set_order(std::uint32_t piece_length) { piece_length_ = piece_length; }
  FilePlace place_of(FileIndex file) const override {
    FilePlace place;
    if (piece_length_ == 0) return place;
    for (std::uint32_t i = 0; i < lengths_.size(); ++i) {
      if (i < file.value) place.begin += lengths_[i];
      place.total += lengths_[i];
    }
    place.piece_length = piece_length_;
    return place;
  }
  /// From now on this file of the machine stands for the source's; -1 for none.
  void set_verified(int fd) { verified_ = fd; }
  Fd open_verified(FileIndex) override {
    const int fd = verified_;
    return Fd(fd < 0 ? -1 : ::dup(fd));
  }
  void verify_later(FileIndex) override { ++verified_later_; }
  unsigned verified_later() const { return verified_later_; }
  std::uint64_t bytes_here(FileIndex file) const override {
    const std::lock_guard lock(mutex_);
    if (bytes_here_) return *bytes_here_;
    const bool held = std::any_of(held_.begin(), held_.end(),
                                  [&](const Held& h) { return h.file == file && h.begin < h.end; });
    return held ? 0 : lengths_.at(file.value);
  }
  std::uint64_t changes() const override { return changes_; }
  std::string piece_map(FileIndex) const override { return "##.#"; }

 private:
  struct Held {
    FileIndex file;
    std::uint64_t begin, end;
  };
  struct Parked {
    ReadRequest request;
    ReadDone done;
    ReadPart part;
    std::uint32_t told;  ///< bytes of its start that `part` knows of
    TimePoint since;
  };

  bool is_held(const ReadRequest& r) const {
    return std::any_of(held_.begin(), held_.end(), [&](const Held& h) {
      return h.file == r.file && r.offset < h.end && h.begin < r.offset + r.length;
    });
  }
  /// How many bytes of a read's start are not held back.
  std::uint32_t bytes_of_start(const ReadRequest& r) const {
    std::uint64_t end = r.offset + r.length;
    for (const Held& h : held_)
      if (h.file == r.file && r.offset < h.end) end = std::min(end, std::max(h.begin, r.offset));
    return static_cast<std::uint32_t>(end - r.offset);
  }
  template <class Which>
  std::vector<Parked> take(Which which) {
    std::vector<Parked> taken;
    for (auto it = parked_.begin(); it != parked_.end();) {
      if (which(it->second)) {
        taken.push_back(std::move(it->second));
        it = parked_.erase(it);
      } else {
        ++it;
      }
    }
    changed_.notify_all();
    return taken;
  }
  void note_handle(HandleId handle) {
    if (handles_.emplace(handle.value, true).second) ++opened_;
  }
  static Content content(const ReadRequest& r) {
    Content out;
    for (std::uint64_t at = r.offset; at < r.offset + r.length;) {
      const std::uint64_t n = std::min(kBlockSize - at % kBlockSize, r.offset + r.length - at);
      out.push_back({nullptr, Pattern::view(r.file, at, n)});
      at += n;
    }
    return out;
  }
  void run_timer() {
    std::unique_lock lock(mutex_);
    while (!ends_) {
      changed_.wait_for(lock, std::chrono::milliseconds(5));
      const auto due = std::chrono::steady_clock::now() - timeout_;
      auto late = take_quietly(due);
      lock.unlock();
      for (auto& p : late)
        p.done(fail(ErrorKind::timed_out, "nothing came"), {ReadSource::peer, "nothing came"});
      lock.lock();
    }
  }
  std::vector<Parked> take_quietly(TimePoint due) {
    const bool any = std::any_of(parked_.begin(), parked_.end(),
                                 [&](const auto& p) { return p.second.since <= due; });
    if (!any) return {};
    return take([&](const Parked& p) { return p.since <= due; });
  }

  std::atomic<bool> as_disks_do_{false};
  const std::vector<std::uint64_t> lengths_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Held> held_;
  std::map<std::uint64_t, Parked> parked_;
  std::vector<Window> windows_;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> peeks_;
  std::map<std::uint64_t, bool> handles_;
  std::size_t opened_ = 0, closed_ = 0;
  std::uint64_t last_id_ = 0;
  std::optional<std::uint64_t> bytes_here_;
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<unsigned> verified_later_{0};
  std::atomic<std::uint32_t> piece_length_{0};
  std::atomic<int> verified_{-1};
  std::atomic<ReadSource> source_{ReadSource::memory};
  Duration timeout_ = std::chrono::hours(1);
  bool ends_ = false;
  std::thread timer_;
};

}  // namespace swarmfs::test
