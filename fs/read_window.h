// What one open file will want next, told from the reads it makes. Pure: time is passed in.
//
// The kernel reads ahead on its own (256 KiB in flight at most), out of order and whether or not
// anybody wants it, so a window opens only once reads have run on for longer than that. A handle
// may be read at several places at once; each is a stream with a window of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "swarm/base/clock.h"

namespace swarmfs::fs {

struct WindowTuning {
  std::uint64_t opens_after = 256 << 10;  ///< sequential bytes before the first window
  std::uint64_t first = 1 << 20;          ///< its size; then doubling
  std::uint64_t cap = 64 << 20;
  std::uint64_t back = 1 << 20;  ///< a read this far behind still belongs to the stream
  std::uint64_t skip = 1 << 20;  ///< a gap this long ahead is no seek, even without a window
  std::uint64_t longest_skip = 16 << 20;  ///< nor is a longer one that lands inside the window
  Duration patience = std::chrono::milliseconds(20);  ///< before an abandoned place is a seek
  std::uint32_t streams = 8;
  /// A reader whose rate is known gets a window for so long, but for no fewer bytes than that.
  Duration horizon = std::chrono::seconds(30);
  std::uint64_t least_for_horizon = 4 << 20;
  /// A rate is known once reads without a wait were watched for so long, and is of about the last
  /// `rate_memory` of them.
  Duration rate_known_after = std::chrono::milliseconds(500);
  Duration rate_memory = std::chrono::seconds(4);
};

/// Bytes [begin, end) that a stream wants; empty: it wants nothing any more.
struct WindowChange {
  std::uint32_t stream = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  /// How fast its reader takes bytes that are here, per second; 0 while that is not known.
  double bps = 0;
  bool operator==(const WindowChange&) const = default;
};

/// One per open file handle. Not thread-safe.
class ReadWindow {
 public:
  explicit ReadWindow(std::uint64_t file_length, WindowTuning tuning = {});

  struct Outcome {
    std::uint32_t stream = 0;  ///< which stream this read belongs to: below tuning.streams
    std::vector<WindowChange> changes;
  };
  /// A read of [offset, offset + length), length > 0, made by thread `reader`. Where threads cannot
  /// be told apart, 0 for all: then reading at two places in turn counts as seeking.
  Outcome on_read(std::uint64_t offset, std::uint64_t length, std::uint32_t reader, TimePoint now);
  /// The last read of a stream was not answered at once: the time until the next says nothing of
  /// how fast its reader takes what is here.
  void on_wait(std::uint32_t stream) { streams_[stream].waited = true; }

  /// Whoever read here may be gone: unless reads go on, their windows are dropped after the
  /// patience.
  void leave(TimePoint now);
  /// Drops the windows of places that their reader left for longer than the patience.
  std::vector<WindowChange> on_timer(TimePoint now);
  /// When on_timer() has something to do; nothing if no reader has jumped.
  std::optional<TimePoint> deadline() const;

 private:
  struct Stream {
    std::uint64_t position = 0;  ///< end of the furthest read
    std::uint64_t run = 0;       ///< bytes read in sequence since the last jump
    std::uint64_t size = 0;      ///< of the window; 0: not open
    std::uint64_t shown_begin = 0;
    std::uint64_t shown_end = 0;
    std::uint32_t reader = 0;
    TimePoint last_read{};
    bool waited = true;     ///< since last_read; the first read has nothing to be timed by
    double free_bytes = 0;  ///< read without a wait in free_seconds
    double free_seconds = 0;
    std::optional<TimePoint> left_at;  ///< its reader read elsewhere then
  };

  bool continues(const Stream& stream, std::uint64_t offset, std::uint64_t end) const;
  std::uint32_t stream_for(std::uint64_t offset, std::uint64_t end, std::vector<WindowChange>& out);
  void note_rate(Stream& stream, std::uint64_t end, TimePoint now) const;
  double rate(const Stream& stream) const;
  std::uint64_t cap(const Stream& stream) const;
  void note_jump(std::uint32_t to, std::uint32_t reader, TimePoint now);
  void advance(std::uint32_t index, std::uint64_t offset, std::uint64_t end,
               std::vector<WindowChange>& out);
  void close(std::uint32_t index, std::vector<WindowChange>& out);

  std::uint64_t file_length_;
  WindowTuning tuning_;
  std::vector<Stream> streams_;
};

}  // namespace swarmfs::fs
