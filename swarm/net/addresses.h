// Addresses and endpoints between our plain values and Asio's.
#pragma once

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>

#include "swarm/base/endpoint.h"

namespace swarmfs::net {

/// v4-mapped addresses become IPv4.
inline IpAddress from_asio(const boost::asio::ip::address& address) {
  return address.is_v4() ? IpAddress::v4(address.to_v4().to_bytes())
                         : IpAddress::v6(address.to_v6().to_bytes());
}

inline boost::asio::ip::address to_asio(const IpAddress& address) {
  namespace ip = boost::asio::ip;
  if (address.is_v4()) {
    ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return ip::address_v4(bytes);
  }
  ip::address_v6::bytes_type bytes;
  std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
  return ip::address_v6(bytes);
}

template <class AsioEndpoint>
Endpoint from_asio(const AsioEndpoint& endpoint) {
  return {from_asio(endpoint.address()), endpoint.port()};
}

template <class Protocol>
typename Protocol::endpoint to_asio(const Endpoint& endpoint) {
  return {to_asio(endpoint.address), endpoint.port};
}

inline boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  return to_asio<boost::asio::ip::tcp>(endpoint);
}

}  // namespace swarmfs::net
