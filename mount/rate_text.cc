#include "mount/rate_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "mount/format.h"

namespace swarmfs::mount {

static Error no_rate(std::string_view text) {
  return fail(
      ErrorKind::bad_input,
      "\"" + std::string(text) + "\" is not a rate; write one like 500K, 2M or 10Mbit, or none");
}

/// "10Mbit", lower case; nothing if it is no number of bits.
static std::optional<double> parse_bits(std::string_view text) {
  if (!text.ends_with("bit")) return std::nullopt;
  text.remove_suffix(3);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  static constexpr std::string_view kUnits = "kmg";
  if (unit.empty()) return value;
  const std::size_t power = kUnits.find(unit.front());
  if (unit.size() != 1 || power == std::string_view::npos) return std::nullopt;
  return value * std::pow(1000.0, static_cast<double>(power + 1));
}

Result<std::uint64_t> parse_rate(std::string_view text) {
  std::string rate;
  for (const char c : text) rate += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (rate == "none" || rate == "0") return std::uint64_t{0};
  if (rate.ends_with("/s")) rate.resize(rate.size() - 2);
  std::optional<std::uint64_t> bps;
  if (const auto bits = parse_bits(rate)) {
    if (*bits < 8e18) bps = static_cast<std::uint64_t>(*bits / 8);
  } else {
    bps = parse_size(rate);
  }
  // What rounds to nothing would be no limit at all.
  if (!bps || *bps == 0) return no_rate(text);
  return *bps;
}

std::string limit_text(std::uint64_t bps) {
  return bps == 0 ? "none" : human_rate(static_cast<double>(bps));
}

Result<ByteRange> ByteRange::parse(std::string_view text) {
  ByteRange range;
  range.begin_ = 0;
  if (text.empty()) return range;
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::bad_input, "\"" + std::string(text) + "\" is not a range of bytes: " +
                                          why + "; write one like 0-1M, 100M- or -64K");
  };
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return bad("it has no -");
  const std::string_view first = text.substr(0, dash), second = text.substr(dash + 1);
  if (first.empty() && second.empty()) return bad("it has no number");
  if (first.empty()) {
    range.begin_.reset();
  } else if (range.begin_ = parse_size(first); !range.begin_) {
    return bad("\"" + std::string(first) + "\" is no number of bytes");
  }
  if (second.empty()) return range;
  range.end_or_count_ = parse_size(second);
  if (!range.end_or_count_) return bad("\"" + std::string(second) + "\" is no number of bytes");
  if (range.begin_.value_or(0) >= *range.end_or_count_) return bad("it has no bytes");
  return range;
}

ByteRange::Bytes ByteRange::of(std::uint64_t length) const {
  if (!begin_) return {length - std::min(length, end_or_count_.value_or(0)), length};
  const std::uint64_t end = std::min(length, end_or_count_.value_or(length));
  return {std::min(*begin_, end), end};
}

}  // namespace swarmfs::mount
