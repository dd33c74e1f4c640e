#include "swarm/base/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace swarmfs {

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) {
  IpAddress a;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  const bool mapped =
      std::all_of(bytes.begin(), bytes.begin() + 10, [](auto b) { return b == 0; }) &&
      bytes[10] == 0xff && bytes[11] == 0xff;
  if (mapped) return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  IpAddress a;
  a.v4_ = false;
  a.bytes_ = bytes;
  return a;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return v4(four);
  std::array<std::uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, terminated.c_str(), sixteen.data()) == 1) return v6(sixteen);
  return std::nullopt;
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](auto b) { return b == 0; });
}

bool IpAddress::is_loopback() const {
  if (v4_) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.begin() + 15, [](auto b) { return b == 0; }) &&
         bytes_[15] == 1;
}

bool IpAddress::is_local() const {
  if (is_unspecified() || is_loopback()) return true;
  const std::uint8_t a = bytes_[0];
  const std::uint8_t b = bytes_[1];
  if (v4_) {
    return a == 0 || a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) ||
           (a == 169 && b == 254) || (a == 100 && (b & 0xc0) == 64) || a >= 224;
  }
  return (a & 0xfe) == 0xfc || (a == 0xfe && (b & 0xc0) == 0x80) || a == 0xff;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address || (bracketed == (host.find(':') == std::string_view::npos))) return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc{} || end != port_text.data() + port_text.size()) return std::nullopt;
  return Endpoint{*address, port};
}

std::optional<Endpoint> Endpoint::from_compact(ByteView bytes) {
  Endpoint e;
  if (bytes.size() == 6) {
    std::array<std::uint8_t, 4> four;
    std::copy_n(bytes.begin(), 4, four.begin());
    e.address = IpAddress::v4(four);
  } else if (bytes.size() == 18) {
    std::array<std::uint8_t, 16> sixteen;
    std::copy_n(bytes.begin(), 16, sixteen.begin());
    e.address = IpAddress::v6(sixteen);
  } else {
    return std::nullopt;
  }
  e.port = load_be<std::uint16_t>(bytes.data() + bytes.size() - 2);
  return e;
}

Bytes Endpoint::to_compact() const {
  Bytes out(address.bytes().begin(), address.bytes().end());
  append_be<std::uint16_t>(out, port);
  return out;
}

std::string Endpoint::to_string() const {
  const std::string host = address.is_v4() ? address.to_string() : "[" + address.to_string() + "]";
  return host + ":" + std::to_string(port);
}

}  // namespace swarmfs
