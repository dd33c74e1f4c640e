#include "swarm/dht/node_id.h"

#include <algorithm>
#include <array>
#include <bit>

#include "swarm/base/crc32c.h"

namespace swarmfs::dht {

NodeId distance(const NodeId& a, const NodeId& b) {
  NodeId out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

bool nearer(const NodeId& target, const NodeId& a, const NodeId& b) {
  for (std::size_t i = 0; i < target.size(); ++i)
    if (a[i] != b[i]) return (a[i] ^ target[i]) < (b[i] ^ target[i]);
  return false;
}

unsigned common_prefix(const NodeId& a, const NodeId& b) {
  for (unsigned i = 0; i < a.size(); ++i)
    if (a[i] != b[i])
      return 8 * i +
             static_cast<unsigned>(std::countl_zero(static_cast<std::uint8_t>(a[i] ^ b[i])));
  return 160;
}

NodeId random_id(Rng& rng) {
  NodeId out;
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(rng());
  return out;
}

NodeId random_id_sharing(const NodeId& id, unsigned prefix, Rng& rng) {
  NodeId out = random_id(rng);
  const auto bit = [](unsigned i) { return static_cast<std::uint8_t>(0x80 >> (i % 8)); };
  for (unsigned i = 0; i < std::min(prefix + 1, 160U); ++i) {
    const bool set = ((id[i / 8] & bit(i)) != 0) != (i == prefix);
    out[i / 8] = static_cast<std::uint8_t>((out[i / 8] & ~bit(i)) | (set ? bit(i) : 0));
  }
  return out;
}

/// The hash whose first 21 bits an id has to begin with.
static std::uint32_t prefix_hash(const IpAddress& address, std::uint8_t rand) {
  static constexpr std::array<std::uint8_t, 4> kMask4{0x03, 0x0f, 0x3f, 0xff};
  static constexpr std::array<std::uint8_t, 8> kMask6{0x01, 0x03, 0x07, 0x0f,
                                                      0x1f, 0x3f, 0x7f, 0xff};
  const ByteView mask = address.is_v4() ? ByteView(kMask4) : ByteView(kMask6);
  std::array<std::uint8_t, 8> masked{};
  for (std::size_t i = 0; i < mask.size(); ++i) masked[i] = address.bytes()[i] & mask[i];
  masked[0] = static_cast<std::uint8_t>(masked[0] | ((rand & 7) << 5));
  return crc32c(ByteView(masked).first(mask.size()));
}

NodeId secure_id(const IpAddress& address, std::uint8_t rand, Rng& rng) {
  NodeId out = random_id(rng);
  const std::uint32_t hash = prefix_hash(address, rand);
  out[0] = static_cast<std::uint8_t>(hash >> 24);
  out[1] = static_cast<std::uint8_t>(hash >> 16);
  out[2] = static_cast<std::uint8_t>((hash >> 8 & 0xf8) | (out[2] & 7));
  out[19] = rand;
  return out;
}

bool is_secure(const NodeId& id, const IpAddress& address) {
  if (address.is_local()) return true;
  const std::uint32_t hash = prefix_hash(address, id[19]);
  const std::uint32_t begins = load_be<std::uint32_t>(id.data());
  return ((hash ^ begins) & 0xfffff800) == 0;
}

IpAddress network_of(const IpAddress& address) {
  const ByteView bytes = address.bytes();
  if (address.is_v4()) return IpAddress::v4({bytes[0], bytes[1], bytes[2], 0});
  std::array<std::uint8_t, 16> net{};
  std::copy_n(bytes.begin(), 6, net.begin());
  return IpAddress::v6(net);
}

}  // namespace swarmfs::dht
