#include "swarm/wire/http_head.h"

#include <algorithm>
#include <charconv>

namespace swarmfs::wire {
namespace {

constexpr std::uint64_t kLongestWait = 86'400;  // seconds

/// Takes a number off the front.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trimmed(text);
  if (!take(text, "bytes ")) return std::nullopt;
  ContentRange range;
  const auto first = take_number(text);
  if (!first || !take(text, "-")) return std::nullopt;
  const auto last = take_number(text);
  if (!last || !take(text, "/")) return std::nullopt;
  if (text != "*") {
    range.total = take_number(text);
    if (!range.total || !text.empty() || *last >= *range.total) return std::nullopt;
  }
  if (*first > *last) return std::nullopt;
  range.first = *first;
  range.last = *last;
  return range;
}

std::optional<Duration> parse_retry_after(std::string_view text) {
  text = trimmed(text);
  const auto seconds = take_number(text);
  if (!seconds || !text.empty()) return std::nullopt;
  return std::chrono::seconds(std::min(*seconds, kLongestWait));
}

}  // namespace swarmfs::wire
