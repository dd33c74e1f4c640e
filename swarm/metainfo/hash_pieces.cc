#include "swarm/metainfo/hash_pieces.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "swarm/metainfo/merkle.h"

namespace swarmfs::metainfo {
namespace {

constexpr std::size_t kPageSize = 4096;
constexpr std::size_t kReadSize = 256 * 1024;        // fits the second-level cache
constexpr std::uint32_t kRunSize = 4 * 1024 * 1024;  // what a thread takes at a time

/// The kernel copies to a page-aligned buffer up to three times as fast as to any other.
MutableByteView page_aligned(Bytes& memory) {
  void* start = memory.data();
  std::size_t space = memory.size();
  std::align(kPageSize, kReadSize, start, space);
  return {static_cast<std::uint8_t*>(start), kReadSize};
}

/// Reads slices of files; keeps the last file open, since pieces come in order.
class SliceReader {
 public:
  explicit SliceReader(const HashJob& job) : job_(job) {}
  ~SliceReader() { close(); }
  SliceReader(const SliceReader&) = delete;
  SliceReader& operator=(const SliceReader&) = delete;

  /// Up to buffer.size() bytes of a file; all of them, or an error.
  Result<> read(FileIndex file, std::uint64_t offset, MutableByteView buffer) {
    const Result<> opened = open(file);
    if (!opened) return opened.error();
    const std::string path = job_.paths[file.value].string();
    while (!buffer.empty()) {
      const ssize_t got = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error::from_errno(errno, path);
      if (got == 0) return fail(ErrorKind::mismatch, path + ": shorter than expected");
      offset += static_cast<std::uint64_t>(got);
      buffer = buffer.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 private:
  Result<> open(FileIndex file) {
    if (fd_ >= 0 && file == open_file_) return {};
    close();
    // O_NONBLOCK: a fifo in a file's place must not hang us; regular files ignore it.
    const char* const path = job_.paths[file.value].c_str();
    fd_ = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return Error::from_errno(errno, path);
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
    open_file_ = file;
    return {};
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  const HashJob& job_;
  int fd_ = -1;
  FileIndex open_file_;
};

/// What the threads share.
struct Shared {
  explicit Shared(const HashJob& j, const PieceHashed& report) : job(j), on_piece(report) {}
  const HashJob& job;
  const PieceHashed& on_piece;
  std::atomic<std::uint32_t> next_piece = 0;
  std::atomic<std::uint64_t> bytes_done = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::condition_variable changed;
  unsigned running = 0;        // guarded by mutex
  std::exception_ptr failure;  // guarded by mutex
};

class Worker {
 public:
  explicit Worker(Shared& shared)
      : shared_(shared),
        job_(shared.job),
        reader_(job_),
        digester_(job_.v1, job_.v2),
        memory_(kReadSize + kPageSize),
        buffer_(page_aligned(memory_)) {}

  void run() {
    const std::uint32_t count = job_.layout.piece_count();
    const std::uint32_t run = std::max(1U, kRunSize / job_.layout.piece_length());
    while (!shared_.stop) {
      const std::uint32_t first = shared_.next_piece.fetch_add(run);
      if (first >= count) return;
      for (std::uint32_t i = first; i < std::min(count, first + run) && !shared_.stop; ++i) {
        const Result<PieceDigests> digests = hash(PieceIndex(i));
        if (shared_.stop) return;  // the piece may be only half read
        if (!shared_.on_piece(PieceIndex(i), digests)) shared_.stop = true;
      }
    }
  }

 private:
  Result<PieceDigests> hash(PieceIndex piece) {
    std::optional<Error> error;
    std::uint64_t v2_length = 0;  // of the file this piece belongs to in v2
    for (const auto& slice : job_.layout.slices(piece, 0, job_.layout.piece_size(piece))) {
      if (!slice.pad) v2_length = job_.layout.files()[slice.file.value].length;
      std::uint64_t offset = slice.file_offset;
      for (std::uint32_t left = slice.length; left > 0 && !shared_.stop;) {
        const MutableByteView chunk = buffer_.first(std::min<std::size_t>(left, buffer_.size()));
        if (slice.pad) {
          std::fill(chunk.begin(), chunk.end(), std::uint8_t{0});
          digester_.update_pad(chunk);
        } else if (!error) {
          const Result<> read = reader_.read(slice.file, offset, chunk);
          if (read) {
            digester_.update(chunk);
          } else {
            error = read.error();
          }
        }
        offset += chunk.size();
        left -= static_cast<std::uint32_t>(chunk.size());
        if (!slice.pad) shared_.bytes_done += chunk.size();
      }
    }
    const unsigned height =
        job_.v2 && v2_length > 0 ? merkle::piece_height(job_.layout.piece_length(), v2_length) : 0;
    if (error || shared_.stop) {
      digester_ = PieceDigester(job_.v1, job_.v2);
      return error.value_or(Error{ErrorKind::cancelled, "cancelled"});
    }
    return digester_.finish(height);
  }

  Shared& shared_;
  const HashJob& job_;
  SliceReader reader_;
  PieceDigester digester_;
  Bytes memory_;
  MutableByteView buffer_;
};

void work(Shared& shared) {
  std::exception_ptr failure;
  try {
    Worker(shared).run();
  } catch (...) {  // out of memory: end the others, and let the caller's thread throw it
    failure = std::current_exception();
    shared.stop = true;
  }
  const std::lock_guard lock(shared.mutex);
  if (failure) shared.failure = failure;
  --shared.running;
  shared.changed.notify_all();
}

}  // namespace

Result<> hash_pieces(const HashJob& job, const PieceHashed& on_piece, const Progress& progress,
                     std::stop_token cancel) {
  const unsigned wanted = job.threads ? job.threads : std::thread::hardware_concurrency();
  const unsigned count = std::clamp(wanted, 1U, std::max(1U, job.layout.piece_count()));
  const std::uint64_t total = job.layout.content_size();
  Shared shared(job, on_piece);
  shared.running = count;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < count; ++i) threads.emplace_back([&shared] { work(shared); });
    std::unique_lock lock(shared.mutex);
    while (shared.running > 0) {
      shared.changed.wait_for(lock, std::chrono::milliseconds(50));
      if (cancel.stop_requested()) shared.stop = true;
      if (!progress) continue;
      lock.unlock();
      progress(shared.bytes_done, total);
      lock.lock();
    }
  }
  if (shared.failure) std::rethrow_exception(shared.failure);
  if (shared.stop) return fail(ErrorKind::cancelled, "cancelled");
  return {};
}

}  // namespace swarmfs::metainfo
