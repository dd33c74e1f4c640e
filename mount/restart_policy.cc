#include "mount/restart_policy.h"

#include <algorithm>

namespace swarmfs::mount {

namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);

/// 100 ms, 200 ms, 400 ms ... for the first, second, third.
Duration doubling(std::size_t nth) {
  return kFirstPause * (1U << std::min<std::size_t>(nth - 1, RestartPolicy::kTooMany));
}

void note(std::deque<TimePoint>& times, TimePoint now) {
  while (!times.empty() && now - times.front() >= RestartPolicy::kWindow) times.pop_front();
  times.push_back(now);
}

bool in_vain(const WorkerDeath& death) {
  if (!death.was_ready) return true;
  return death.lasted < RestartPolicy::kLongLife && (death.by_itself || !death.was_used);
}

}  // namespace

std::optional<Duration> RestartPolicy::on_death(const WorkerDeath& death, TimePoint now) {
  note(deaths_, now);
  if (in_vain(death)) {
    note(in_vain_, now);
    if (in_vain_.size() >= kTooMany) return std::nullopt;
    return doubling(in_vain_.size());
  }
  if (deaths_.size() == 1) return Duration::zero();
  return std::min(doubling(deaths_.size() - 1), kLongestPause);
}

}  // namespace swarmfs::mount
