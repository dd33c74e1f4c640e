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
  explicit HttpOpened(HttpStream over) : stream(std::move(over)) {}
  HttpStream stream;
  /// The address actually connected to; of a name that a proxy has looked up, one that stands for
  /// it and leads nowhere.
  Endpoint server;
  engine::Scope scope = engine::Scope::global;  ///< of what the server names
  Duration rtt{};                               ///< that the TCP handshake took
  bool proxied = false;                         ///< the kernel's round trips are the proxy's
};

/// One of the addresses that lead nowhere (RFC 6666), the same for the same name.
IpAddress stand_in(std::string_view name);

/// Connects to the request's host, at the first of its addresses that takes the connection; the
/// request itself is not sent. No time limit of its own beyond that of a connection: run it as a
/// Task. Errors name scheme and host only.
boost::asio::awaitable<Result<std::unique_ptr<HttpOpened>>> http_open(
    std::shared_ptr<HttpContext> context, HttpRequest request);

const HttpOptions& http_options(const HttpContext& context);
const RoutePtr& http_route(const HttpContext& context);

/// The socket under a stream.
inline PlainStream& tcp_under(HttpStream& stream) {
  if (auto* plain = std::get_if<PlainStream>(&stream)) return *plain;
  return std::get<SecureStream>(stream).next_layer();
}

}  // namespace swarmfs::net
