// IP addresses and endpoints as plain values, without sockets.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/bytes.h"

namespace swarmfs {

/// An IPv4 or IPv6 address. v4-mapped IPv6 addresses become IPv4 on construction.
class IpAddress {
 public:
  IpAddress() = default;
  static IpAddress v4(const std::array<std::uint8_t, 4>& bytes);
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);
  /// Dotted or colon notation, without brackets or zone.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const { return v4_; }
  /// 4 or 16 bytes in network order.
  ByteView bytes() const { return {bytes_.data(), v4_ ? std::size_t{4} : std::size_t{16}}; }
  bool is_unspecified() const;
  bool is_loopback() const;
  /// Loopback, link-local, private (RFC 1918), shared (RFC 6598), unique-local, multicast,
  /// broadcast or unspecified: where nothing from the public network may lead.
  bool is_local() const;
  std::string to_string() const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  bool v4_ = true;
  std::array<std::uint8_t, 16> bytes_{};
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// "1.2.3.4:80" or "[::1]:80".
  static std::optional<Endpoint> parse(std::string_view text);
  /// BEP 23 / BEP 7 compact form: 6 or 18 bytes.
  static std::optional<Endpoint> from_compact(ByteView bytes);
  Bytes to_compact() const;
  std::string to_string() const;
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace swarmfs
