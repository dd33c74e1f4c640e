#include "swarm/engine/address_filter.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace swarmfs::engine {
namespace {

std::uint32_t number_of(const IpAddress& address) {
  std::uint32_t number = 0;
  for (const std::uint8_t byte : address.bytes()) number = number << 8 | byte;
  return number;
}

std::array<std::uint8_t, 16> sixteen_of(const IpAddress& address) {
  std::array<std::uint8_t, 16> out{};
  std::ranges::copy(address.bytes(), out.begin());
  return out;
}

/// The address after it; nothing after the last.
std::optional<std::uint32_t> successor(std::uint32_t address) {
  if (address == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return address + 1;
}

std::optional<std::array<std::uint8_t, 16>> successor(std::array<std::uint8_t, 16> address) {
  for (std::size_t i = address.size(); i-- > 0;)
    if (++address[i] != 0) return address;
  return std::nullopt;
}

/// Sorted, and what overlaps or touches made one.
template <class Range>
std::vector<Range> merged(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  std::size_t kept = 0;
  for (const Range& range : ranges) {
    const auto after = kept > 0 ? successor(ranges[kept - 1].last) : std::nullopt;
    if (kept > 0 && (!after || range.first <= *after)) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
  ranges.shrink_to_fit();
  return ranges;
}

template <class Range, class Address>
bool contains(const std::vector<Range>& ranges, const Address& address) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](const Address& a, const Range& range) { return a < range.first; });
  return after != ranges.begin() && address <= std::prev(after)->last;
}

}  // namespace

bool AddressFilter::Builder::add(const IpAddress& first, const IpAddress& last) {
  if (first.is_v4() != last.is_v4() || last < first) return false;
  if (first.is_v4()) {
    v4_.push_back({number_of(first), number_of(last)});
  } else {
    v6_.push_back({sixteen_of(first), sixteen_of(last)});
  }
  return true;
}

AddressFilter AddressFilter::Builder::build() {
  AddressFilter filter;
  filter.v4_ = merged(std::exchange(v4_, {}));
  filter.v6_ = merged(std::exchange(v6_, {}));
  return filter;
}

bool AddressFilter::blocks(const IpAddress& address) const {
  return address.is_v4() ? contains(v4_, number_of(address)) : contains(v6_, sixteen_of(address));
}

}  // namespace swarmfs::engine
