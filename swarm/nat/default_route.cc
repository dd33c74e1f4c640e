#include "swarm/nat/default_route.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <vector>

namespace swarmfs::nat {
namespace {

constexpr std::uint32_t kUp = 0x1;        // RTF_UP
constexpr std::uint32_t kGateway = 0x2;   // RTF_GATEWAY
constexpr std::uint32_t kReject = 0x200;  // RTF_REJECT

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    if (end > 0) out.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

template <class T>
std::optional<T> number(std::string_view text, int base) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool usable(std::uint32_t flags) {
  return (flags & (kUp | kGateway | kReject)) == (kUp | kGateway);
}

/// One route of a table: nothing if it is not a default route by a gateway.
struct Route {
  Gateway gateway;
  std::uint32_t metric = 0;
};

template <class ParseLine>
std::optional<Gateway> best(std::string_view table, ParseLine parse) {
  std::optional<Route> out;
  while (!table.empty()) {
    const auto end = std::min(table.find('\n'), table.size());
    const auto route = parse(words(table.substr(0, end)));
    table.remove_prefix(std::min(end + 1, table.size()));
    if (route && (!out || route->metric < out->metric)) out = route;
  }
  return out ? std::optional(out->gateway) : std::nullopt;
}

}  // namespace

std::optional<Gateway> default_route_v4(std::string_view table) {
  // Iface Destination Gateway Flags RefCnt Use Metric Mask ...
  return best(table, [](const std::vector<std::string_view>& w) -> std::optional<Route> {
    if (w.size() < 8 || w[1] != "00000000" || w[7] != "00000000") return std::nullopt;
    const auto gateway = number<std::uint32_t>(w[2], 16);
    const auto flags = number<std::uint32_t>(w[3], 16);
    const auto metric = number<std::uint32_t>(w[6], 10);
    if (!gateway || !flags || !metric || !usable(*flags)) return std::nullopt;
    std::array<std::uint8_t, 4> bytes;  // the kernel prints the word as it lies in memory
    std::memcpy(bytes.data(), &*gateway, bytes.size());
    return Route{{IpAddress::v4(bytes), std::string(w[0])}, *metric};
  });
}

std::optional<Gateway> default_route_v6(std::string_view table) {
  // destination length source length gateway metric references use flags device
  return best(table, [](const std::vector<std::string_view>& w) -> std::optional<Route> {
    static constexpr std::string_view kAny = "00000000000000000000000000000000";
    if (w.size() < 10 || w[0] != kAny || w[1] != "00" || w[4].size() != 32) return std::nullopt;
    const auto metric = number<std::uint32_t>(w[5], 16);
    const auto flags = number<std::uint32_t>(w[8], 16);
    if (!metric || !flags || !usable(*flags)) return std::nullopt;
    std::array<std::uint8_t, 16> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = number<std::uint8_t>(w[4].substr(2 * i, 2), 16);
      if (!byte) return std::nullopt;
      bytes[i] = *byte;
    }
    return Route{{IpAddress::v6(bytes), std::string(w[9])}, *metric};
  });
}

}  // namespace swarmfs::nat
