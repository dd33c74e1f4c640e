// Torrent: parked reads and the windows ahead of them.
#include <algorithm>

#include "swarm/engine/torrent.h"

namespace swarmfs::engine {

void Torrent::add_read(ReadId id, ReadOwner owner, std::vector<Layout::Span> spans, TimePoint now) {
  std::uint32_t length = 0;
  for (const Layout::Span& span : spans) length += span.length;
  ParkedRead read{owner, std::move(spans), length, now, WaitTrace(now)};
  if (all_here(id, read)) return host_.read_ready(id);
  if (contradicted_) return host_.read_failed(id, contradiction_error());
  for (const Layout::Span& span : read.spans) reads_by_piece_[span.piece].push_back(id);
  reads_.emplace(id, std::move(read));
  turns_.add(id, owner.reader);
  wake_at(now + config_.read_timeout);
  want_hashes_ = true;
  if (peers_.empty() && !paused_) host_.need_peers();
  refill_ = true;
  flush(now);
}

void Torrent::cancel_read(ReadId id, TimePoint now) {
  const auto it = reads_.find(id);
  if (it == reads_.end()) return;
  drop_read(it, now);
  flush(now);
}

/// Ends a read without bytes.
void Torrent::drop_read(std::map<ReadId, ParkedRead>::iterator it, TimePoint now) {
  const std::vector<Layout::Span> spans = it->second.spans;
  forget_read(it);
  for (const Layout::Span& span : spans)
    take_back(span.piece, PieceIndex(span.piece.value + 1), now);
}

void Torrent::forget_read(std::map<ReadId, ParkedRead>::iterator it) {
  for (const Layout::Span& span : it->second.spans) {
    const auto waiting = reads_by_piece_.find(span.piece);
    if (waiting == reads_by_piece_.end()) continue;
    std::erase(waiting->second, it->first);
    if (waiting->second.empty()) reads_by_piece_.erase(waiting);
  }
  host_.read_ended(it->first, it->second.trace);
  turns_.remove(it->first, it->second.owner.reader);
  reads_.erase(it);
}

void Torrent::set_window(HandleId handle, const Ahead& ahead, TimePoint now) {
  const auto old = windows_.extract(handle);
  const PieceIndex pieces(layout_.piece_count());
  if (ahead.first < std::min(ahead.end, pieces) && !contradicted_) {
    Window& window = windows_[handle];
    window = {ahead, now, ahead.first};
    window.ahead.end = std::min(ahead.end, pieces);
    window.ahead.limit = std::min(ahead.limit, pieces);
    widen_windows();
    want_hashes_ = true;
    refill_ = true;
  }
  if (!old.empty()) take_back(old.mapped().ahead.first, old.mapped().ahead.end, now);
  flush(now);
}

/// Cancels the requests for pieces of [first, end) that no reader wants, so that what is wanted
/// does not wait behind them. What is on its way all the same is taken.
void Torrent::take_back(PieceIndex first, PieceIndex end, TimePoint now) {
  const auto unwanted = [&](PieceIndex piece) {
    return first <= piece && piece < end && !reads_by_piece_.contains(piece) &&
           std::none_of(windows_.begin(), windows_.end(),
                        [&](const auto& entry) { return entry.second.covers(piece); });
  };
  for (auto& [id, peer] : peers_) {
    std::vector<wire::BlockRef> taken;
    std::erase_if(peer->outstanding, [&](const Outstanding& o) {
      if (!unwanted(o.block.piece)) return false;
      taken.push_back(o.block);
      return true;
    });
    for (const wire::BlockRef& block : taken) {
      not_coming(block, now);
      release(*peer, block, now);
      send_cancel(*peer, block);
    }
    refill_ = refill_ || !taken.empty();
  }
}

void Torrent::close_handle(HandleId handle, TimePoint now) {
  set_window(handle, {}, now);
  for (auto it = reads_.begin(); it != reads_.end();) {
    const auto next = std::next(it);
    if (it->second.owner.handle == handle) {
      const ReadId id = it->first;
      drop_read(it, now);
      host_.read_failed(id, fail(ErrorKind::cancelled, "the file was closed"));
    }
    it = next;
  }
  flush(now);
}

void Torrent::rewind_windows() {
  for (auto& [handle, window] : windows_) window.cursor = window.ahead.first;
}

/// How many bytes of the span can be read, from its start.
std::uint32_t Torrent::bytes_here(const Layout::Span& span) const {
  if (picker_.state(span.piece) == PieceState::have) return span.length;
  const auto it = partials_.find(span.piece);
  if (it == partials_.end()) return 0;
  const std::uint32_t end = span.begin + span.length;
  std::uint32_t at = span.begin;
  while (at < end && it->second.slots[at / kBlockSize].state == BlockSlot::State::verified)
    at = (at / kBlockSize + 1) * kBlockSize;
  return std::min(at, end) - span.begin;
}

/// How many bytes of the spans can be read, from the start of the first.
std::uint32_t Torrent::start_here(const std::vector<Layout::Span>& spans) const {
  std::uint32_t here = 0;
  for (const Layout::Span& span : spans) {
    const std::uint32_t bytes = bytes_here(span);
    here += bytes;
    if (bytes < span.length) break;
  }
  return here;
}

/// Whether all of the read can be read. If not, the host learns how much more of its start can.
bool Torrent::all_here(ReadId id, ParkedRead& read) {
  const std::uint32_t here = start_here(read.spans);
  if (here == read.length) return true;
  if (here > read.told) host_.read_grew(id, read.told = here);
  return false;
}

void Torrent::answer_reads(PieceIndex piece) {
  const auto waiting = reads_by_piece_.find(piece);
  if (waiting == reads_by_piece_.end()) return;
  const std::vector<ReadId> ids = waiting->second;
  for (const ReadId id : ids) {
    const auto it = reads_.find(id);
    if (it == reads_.end() || !all_here(id, it->second)) continue;
    forget_read(it);
    host_.read_ready(id);
  }
}

void Torrent::note_progress(PieceIndex piece, TimePoint now) {
  const auto waiting = reads_by_piece_.find(piece);
  if (waiting == reads_by_piece_.end()) return;
  for (const ReadId id : waiting->second) {
    const auto it = reads_.find(id);
    if (it != reads_.end()) it->second.last_progress = now;
  }
}

}  // namespace swarmfs::engine
