// The words in which links are described: rates, times, sizes and shares, with their units.
//
// Whatever is not understood throws a ControlError that names it; nothing is guessed.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace swarmfs::netlab {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<Clock, Duration>;

/// No event is due, ever.
inline constexpr TimePoint kNever = TimePoint::max();

/// 0 is a dead link; kUnlimited one on which sending takes no time.
using BitsPerSecond = std::uint64_t;
inline constexpr BitsPerSecond kUnlimited = std::numeric_limits<BitsPerSecond>::max();

/// What the control socket answers to a command that cannot be carried out. `code` is one word
/// that programs may compare; what() is for people.
class ControlError : public std::runtime_error {
 public:
  ControlError(std::string code, const std::string& text)
      : std::runtime_error(text), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/// "0", "unlimited", or a number with bit, kbit, mbit or gbit: at most 1000gbit.
BitsPerSecond parse_rate(std::string_view text);

/// A number with us, ms or s ("0" needs none): at most 60 s.
Duration parse_duration(std::string_view text);

/// A number with b, kib or mib ("0" needs none), in bytes: at most 1024 MiB.
std::uint64_t parse_size(std::string_view text);

/// A share from 0 to 1.
double parse_share(std::string_view text);

/// "true" or "false".
bool parse_flag(std::string_view text);

/// The inverse of parse_rate and parse_duration, exact.
std::string format_rate(BitsPerSecond rate);
std::string format_duration(Duration duration);

}  // namespace swarmfs::netlab
