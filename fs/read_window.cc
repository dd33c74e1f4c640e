#include "fs/read_window.h"

#include <algorithm>
#include <utility>

namespace swarmfs::fs {

ReadWindow::ReadWindow(std::uint64_t file_length, WindowTuning tuning)
    : file_length_(file_length), tuning_(tuning) {}

ReadWindow::Outcome ReadWindow::on_read(std::uint64_t offset, std::uint64_t length,
                                        std::uint32_t reader, TimePoint now) {
  Outcome outcome;
  outcome.changes = on_timer(now);
  const std::uint64_t end = offset + length;
  outcome.stream = stream_for(offset, end, outcome.changes);
  Stream& stream = streams_[outcome.stream];
  note_rate(stream, end, now);
  stream.last_read = now;
  stream.left_at.reset();
  note_jump(outcome.stream, reader, now);
  stream.reader = reader;
  advance(outcome.stream, offset, end, outcome.changes);
  return outcome;
}

bool ReadWindow::continues(const Stream& stream, std::uint64_t offset, std::uint64_t end) const {
  if (end + tuning_.back < stream.position) return false;
  // Whoever skips within the window reads on; what lies beyond it was not foreseen.
  const std::uint64_t reach = std::max(tuning_.skip, std::min(stream.size, tuning_.longest_skip));
  return offset <= stream.position + reach;
}

std::uint32_t ReadWindow::stream_for(std::uint64_t offset, std::uint64_t end,
                                     std::vector<WindowChange>& out) {
  const auto distance = [&](const Stream& s) {
    return s.position > offset ? s.position - offset : offset - s.position;
  };
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    if (!continues(streams_[i], offset, end)) continue;
    if (!best || distance(streams_[i]) < distance(streams_[*best])) best = i;
  }
  if (best) return *best;

  std::uint32_t index = 0;
  if (streams_.size() < tuning_.streams) {
    index = static_cast<std::uint32_t>(streams_.size());
    streams_.emplace_back();
  } else {
    const auto oldest =
        std::min_element(streams_.begin(), streams_.end(),
                         [](const auto& a, const auto& b) { return a.last_read < b.last_read; });
    index = static_cast<std::uint32_t>(oldest - streams_.begin());
    close(index, out);
    streams_[index] = Stream{};
  }
  streams_[index].position = offset;
  return index;
}

/// What a read goes beyond the one before it was taken in the time between them.
void ReadWindow::note_rate(Stream& stream, std::uint64_t end, TimePoint now) const {
  if (std::exchange(stream.waited, false) || end <= stream.position) return;
  if (now - stream.last_read > tuning_.rate_memory) return;  // it rested
  stream.free_bytes += static_cast<double>(end - stream.position);
  stream.free_seconds += to_seconds(now - stream.last_read);
  if (stream.free_seconds < to_seconds(tuning_.rate_memory)) return;
  stream.free_bytes /= 2;
  stream.free_seconds /= 2;
}

double ReadWindow::rate(const Stream& stream) const {
  return stream.free_seconds < to_seconds(tuning_.rate_known_after)
             ? 0
             : stream.free_bytes / stream.free_seconds;
}

std::uint64_t ReadWindow::cap(const Stream& stream) const {
  const double bps = rate(stream);
  if (bps == 0) return tuning_.cap;
  const auto bytes = static_cast<std::uint64_t>(
      std::min(bps * to_seconds(tuning_.horizon), static_cast<double>(tuning_.cap)));
  return std::clamp(bytes, tuning_.least_for_horizon, tuning_.cap);
}

void ReadWindow::note_jump(std::uint32_t to, std::uint32_t reader, TimePoint now) {
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    if (i == to || stream.reader != reader || stream.left_at) continue;
    stream.left_at = now;
  }
}

void ReadWindow::advance(std::uint32_t index, std::uint64_t offset, std::uint64_t end,
                         std::vector<WindowChange>& out) {
  Stream& stream = streams_[index];
  // Only what is new counts: reads to and fro in one place are no run.
  if (end > stream.position) stream.run += std::min(end - stream.position, end - offset);
  stream.position = std::max(stream.position, end);
  if (stream.run < tuning_.opens_after) return;

  // Doubles each time as much as the window holds has been read.
  while (stream.size == 0 || (stream.size < tuning_.cap && stream.run >= 2 * stream.size))
    stream.size = stream.size == 0 ? tuning_.first : std::min(stream.size * 2, tuning_.cap);
  const std::uint64_t begin = std::min(stream.position, file_length_);
  const std::uint64_t window_end =
      std::min(begin + std::min(stream.size, cap(stream)), file_length_);
  if (begin == window_end && stream.shown_begin == stream.shown_end) return;
  // Small steps are not worth telling; the last bytes of the file and a whole new place are.
  const std::uint64_t step = std::max<std::uint64_t>(stream.size / 8, 1);
  const bool moved = begin >= stream.shown_begin + step || begin >= stream.shown_end ||
                     window_end >= stream.shown_end + step ||
                     (window_end == file_length_ && stream.shown_end != file_length_);
  if (!moved) return;
  stream.shown_begin = begin;
  stream.shown_end = window_end;
  out.push_back({index, begin, window_end, rate(stream)});
}

void ReadWindow::close(std::uint32_t index, std::vector<WindowChange>& out) {
  Stream& stream = streams_[index];
  if (stream.shown_begin != stream.shown_end) out.push_back({index, 0, 0});
  stream.run = stream.size = stream.shown_begin = stream.shown_end = 0;
}

void ReadWindow::leave(TimePoint now) {
  for (Stream& stream : streams_)
    if (!stream.left_at) stream.left_at = now;
}

std::vector<WindowChange> ReadWindow::on_timer(TimePoint now) {
  std::vector<WindowChange> out;
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = streams_[i];
    if (!stream.left_at || now < *stream.left_at + tuning_.patience) continue;
    if (stream.size != 0) close(i, out);
    stream.run = 0;
  }
  return out;
}

std::optional<TimePoint> ReadWindow::deadline() const {
  std::optional<TimePoint> first;
  for (const auto& stream : streams_) {
    if (!stream.left_at || stream.size == 0) continue;
    const TimePoint due = *stream.left_at + tuning_.patience;
    if (!first || due < *first) first = due;
  }
  return first;
}

}  // namespace swarmfs::fs
