// TorrentContent: what the user orders of one torrent, and the pins that outlast the process.
#include <algorithm>

#include "mount/torrent_content.h"

namespace swarmfs::mount {

/// Where a torrent's store keeps the numbers of pinned files, each in four bytes, big end first.
static constexpr std::string_view kPinsKey = "pinned files";

void TorrentContent::attach(std::shared_ptr<net::TorrentDriver> driver, std::shared_ptr<void> loop,
                            const Limits& limits) {
  driver_ = std::move(driver);
  loop_ = std::move(loop);
  const std::lock_guard lock(orders_mutex_);
  limits_ = limits;
  if (!pins_.empty()) tell_pins(pins_);
}

void TorrentContent::pause() {
  const std::lock_guard lock(orders_mutex_);
  paused_ = true;
  driver_->pause();
}

void TorrentContent::resume() {
  const std::lock_guard lock(orders_mutex_);
  paused_ = false;
  driver_->resume();
}

void TorrentContent::set_limits(const Limits& limits) {
  const std::lock_guard lock(orders_mutex_);
  driver_->set_limits(limits);
  if (limits.connections != limits_.connections) driver_->set_max_connections(limits.connections);
  limits_ = limits;
}

Limits TorrentContent::limits() const {
  const std::lock_guard lock(orders_mutex_);
  return limits_;
}

void TorrentContent::load_pins() {
  const auto kept = store_->blob(kPinsKey);
  if (!kept || !*kept) return;
  for (std::size_t at = 0; at + 4 <= (*kept)->size(); at += 4)
    if (const FileIndex file(load_be<std::uint32_t>((*kept)->data() + at));
        file.value < layout_.files().size())
      pins_.insert(file);
}

Result<> TorrentContent::set_pinned(std::span<const FileIndex> files, bool pinned) {
  // Who asks what is pinned does not wait for the disk, hence two locks.
  const std::lock_guard writing(keep_pins_mutex_);
  Bytes kept;
  {
    const std::lock_guard lock(orders_mutex_);
    for (const FileIndex file : files) {
      if (pinned) {
        pins_.insert(file);
      } else {
        pins_.erase(file);
      }
    }
    tell_pins(pins_);
    for (const FileIndex file : pins_) append_be(kept, file.value);
  }
  return store_->put_blob(kPinsKey, kept);
}

void TorrentContent::tell_pins(const std::set<FileIndex>& pins) {
  std::vector<Layout::PieceRange> ranges;
  for (const FileIndex file : pins) ranges.push_back(layout_.pieces_of(file));
  driver_->set_pinned(std::move(ranges));
}

std::vector<FileIndex> TorrentContent::pinned() const {
  const std::lock_guard lock(orders_mutex_);
  return {pins_.begin(), pins_.end()};
}

bool TorrentContent::is_pinned(FileIndex file) const {
  const std::lock_guard lock(orders_mutex_);
  return pins_.contains(file);
}

std::vector<Layout::Span> TorrentContent::spans_within(FileIndex file, std::uint64_t begin,
                                                       std::uint64_t end) const {
  end = std::min(end, layout_.files()[file.value].length);
  if (begin >= end) return {};
  return layout_.spans(file, begin, end - begin);
}

void TorrentContent::prefetch(FileIndex file, std::uint64_t begin, std::uint64_t end) {
  const auto spans = spans_within(file, begin, end);
  if (!spans.empty())
    driver_->prefetch({{spans.front().piece, PieceIndex(spans.back().piece.value + 1)}});
}

TorrentContent::Share TorrentContent::share_here(FileIndex file, std::uint64_t begin,
                                                 std::uint64_t end) const {
  Share share;
  for (const Layout::Span& span : spans_within(file, begin, end)) {
    share.all += span.length;
    if (store_->has(span.piece)) share.here += span.length;
  }
  return share;
}

}  // namespace swarmfs::mount
