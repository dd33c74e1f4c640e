// The port between the filesystem and whatever brings the bytes of one torrent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"

namespace swarmfs {

/// Verified bytes, in order, each run kept alive by its owner.
struct ContentSlice {
  std::shared_ptr<const void> owner;
  ByteView bytes;
};
using Content = std::vector<ContentSlice>;

struct ReadRequest {
  FileIndex file;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  ///< the range must lie in the file; the answer is never shorter
  HandleId handle{};         ///< who asks: one open file description
  ReaderId reader{};  ///< the program behind it: programs whose reads wait are served in turn
};

/// Where the bytes of an answer came from: the slowest of what it took.
enum class ReadSource : std::uint8_t { memory, disk, peer };
inline constexpr std::size_t kReadSources = 3;

/// How an answer came about, for people.
struct ReadStory {
  ReadSource source = ReadSource::memory;
  std::string cause;  ///< what a parked read waited for, in words; empty if it was not parked
};

/// Called exactly once per read. Errors: timed_out, cancelled, io, no_space, mismatch.
using ReadDone = std::function<void(Result<Content>, ReadStory)>;
/// Called while a read is parked and some of its start, but not all of it, is here: with how many
/// bytes, at once for those that were here before, and again when there are more. From any thread.
using ReadPart = std::function<void(std::uint32_t bytes_here)>;

/// Where a file lies among all bytes of its torrent, pads and gaps included.
struct FilePlace {
  std::uint64_t begin = 0;
  std::uint64_t total = 0;         ///< bytes of them all; 0 if the files have no such order
  std::uint32_t piece_length = 0;  ///< what is fetched at once
};

/// Serves reads of one torrent's files. All methods are thread-safe, never wait for the network,
/// nor for the local disk where it is not said, and call back without holding a lock of theirs.
class ContentSource {
 public:
  virtual ~ContentSource() = default;

  /// Answers from memory before it returns (ReadId{0}); or has the local disk read, and answers
  /// when that is done, from another thread (ReadId{0} too: there is nothing to cancel); or parks
  /// the read: then `done` is called later, from another thread, at the latest when the source's
  /// read timeout passes without progress.
  /// `part` may be empty.
  virtual ReadId read(const ReadRequest& request, ReadDone done, ReadPart part) = 0;
  /// Drops a parked read: `done` gets `cancelled` unless it has been called already.
  virtual void cancel(ReadId read) = 0;

  /// The bytes if all of them are here, in memory or on the local disk, which it may wait for.
  virtual std::optional<Content> peek(FileIndex file, std::uint64_t offset,
                                      std::uint32_t length) = 0;

  /// Says which bytes [begin, end) of a file this handle will want next, nearest first, and how
  /// fast it takes them (bytes per second; 0: as fast as they come); replaces what it said before.
  /// What lies beyond the file's end is of the files behind it, as place_of() has them. An empty
  /// range drops it.
  virtual void set_window(HandleId handle, FileIndex file, std::uint64_t begin, std::uint64_t end,
                          double bps) = 0;
  /// The handle is gone: its reads are cancelled and its window is dropped.
  virtual void close(HandleId handle) = 0;

  virtual FilePlace place_of(FileIndex) const { return {}; }

  /// A descriptor of a local file that is this one, every byte of it verified in this run, so that
  /// it can be read without asking here; invalid if there is none. May wait for the local disk.
  virtual Fd open_verified(FileIndex) { return Fd(); }
  /// Makes open_verified() work for a file that is here, but not verified in this run, some time
  /// from now and at nobody's expense.
  virtual void verify_later(FileIndex) {}

  /// Verified bytes of a file that are here now.
  virtual std::uint64_t bytes_here(FileIndex file) const = 0;
  /// Another number whenever bytes_here() of any file has another answer.
  virtual std::uint64_t changes() const = 0;
  /// One character a piece of the file, in order: '#' here, '.' not.
  virtual std::string piece_map(FileIndex file) const = 0;
  /// The user wants all of this file to be here.
  virtual bool is_pinned(FileIndex) const { return false; }
  /// "open" if reads can be had, else "opening", or "broken: " and why; for people.
  virtual std::string state_text() const { return "open"; }
  /// Connections to peers.
  virtual std::uint32_t peers() const { return 0; }
};

}  // namespace swarmfs
