// Connections to web servers: names looked up, addresses held to the policy, certificates verified.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <memory>
#include <variant>

#include "swarm/net/http_client.h"

namespace swarmfs::net {

using PlainStream = boost::beast::tcp_stream;
using SecureStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;
using HttpStream = std::variant<PlainStream, SecureStream>;

struct HttpOpened {
  HttpStream stream;
  Endpoint server;  ///< the address actually connected to
  Duration rtt;     ///< that the TCP handshake took
};

/// Connects to the request's host, at the first of its addresses that takes the connection; the
/// request itself is not sent. No time limit of its own beyond that of a connection: run it as a
/// Task. Errors name scheme and host only.
boost::asio::awaitable<Result<std::unique_ptr<HttpOpened>>> http_open(
    std::shared_ptr<HttpContext> context, HttpRequest request);

const HttpOptions& http_options(const HttpContext& context);

/// The socket under a stream.
inline PlainStream& tcp_under(HttpStream& stream) {
  if (auto* plain = std::get_if<PlainStream>(&stream)) return *plain;
  return std::get<SecureStream>(stream).next_layer();
}

}  // namespace swarmfs::net
