// One READ of the kernel on its way: for the files that implement FuseReads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "mount/fuse_reads.h"

namespace swarmfs::mount {

/// starting: read() has it, and takes a result that comes meanwhile. parked: whoever has the result
/// answers. expired: answered with EAGAIN, the result goes to the page cache. answered: nothing is
/// left to do.
struct FuseReads::Ticket : std::enable_shared_from_this<FuseReads::Ticket> {
  enum class State : std::uint8_t { starting, parked, expired, answered };

  FuseReads* owner = nullptr;
  Request request;
  TimePoint started;
  TimePoint since;   ///< when its reader began to wait, which may be earlier: see publish()
  std::mutex mutex;  ///< guards what follows; innermost, nothing is called under it
  State state = State::starting;
  ReadId id;
  std::optional<Answer> result;
  bool given_back = false;   ///< the kernel has its EAGAIN: what comes may be pushed
  std::uint32_t here = 0;    ///< bytes of its start that can be read: whole pages, or all
  std::uint32_t pushed = 0;  ///< of those: on their way to the page cache, or there

  bool waits() {
    const std::lock_guard lock(mutex);
    return state == State::starting || state == State::parked;
  }
  /// Given back to the kernel, and nothing of it has come since.
  bool expired_empty() {
    const std::lock_guard lock(mutex);
    return state == State::expired && here == 0;
  }
  bool covers(const Request& other) const {
    return request.file->ino() == other.file->ino() && request.offset <= other.offset &&
           other.offset < request.offset + request.length;
  }

  std::optional<Answer> take_result_or(State next) {
    const std::lock_guard lock(mutex);
    state = result ? State::answered : next;
    return std::exchange(result, std::nullopt);
  }
};

}  // namespace swarmfs::mount
