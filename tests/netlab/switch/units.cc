#include "tests/netlab/switch/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace swarmfs::netlab {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

[[noreturn]] void bad_value(std::string_view text, const char* wanted) {
  throw ControlError("bad_value", "'" + std::string(text) + "' is not " + wanted);
}

/// The number at the start of the text, zero or more and finite, and what follows it.
std::pair<double, std::string_view> number(std::string_view text, const char* wanted) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) bad_value(text, wanted);
  return {value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

template <std::size_t N>
double scaled(std::string_view text, const std::array<Unit, N>& units, double most,
              const char* wanted) {
  const auto [value, suffix] = number(text, wanted);
  if (value == 0 && suffix.empty()) return 0;
  for (const Unit& unit : units) {
    if (suffix == unit.name && value * unit.factor <= most) return value * unit.factor;
  }
  bad_value(text, wanted);
}

constexpr double kMostRate = 1e12;
constexpr double kMostNanoseconds = 60e9;
constexpr double kMostBytes = 1024.0 * 1024 * 1024;

}  // namespace

BitsPerSecond parse_rate(std::string_view text) {
  static constexpr std::array<Unit, 4> kUnits{
      {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}}};
  if (text == "unlimited") return kUnlimited;
  const double rate =
      scaled(text, kUnits, kMostRate, "a rate: 0, unlimited, or up to 1000gbit (bit, kbit, mbit)");
  // What is not dead stays alive, however slow.
  return rate > 0 && rate < 1 ? 1 : static_cast<BitsPerSecond>(std::llround(rate));
}

Duration parse_duration(std::string_view text) {
  static constexpr std::array<Unit, 3> kUnits{{{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
  return Duration(std::llround(
      scaled(text, kUnits, kMostNanoseconds, "a time: a number of us, ms or s, at most 60s")));
}

std::uint64_t parse_size(std::string_view text) {
  static constexpr std::array<Unit, 3> kUnits{{{"b", 1}, {"kib", 1024}, {"mib", 1024.0 * 1024}}};
  return static_cast<std::uint64_t>(std::llround(
      scaled(text, kUnits, kMostBytes, "a size: a number of b, kib or mib, at most 1024mib")));
}

double parse_share(std::string_view text) {
  const char* wanted = "a share from 0 to 1";
  const auto [value, rest] = number(text, wanted);
  if (!rest.empty() || value > 1) bad_value(text, wanted);
  return value;
}

bool parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  bad_value(text, "true or false");
}

std::string format_rate(BitsPerSecond rate) {
  return rate == kUnlimited ? "unlimited" : std::to_string(rate) + "bit";
}

std::string format_duration(Duration duration) {
  const long long ns = duration.count();
  std::string text = std::to_string(ns / 1000);
  if (ns % 1000 != 0) text += "." + std::to_string(1000 + ns % 1000).substr(1);
  return text + "us";
}

}  // namespace swarmfs::netlab
