// --schedule: rates by the time of day. Pure: the time is passed in, as clocks on walls show it.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/engine/rate_limiter.h"

namespace swarmfs::mount {

/// A moment in local time.
struct LocalMoment {
  unsigned weekday = 0;  ///< 0: Monday
  unsigned minute = 0;   ///< of the day, 0 to 1439
  unsigned second = 0;   ///< of the minute, 0 to 60

  /// As the system's zone has it (TZ, or /etc/localtime).
  static LocalMoment of(std::time_t time);
  std::chrono::seconds to_next_minute() const {
    return std::chrono::seconds(second < 60 ? 60 - second : 1);
  }
};

/// Rates for a part of some days.
struct RateRule {
  unsigned begin = 0,
           end = 0;      ///< minutes of the day; an end that is not after it: of the next day
  unsigned days = 0x7f;  ///< of its begin: bit 0 is Monday
  std::uint64_t down_bps = 0, up_bps = 0;  ///< 0: no limit
  std::string text;                        ///< as it was given

  /// "22:00-07:00,mon-fri,sun=none/500K". Days are mon to sun, or ranges of them, and every day if
  /// none is named; 24:00 is the end of a day. Rates as of parse_rate(). Error: bad_input.
  static Result<RateRule> parse(std::string_view text);
  /// From its begin until before its end. When clocks are put forward, minutes that do not come are
  /// left out; when they are put back, those that come twice are in it both times.
  bool holds(const LocalMoment& moment) const;
};

/// Which rates hold when. The first rule that holds counts; where none does, what was allowed at
/// the start.
class RateSchedule {
 public:
  RateSchedule(std::vector<RateRule> rules, const engine::RateLimits& otherwise)
      : rules_(std::move(rules)), otherwise_(otherwise) {}

  bool empty() const { return rules_.empty(); }
  /// The rates to set now; nothing while the same rule holds as at the last call, so that what the
  /// user orders meanwhile stays until the next change.
  std::optional<engine::RateLimits> change(const LocalMoment& now);
  /// The text of the rule that holds; "" if none does.
  std::string rule_at(const LocalMoment& now) const;

 private:
  const RateRule* find(const LocalMoment& now) const;

  std::vector<RateRule> rules_;
  engine::RateLimits otherwise_;
  std::optional<const RateRule*> last_;
};

}  // namespace swarmfs::mount
