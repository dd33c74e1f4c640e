// Torrent: parked reads and the windows ahead of them.
#include <algorithm>

#include "swarm/engine/torrent.h"

namespace swarmfs::engine {

void Torrent::add_read(ReadId id, HandleId handle, std::vector<Layout::Span> spans, TimePoint now) {
  ParkedRead read{handle, std::move(spans), now, WaitTrace(now)};
  if (ready(read)) return host_.read_ready(id);
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

bool Torrent::span_ready(const Layout::Span& span) const {
  if (picker_.state(span.piece) == PieceState::have) return true;
  const auto it = partials_.find(span.piece);
  if (it == partials_.end() || span.length == 0) return false;
  const std::uint32_t last = (span.begin + span.length - 1) / kBlockSize;
  for (std::uint32_t b = span.begin / kBlockSize; b <= last; ++b)
    if (it->second.slots[b].state != BlockSlot::State::verified) return false;
  return true;
}

bool Torrent::ready(const ParkedRead& read) const {
  return std::all_of(read.spans.begin(), read.spans.end(),
                     [this](const Layout::Span& span) { return span_ready(span); });
}

void Torrent::answer_reads(PieceIndex piece) {
  const auto waiting = reads_by_piece_.find(piece);
  if (waiting == reads_by_piece_.end()) return;
  const std::vector<ReadId> ids = waiting->second;
  for (const ReadId id : ids) {
    const auto it = reads_.find(id);
    if (it == reads_.end() || !ready(it->second)) continue;
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
