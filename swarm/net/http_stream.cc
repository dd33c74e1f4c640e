#include "swarm/net/http_stream.h"

#include <array>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {

namespace ssl = boost::asio::ssl;

class HttpContext {
 public:
  HttpContext(RoutePtr way, HttpOptions chosen)
      : route(std::move(way)), options(std::move(chosen)) {}

  Result<ssl::context*> tls() {
    if (tls_) return tls_.get();
    boost::system::error_code error;
    auto fresh = std::make_unique<ssl::context>(ssl::context::tls_client);
    fresh->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                       ssl::context::no_sslv3 | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
    fresh->set_default_verify_paths(error);
    if (error) return net_error(error, "loading the system's certificates");
    if (!options.ca_file.empty()) fresh->load_verify_file(options.ca_file, error);
    if (error)
      return fail(ErrorKind::bad_input, "cannot load certificates from " + options.ca_file);
    fresh->set_verify_mode(ssl::verify_peer);
    tls_ = std::move(fresh);
    return tls_.get();
  }

  const RoutePtr route;
  const HttpOptions options;

 private:
  std::unique_ptr<ssl::context> tls_;
};

std::shared_ptr<HttpContext> make_http_context(RoutePtr route, HttpOptions options) {
  return std::make_shared<HttpContext>(std::move(route), std::move(options));
}

const HttpOptions& http_options(const HttpContext& context) { return context.options; }
const RoutePtr& http_route(const HttpContext& context) { return context.route; }

IpAddress stand_in(std::string_view name) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211U;
  std::array<std::uint8_t, 16> bytes{0x01};  // 100::/64
  for (std::size_t i = 0; i < 8; ++i) bytes[8 + i] = static_cast<std::uint8_t>(hash >> (8 * i));
  return IpAddress::v6(bytes);
}

namespace {

constexpr std::size_t kMaxAddresses = 4;  // tried per host

/// The addresses of the request's host that family and scope allow. With a proxy, which looks names
/// up, that is one that stands for the name.
asio::awaitable<Result<std::vector<IpAddress>>> candidates(std::shared_ptr<HttpContext> context,
                                                           HttpRequest request) {
  const bool named = !IpAddress::parse(request.url.host);
  if (!context->route->direct() && named)
    co_return std::vector<IpAddress>{stand_in(request.url.host)};
  if (request.addresses.empty()) {
    auto found = co_await resolve(context->route, request.url.host, context->options.hosts,
                                  context->options.lookup_timeout);
    if (!found) co_return found.error();
    request.addresses = std::move(*found);
  }
  std::vector<IpAddress> out;
  bool forbidden = false;
  for (const IpAddress& address : request.addresses) {
    if (request.family && address.is_v4() != (*request.family == wire::Family::v4)) continue;
    if (!engine::may_connect(request.scope, address)) {
      forbidden = true;
    } else if (out.size() < kMaxAddresses) {
      out.push_back(address);
    }
  }
  if (!out.empty()) co_return out;
  if (forbidden)
    co_return fail(
        ErrorKind::permission,
        request.url.redacted() + " leads from the public network to a local address: refused");
  co_return fail(ErrorKind::network, request.url.redacted() + " has no address of that family");
}

/// TLS over a connection, with the server's certificate verified.
asio::awaitable<Result<SecureStream>> secure(std::shared_ptr<HttpContext> context,
                                             PlainStream tcp_stream, wire::Url url) {
  const auto tls = context->tls();
  if (!tls) co_return tls.error();
  SecureStream stream(std::move(tcp_stream), **tls);
  const bool literal = IpAddress::parse(url.host).has_value();
  // SSL_set_tlsext_host_name() is this call behind an old-style cast.
  if (!literal && SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                           TLSEXT_NAMETYPE_host_name, url.host.data()) != 1)
    co_return fail(ErrorKind::bad_input, url.redacted() + ": host name unfit for TLS");
  stream.set_verify_callback(ssl::host_name_verification(url.host));
  const auto [error] = co_await stream.async_handshake(ssl::stream_base::client, kAwait);
  if (error) {
    if (error.category() == asio::error::get_ssl_category() &&
        ERR_GET_REASON(static_cast<unsigned long>(error.value())) ==
            SSL_R_CERTIFICATE_VERIFY_FAILED)
      co_return fail(ErrorKind::permission,
                     "certificate of " + url.redacted() + " does not verify: refused");
    co_return net_error(error, "TLS with " + url.redacted());
  }
  co_return std::move(stream);
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<HttpOpened>>> http_open(std::shared_ptr<HttpContext> context,
                                                               HttpRequest request) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const wire::Url& url = request.url;
  const auto addresses = co_await candidates(context, request);
  if (!addresses) co_return addresses.error();
  const bool named = !context->route->direct() && !IpAddress::parse(url.host);
  Error last;
  for (const IpAddress& address : *addresses) {
    const Endpoint server{address, url.port};
    wire::ProxyTarget target(server);
    if (named) target.host = url.host;
    auto connecting = Route::connect(context->route, target, context->options.connect_timeout);
    auto connected = co_await std::move(connecting);
    if (!connected) {
      last = fail(connected.error().kind,
                  "connecting to " + url.redacted() + ": " + connected.error().message);
      continue;
    }
    PlainStream stream(std::move((*connected)->socket));
    std::unique_ptr<HttpOpened> opened;
    if (url.scheme == "https") {
      auto securing = secure(context, std::move(stream), url);
      auto secured = co_await std::move(securing);
      if (!secured) co_return secured.error();
      opened = std::make_unique<HttpOpened>(HttpStream(std::move(*secured)));
    } else {
      opened = std::make_unique<HttpOpened>(HttpStream(std::move(stream)));
    }
    opened->server = server;
    // What a name led to is the proxy's business: how far it is trusted stays as it was.
    opened->scope = named ? request.scope : engine::scope_after(request.scope, address);
    opened->rtt = (*connected)->rtt;
    opened->proxied = (*connected)->proxied;
    co_return opened;
  }
  co_return last;
}

}  // namespace swarmfs::net
