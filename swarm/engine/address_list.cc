#include "swarm/engine/address_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace swarmfs::engine {
namespace {

using Range = std::pair<IpAddress, IpAddress>;

/// eMule: a line of this level or below blocks.
constexpr unsigned kBlockingLevel = 127;
/// How much of a bad line is repeated.
constexpr std::size_t kShown = 60;

constexpr std::string_view kBlank = " \t\r\f\v";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// All of the text as a decimal number of at most `digits` digits.
std::optional<unsigned> number(std::string_view text, std::size_t digits) {
  unsigned value = 0;
  if (text.empty() || text.size() > digits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Four decimal numbers, with leading zeros or without.
std::optional<IpAddress> v4(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t dot = i + 1 < bytes.size() ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const auto value = number(text.substr(0, dot), 3);
    if (!value || *value > 255) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*value);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return IpAddress::v4(bytes);
}

std::optional<IpAddress> address(std::string_view text) {
  text = trimmed(text);
  if (text.find(':') == std::string_view::npos) return v4(text);
  return IpAddress::parse(text);
}

/// The first and the last address of a network of `bits` bits; bits beyond them are passed over.
std::optional<Range> network(std::string_view base, std::string_view length) {
  const auto at = address(base);
  const auto bits = number(trimmed(length), 3);
  // A v4-mapped address has become IPv4, and its length means something else.
  if (!at || !bits || at->is_v4() != (base.find(':') == std::string_view::npos))
    return std::nullopt;
  if (*bits > at->bytes().size() * 8) return std::nullopt;
  std::array<std::uint8_t, 16> first{}, last{};
  for (std::size_t i = 0; i < at->bytes().size(); ++i) {
    const std::size_t own = std::clamp<std::size_t>(*bits, i * 8, i * 8 + 8) - i * 8;
    const auto mask = static_cast<std::uint8_t>(0xff00U >> own);
    first[i] = at->bytes()[i] & mask;
    last[i] = static_cast<std::uint8_t>(first[i] | ~mask);
  }
  if (!at->is_v4()) return Range{IpAddress::v6(first), IpAddress::v6(last)};
  const auto four = [](const auto& b) { return IpAddress::v4({b[0], b[1], b[2], b[3]}); };
  return Range{four(first), four(last)};
}

/// An address, a network, or two addresses with a dash between.
std::optional<Range> range(std::string_view text) {
  if (const auto slash = text.find('/'); slash != std::string_view::npos)
    return network(text.substr(0, slash), text.substr(slash + 1));
  const auto dash = text.find('-');
  const auto first = address(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : address(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return Range{*first, *last};
}

/// Two addresses behind the first colon that leaves some: a name may have colons of its own, and
/// so does IPv6.
std::optional<Range> named_range(std::string_view line) {
  // No range is longer, and names may be of any length.
  constexpr std::size_t kLongest = 100;
  std::size_t from = line.size() > kLongest ? line.size() - kLongest : 0;
  for (auto colon = line.find(':', from); colon != std::string_view::npos;
       colon = line.find(':', colon + 1)) {
    const std::string_view rest = line.substr(colon + 1);
    if (rest.find('-') == std::string_view::npos) return std::nullopt;
    if (const auto found = range(rest)) return found;
  }
  return std::nullopt;
}

struct Parsed {
  std::optional<Range> range;
  bool blocks = true;
};

Parsed parse(std::string_view line) {
  const auto comma = line.find(',');
  if (const auto found = range(line.substr(0, comma))) {
    if (comma == std::string_view::npos) return {found, true};
    const std::string_view rest = line.substr(comma + 1);
    const auto level = number(trimmed(rest.substr(0, rest.find(','))), 4);
    return {level ? found : std::nullopt, level.value_or(0) <= kBlockingLevel};
  }
  return {named_range(line), true};
}

/// Part of a line that may hold anything, fit to be shown.
std::string quoted(std::string_view line) {
  std::string out = "\"";
  for (const char c : line.substr(0, kShown))
    out += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
  return out + (line.size() > kShown ? "...\"" : "\"");
}

}  // namespace

AddressListReport parse_address_list(std::string_view text, AddressFilter::Builder& into) {
  AddressListReport report;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  for (std::size_t at = 0, n = 1; at < text.size(); ++n) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(text.substr(at, end - at));
    at = end + 1;
    if (line.empty() || line[0] == '#' || line[0] == ';' || line.starts_with("//")) continue;
    const Parsed parsed = parse(line);
    const bool good = parsed.range && !(parsed.range->second < parsed.range->first) &&
                      parsed.range->first.is_v4() == parsed.range->second.is_v4();
    ++(good ? report.good : report.bad);
    if (good && parsed.blocks) into.add(parsed.range->first, parsed.range->second);
    if (!good && !report.first_bad)
      report.first_bad = {n, quoted(line) + (parsed.range ? " ends before it begins"
                                                          : " is no range of addresses")};
  }
  return report;
}

}  // namespace swarmfs::engine
