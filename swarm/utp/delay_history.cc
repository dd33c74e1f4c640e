#include "swarm/utp/delay_history.h"

#include <algorithm>

namespace swarmfs::utp {

using namespace std::chrono_literals;

static bool shorter(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

Duration DelayHistory::add(std::uint32_t delay_us, TimePoint now) {
  if (used_ == 0 || now - minute_began_ >= 1min) {
    current_ = used_ == 0 ? 0 : (current_ + 1) % kMinutes;
    used_ = std::min(used_ + 1, kMinutes);
    minutes_[current_] = delay_us;
    minute_began_ = now;
    find_base();
  } else if (shorter(delay_us, minutes_[current_])) {
    minutes_[current_] = delay_us;
    if (shorter(delay_us, *base_)) base_ = delay_us;
  }
  return std::chrono::microseconds(delay_us - *base_);
}

void DelayHistory::shift(std::uint32_t by_us) {
  for (std::size_t i = 0; i < used_; ++i) minutes_[i] += by_us;
  if (used_ > 0) find_base();
}

void DelayHistory::find_base() {
  base_ = *std::min_element(minutes_.begin(), minutes_.begin() + static_cast<std::ptrdiff_t>(used_),
                            shorter);
}

}  // namespace swarmfs::utp
