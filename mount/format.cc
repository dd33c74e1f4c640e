#include "mount/format.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace swarmfs::mount {
namespace {

constexpr std::string_view kUnits = "BKMGTPE";

template <class... Args>
std::string print(const char* format, Args... args) {
  std::array<char, 64> out;
  std::snprintf(out.data(), out.size(), format, args...);
  return out.data();
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 999.5 rather than 1024, so that no value needs four digits.
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::string number = print("%.*f", decimals, value);
  if (decimals > 0) {
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') number.pop_back();
  }
  number += ' ';
  number += kUnits[unit];
  number += "iB";
  return number;
}

std::string human_rate(double bytes_per_second) {
  const bool sensible = std::isfinite(bytes_per_second) && bytes_per_second > 0;
  return human_size(sensible ? static_cast<std::uint64_t>(bytes_per_second) : 0) + "/s";
}

std::string human_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto s = static_cast<long>(std::ceil(seconds));
  if (s < 60) return print("%ld s", s);
  if (s < 3600) return print("%ld min %02ld s", s / 60, s % 60);
  if (s < 86400) return print("%ld h %02ld min", s / 3600, s / 60 % 60);
  return print("%ld d %02ld h", s / 86400, s / 3600 % 24);
}

std::string human_wait(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 0.9995) return print("%.0f ms", seconds * 1000);
  if (seconds < 9.95) return print("%.1f s", seconds);
  return human_duration(seconds);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) return std::nullopt;
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c) {
    unit += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  }
  if (unit.empty()) unit += kUnits.front();
  const std::size_t power = kUnits.find(unit.front());
  const std::string_view rest = std::string_view(unit).substr(1);
  if (power == std::string_view::npos) return std::nullopt;
  if (!rest.empty() && (power == 0 || (rest != "B" && rest != "IB"))) return std::nullopt;
  value *= std::pow(1024.0, static_cast<double>(power));
  if (value >= 18446744073709551615.0) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte < 0x20 || byte == 0x7f) {
      out += '?';
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // C1 controls in UTF-8
      out += '?';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace swarmfs::mount
