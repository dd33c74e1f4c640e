// Waiting, for a bounded time, for what another thread was asked.
#pragma once

#include <future>
#include <optional>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// Nothing if it has not come by then, or never will: who was asked has gone, or nobody was and it
/// is no future at all.
template <class T>
std::optional<T> answer_by(TimePoint until, std::future<T>& answer) {
  if (!answer.valid() || answer.wait_until(until) != std::future_status::ready) return std::nullopt;
  try {
    return answer.get();
  } catch (const std::future_error&) {
    return std::nullopt;
  }
}

}  // namespace swarmfs::mount
