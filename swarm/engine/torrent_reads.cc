// Torrent: parked reads and the windows ahead of them.
#include <algorithm>

#include "swarm/engine/torrent.h"

namespace swarmfs::engine {

void Torrent::add_read(ReadId id, HandleId handle, std::vector<Layout::Span> spans, TimePoint now) {
  std::uint32_t length = 0;
  for (const Layout::Span& span : spans) length += span.length;
  ParkedRead read{handle, std::move(spans), length, now, WaitTrace(now)};
  if (all_here(id, read)) return host_.read_ready(id);
  if (contradicted_) return host_.read_failed(id, contradiction_error());
  for (const Layout::Span& span : read.spans) reads_by_piece_[span.piece].push_back(id);
  reads_.emplace(id, std::move(read));
  wake_at(now + config_.read_timeout);
  want_hashes_ = true;
  if (peers_.empty()) host_.need_peers();
  refill_ = true;
  flush(now);
}

void Torrent::cancel_read(ReadId id, TimePoint now) {
  const auto it = reads_.find(id);
  if (it == reads_.end()) return;
  forget_read(it);
  flush(now);
}

void Torrent::forget_read(std::map<ReadId, ParkedRead>::iterator it) {
  for (const Layout::Span& span : it->second.spans) {
    const auto waiting = reads_by_piece_.find(span.piece);
    if (waiting == reads_by_piece_.end()) continue;
    std::erase(waiting->second, it->first);
    if (waiting->second.empty()) reads_by_piece_.erase(waiting);
  }
  host_.read_ended(it->first, it->second.trace);
  reads_.erase(it);
}

void Torrent::set_window(HandleId handle, PieceIndex first, PieceIndex end, TimePoint now) {
  end = std::min(end, PieceIndex(layout_.piece_count()));
  if (end <= first || contradicted_) {
    windows_.erase(handle);
    return;
  }
  windows_[handle] = Window{first, end, first};
  if (!lacking_.empty()) want_hashes_ = true;
  refill_ = true;
  flush(now);
}

void Torrent::close_handle(HandleId handle, TimePoint now) {
  windows_.erase(handle);
  for (auto it = reads_.begin(); it != reads_.end();) {
    const auto next = std::next(it);
    if (it->second.handle == handle) {
      const ReadId id = it->first;
      forget_read(it);
      host_.read_failed(id, fail(ErrorKind::cancelled, "the file was closed"));
    }
    it = next;
  }
  flush(now);
}

void Torrent::rewind_windows() {
  for (auto& [handle, window] : windows_) window.cursor = window.first;
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
