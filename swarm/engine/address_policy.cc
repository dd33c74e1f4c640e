#include "swarm/engine/address_policy.h"

#include <algorithm>
#include <array>
#include <optional>

namespace swarmfs::engine {
namespace {

std::optional<IpAddress> embedded_v4(const IpAddress& address) {
  if (address.is_v4()) return std::nullopt;
  const ByteView b = address.bytes();
  const auto zero = [&](std::size_t from, std::size_t to) {
    return std::all_of(b.begin() + static_cast<std::ptrdiff_t>(from),
                       b.begin() + static_cast<std::ptrdiff_t>(to),
                       [](std::uint8_t x) { return x == 0; });
  };
  const bool nat64 = b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b && zero(4, 12);
  if (nat64 || zero(0, 12)) return IpAddress::v4({b[12], b[13], b[14], b[15]});
  if (b[0] == 0x20 && b[1] == 0x02) return IpAddress::v4({b[2], b[3], b[4], b[5]});
  return std::nullopt;
}

}  // namespace

bool leads_to_local(const IpAddress& address) {
  if (address.is_local()) return true;
  const auto inner = embedded_v4(address);
  return inner && inner->is_local();
}

Scope scope_of_host(std::string_view host) {
  if (const auto address = IpAddress::parse(host))
    return leads_to_local(*address) ? Scope::local : Scope::global;
  if (host.ends_with('.')) host.remove_suffix(1);
  // A last label of digits only is another spelling of an IPv4 address ("127.1", "2130706433").
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.find_first_not_of("0123456789") == std::string_view::npos) return Scope::global;
  if (last.starts_with("0x")) return Scope::global;
  if (last.size() == host.size()) return Scope::local;
  static constexpr std::array<std::string_view, 5> kLocalSuffixes{".localhost", ".local", ".lan",
                                                                  ".internal", ".home.arpa"};
  for (const std::string_view suffix : kLocalSuffixes)
    if (host.ends_with(suffix)) return Scope::local;
  return Scope::global;
}

bool may_connect(Scope source, const IpAddress& to) {
  return source == Scope::local || !leads_to_local(to);
}

Scope scope_after(Scope source, const IpAddress& connected) {
  return source == Scope::local && leads_to_local(connected) ? Scope::local : Scope::global;
}

}  // namespace swarmfs::engine
