// HTTP(S) GET for trackers and manifests: certificates verified, redirects and sizes bounded.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/result.h"
#include "swarm/engine/address_policy.h"
#include "swarm/net/resolver.h"
#include "swarm/wire/tracker_udp.h"
#include "swarm/wire/url.h"

namespace swarmfs::net {

struct HttpOptions {
  std::string user_agent = "swarmfs/" SWARMFS_VERSION;
  std::string ca_file;  ///< PEM, trusted besides the system's; empty: the system's only
  Hosts hosts;
  Duration lookup_timeout = std::chrono::seconds(10);
  Duration connect_timeout = std::chrono::seconds(6);  ///< per address
  std::size_t max_body = 8 * 1024 * 1024;
  int max_redirects = 5;
};

struct HttpRequest {
  wire::Url url;
  /// Whether this URL may lead to a local address; it narrows with every hop.
  engine::Scope scope = engine::Scope::global;
  std::optional<wire::Family> family;  ///< nothing: either
  /// What url.host resolved to, if the caller knows; empty: looked up.
  std::vector<IpAddress> addresses;
};

struct HttpReply {
  Bytes body;
  Endpoint from;  ///< the address actually connected to, after redirects; see HttpOpened::server
  /// How far what the body names is trusted.
  engine::Scope scope = engine::Scope::global;
};

/// The way out, options and the TLS context, loaded on the first https request. Shared by the
/// coroutines that use it, which outlive their owner by a turn of the loop. One thread.
class HttpContext;
std::shared_ptr<HttpContext> make_http_context(RoutePtr route, HttpOptions options);

/// GETs the URL and follows redirects; the body of the 200 at the end. The body of a 4xx or 5xx
/// answer is given too if it looks bencoded, since trackers put their reasons there. No time limit
/// of its own: run it as a Task. Errors name scheme and host only, never path or query. Refused:
/// a compressed body, a redirect from https to http, addresses that the scope forbids, a
/// certificate that does not verify.
boost::asio::awaitable<Result<HttpReply>> http_get(std::shared_ptr<HttpContext> context,
                                                   HttpRequest request);

}  // namespace swarmfs::net
