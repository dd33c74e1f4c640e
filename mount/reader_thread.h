// What the kernel says about a thread that has a read here, from /proc.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace swarmfs::mount {

/// True if the thread is gone or on its way out: nobody waits for what it asked for.
bool thread_is_gone(pid_t tid);

/// Whose thread it is.
struct Reader {
  pid_t tid = 0;     ///< 0: it cannot be seen from here
  pid_t pid = 0;     ///< its process; 0: unknown
  std::string comm;  ///< the thread's name, any bytes; empty: unknown
};
Reader reader_of(pid_t tid);

/// The processes of threads that read, remembered for the last ones, since asking the kernel takes
/// as long as a READ from memory. A thread id that was used again may give the process of before:
/// for fairness, not for rights. Thread-safe.
class ReaderProcesses {
 public:
  /// 0 if it is not known.
  pid_t of(pid_t tid);

 private:
  static constexpr std::size_t kSlots = 256;
  std::array<std::atomic<std::uint64_t>, kSlots> slots_{};  ///< tid above, pid below
};

/// How a thread with an unanswered READ stands.
enum class WaitKind {
  page,     ///< not inside that READ: it waits for the page, or for something else; or it is gone
  request,  ///< inside a request: an error in the answer would reach the program
  unknown,
};
WaitKind wait_kind(pid_t tid);

}  // namespace swarmfs::mount
