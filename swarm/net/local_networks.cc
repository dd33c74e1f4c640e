#include "swarm/net/local_networks.h"

#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "swarm/base/hex.h"

namespace swarmfs::net {

static std::optional<IpAddress> address_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return IpAddress::v4(bytes);
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof v6);
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return IpAddress::v6(bytes);
}

static unsigned bits_of(const IpAddress& mask) {
  unsigned bits = 0;
  for (const std::uint8_t byte : mask.bytes()) bits += static_cast<unsigned>(std::popcount(byte));
  return bits;
}

/// Calls `see` with each address of interfaces that are up, loopback left out. False if the system
/// does not say.
template <class See>
static bool each_address(See see) {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return false;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(raw, ::freeifaddrs);
  for (const ifaddrs* one = raw; one != nullptr; one = one->ifa_next) {
    if ((one->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP) continue;
    if (const auto address = address_of(one->ifa_addr)) see(*one, *address);
  }
  return true;
}

std::vector<LocalInterface> local_interfaces() {
  std::vector<LocalInterface> out;
  each_address([&](const ifaddrs& one, const IpAddress& address) {
    const auto mask = address_of(one.ifa_netmask);
    if ((one.ifa_flags & IFF_MULTICAST) == 0 || !mask) return;
    const LocalInterface found{::if_nametoindex(one.ifa_name), {address, bits_of(*mask)}};
    if (engine::on_network(address, {&found.network, 1})) out.push_back(found);
  });
  return out;
}

static bool is_link_local(const IpAddress& address) {
  const auto& bytes = address.bytes();
  return address.is_v4() ? bytes[0] == 169 && bytes[1] == 254
                         : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

std::vector<IpAddress> tentative_addresses(std::string_view if_inet6) {
  constexpr unsigned kUnusable = IFA_F_TENTATIVE | IFA_F_DADFAILED;
  std::vector<IpAddress> out;
  std::istringstream lines{std::string(if_inet6)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string address;
    unsigned index = 0, prefix = 0, scope = 0, flags = 0;
    if (!(words >> address >> std::hex >> index >> prefix >> scope >> flags)) continue;
    const auto read = from_hex(address);
    std::array<std::uint8_t, 16> bytes;
    if ((flags & kUnusable) == 0 || !read || read->size() != bytes.size()) continue;
    std::copy(read->begin(), read->end(), bytes.begin());
    out.push_back(IpAddress::v6(bytes));
  }
  return out;
}

/// Empty where there is no IPv6.
static std::vector<IpAddress> tentative_addresses_now() {
  std::ifstream file("/proc/net/if_inet6");
  return tentative_addresses(
      std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
}

std::optional<std::vector<engine::HostAddress>> host_addresses() {
  const std::vector<IpAddress> tentative = tentative_addresses_now();
  std::vector<engine::HostAddress> out;
  bool all = true;
  const bool told = each_address([&](const ifaddrs& one, const IpAddress& address) {
    if (is_link_local(address)) return;
    if (std::find(tentative.begin(), tentative.end(), address) != tentative.end()) return;
    const unsigned index = ::if_nametoindex(one.ifa_name);
    all = all && index != 0;  // out of descriptors, or gone meanwhile
    out.push_back({index, address, (one.ifa_flags & IFF_RUNNING) != 0});
  });
  if (!told || !all) return std::nullopt;
  return out;
}

}  // namespace swarmfs::net
