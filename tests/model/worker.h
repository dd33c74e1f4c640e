// One process that does random operations on a mount and compares each outcome with the model.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/source.h"

namespace swarmfs::model {

inline constexpr unsigned kMaxWorkers = 32;
inline constexpr unsigned kMaxOperations = 40;

/// What a worker tells of itself, in shared memory.
struct Slot {
  std::atomic<std::uint64_t> done{0};     ///< operations
  std::atomic<std::int64_t> began_ms{0};  ///< the operation that runs, on the steady clock
  char what[400] = {};                    ///< the same in words
};

struct Shared {
  std::atomic<bool> ending{false};  ///< the mount is about to go: from now on errors may say so
  Slot slots[kMaxWorkers];
  std::atomic<std::uint64_t> count[kMaxOperations] = {};    ///< of each operation
  std::atomic<std::uint64_t> refused[kMaxOperations] = {};  ///< of those: with a permitted errno
  std::atomic<std::int64_t> slowest_us[kMaxOperations] = {};
};

struct Job {
  const Source& source;
  std::string mount;
  Shared& shared;
  unsigned index = 0;        ///< which slot
  std::uint64_t seed = 0;    ///< decides every operation, whatever they come to
  bool interrupted = false;  ///< signals with a handler arrive all the time
};

/// Thrown by an operation when the mount has ended and was to end.
struct Ended {};

class Worker {
 public:
  explicit Worker(Job job);
  /// Until the mount ends (0) or something differs from the model (1, and says so).
  int run();

  /// An operation of the table in operations.cc.
  struct Operation {
    const char* name;
    unsigned weight;
    void (Worker::*run)();
    std::vector<int> permitted;  ///< errnos that it may end with, beside success
  };
  static std::span<const Operation> operations();

 private:
  struct Handle {
    int fd;
    const Entry* file;
    std::uint64_t position;
    bool direct;  ///< O_DIRECT
  };
  struct Mapping {
    const char* at;
    std::uint64_t offset, length;
    const Entry* file;
  };

  // operations.cc
  void open_file();
  void read_on();
  void read_at();
  void read_vector();
  void seek();
  void map();
  void touch();
  void unmap();
  void send();
  void splice_out();
  void copy_range();
  void advise();
  void duplicate();
  void close_file();
  void list();
  void look();
  void attribute();
  void follow();
  void absent();
  void refuse_writing();
  void execute();

  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : rng_() % limit; }
  bool one_in(unsigned n) { return below(n) == 0; }
  /// An offset to look at: often a border of pages, blocks or the file.
  std::uint64_t some_offset(std::uint64_t size);
  /// Mostly small.
  std::uint64_t some_length();
  const Entry& one_of(const std::vector<Entry>& entries) { return entries[below(entries.size())]; }
  /// Opens one if none is open.
  Handle& some_handle();
  std::string path(const Entry& entry) const { return job_.mount + "/" + entry.path; }

  void say(const char* format, ...) __attribute__((format(printf, 2, 3)));
  [[noreturn]] void fail(const std::string& why);
  /// An error of the operation: returns if it is permitted.
  void refused(int error);
  /// Expects that errno, and that it failed.
  void expect_error(long result, int error);
  /// Compares what a call returned with the file. True if it brought bytes, or rightly none.
  bool compare(long n, const char* got, const Entry& file, std::uint64_t offset,
               std::uint64_t asked, bool may_be_short = false);

  Job job_;
  std::mt19937_64 rng_;
  const Operation* now_ = nullptr;
  std::uint64_t number_ = 0;
  bool direct_ = false;  ///< it is done on a handle with O_DIRECT
  std::vector<Handle> handles_;
  std::vector<Mapping> mappings_;
  int scratch_;  ///< a file in memory that copies go to
  int pipe_[2];
  std::vector<char> buffer_;
};

}  // namespace swarmfs::model
