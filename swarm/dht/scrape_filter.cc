#include "swarm/dht/scrape_filter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "swarm/base/hash.h"

namespace swarmfs::dht {
namespace {

constexpr unsigned kBits = 256 * 8;

/// BEP 33: the first four bytes of the address's SHA-1, as two little-endian indices.
std::array<unsigned, 2> bits_of(const IpAddress& address) {
  const Sha1Hash digest = sha1(address.bytes());
  return {(digest[0] | unsigned{digest[1]} << 8) % kBits,
          (digest[2] | unsigned{digest[3]} << 8) % kBits};
}

}  // namespace

void insert(wire::ScrapeFilter& filter, const IpAddress& address) {
  for (const unsigned bit : bits_of(address))
    filter[bit / 8] = static_cast<std::uint8_t>(filter[bit / 8] | 1U << bit % 8);
}

bool may_hold(const wire::ScrapeFilter& filter, const IpAddress& address) {
  const auto bits = bits_of(address);
  return std::all_of(bits.begin(), bits.end(),
                     [&](unsigned bit) { return (filter[bit / 8] >> bit % 8 & 1) != 0; });
}

void unite(wire::ScrapeFilter& into, const wire::ScrapeFilter& other) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] |= other[i];
}

double estimate(const wire::ScrapeFilter& filter) {
  unsigned set = 0;
  for (const std::uint8_t byte : filter) set += static_cast<unsigned>(std::popcount(byte));
  const double zero = std::max(1U, kBits - set);
  if (set == 0) return 0;
  return std::log(std::min(zero, kBits - 1.0) / kBits) / (2 * std::log(1 - 1.0 / kBits));
}

}  // namespace swarmfs::dht
