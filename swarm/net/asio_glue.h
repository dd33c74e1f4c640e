// Between Asio's types and ours.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <string>

#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::net {

namespace asio = boost::asio;

/// Completion token: `const auto [error, ...] = co_await op(..., kAwait)`.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// v4-mapped addresses become IPv4.
inline IpAddress from_asio(const asio::ip::address& address) {
  return address.is_v4() ? IpAddress::v4(address.to_v4().to_bytes())
                         : IpAddress::v6(address.to_v6().to_bytes());
}

inline asio::ip::address to_asio(const IpAddress& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes;
  std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
  return asio::ip::address_v6(bytes);
}

template <class AsioEndpoint>
Endpoint from_asio(const AsioEndpoint& endpoint) {
  return {from_asio(endpoint.address()), endpoint.port()};
}

template <class Protocol>
typename Protocol::endpoint to_asio(const Endpoint& endpoint) {
  return {to_asio(endpoint.address), endpoint.port};
}

/// "<what>: <reason>". `what` must not hold a URL's path or query.
inline Error net_error(const boost::system::error_code& code, std::string_view what) {
  if (code == boost::system::errc::operation_canceled)
    return fail(ErrorKind::cancelled, std::string(what) + ": given up");
  if (code.category() == boost::system::system_category() ||
      code.category() == boost::system::generic_category())
    return Error::from_errno(code.value(), what);
  return fail(ErrorKind::network, std::string(what) + ": " + code.message());
}

}  // namespace swarmfs::net
