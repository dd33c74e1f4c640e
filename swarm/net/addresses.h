// Endpoints between our plain values and Asio's.
#pragma once

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>

#include "swarm/base/endpoint.h"

namespace swarmfs::net {

inline boost::asio::ip::address to_asio(const IpAddress& address) {
  namespace ip = boost::asio::ip;
  const ByteView bytes = address.bytes();
  if (address.is_v4()) {
    ip::address_v4::bytes_type four;
    std::copy(bytes.begin(), bytes.end(), four.begin());
    return ip::address_v4(four);
  }
  ip::address_v6::bytes_type sixteen;
  std::copy(bytes.begin(), bytes.end(), sixteen.begin());
  return ip::address_v6(sixteen);
}

inline boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  return {to_asio(endpoint.address), endpoint.port};
}

inline IpAddress from_asio(const boost::asio::ip::address& address) {
  return address.is_v4() ? IpAddress::v4(address.to_v4().to_bytes())
                         : IpAddress::v6(address.to_v6().to_bytes());
}

template <class AsioEndpoint>
Endpoint from_asio(const AsioEndpoint& endpoint) {
  return {from_asio(endpoint.address()), endpoint.port()};
}

}  // namespace swarmfs::net
