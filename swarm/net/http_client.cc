#include "swarm/net/http_client.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using Response = http::response<http::vector_body<std::uint8_t>>;

class HttpContext {
 public:
  explicit HttpContext(HttpOptions chosen) : options(std::move(chosen)) {}

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

  const HttpOptions options;

 private:
  std::unique_ptr<ssl::context> tls_;
};

std::shared_ptr<HttpContext> make_http_context(HttpOptions options) {
  return std::make_shared<HttpContext>(std::move(options));
}

namespace {

constexpr std::size_t kMaxAddresses = 4;  // tried per host
constexpr std::uint32_t kMaxHeader = 16 * 1024;

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// The addresses of the request's host that family and scope allow.
asio::awaitable<Result<std::vector<IpAddress>>> candidates(std::shared_ptr<HttpContext> context,
                                                           HttpRequest request) {
  if (request.addresses.empty()) {
    auto found =
        co_await resolve(request.url.host, context->options.hosts, context->options.lookup_timeout);
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

http::request<http::empty_body> make_request(const wire::Url& url, const HttpOptions& options) {
  http::request<http::empty_body> request{http::verb::get, url.target, 11};
  request.set(http::field::host, url.authority());
  request.set(http::field::user_agent, options.user_agent);
  request.set(http::field::accept, "*/*");
  request.set(http::field::accept_encoding, "identity");
  request.set(http::field::connection, "close");
  return request;
}

template <class Stream>
asio::awaitable<Result<Response>> exchange(Stream& stream, const wire::Url& url,
                                           const HttpOptions& options) {
  const http::request<http::empty_body> request = make_request(url, options);
  const auto [write_error, written] = co_await http::async_write(stream, request, kAwait);
  if (write_error) co_return net_error(write_error, "sending to " + url.redacted());

  beast::flat_buffer buffer(64 * 1024);
  http::response_parser<http::vector_body<std::uint8_t>> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(options.max_body);
  auto [error, got] = co_await http::async_read(stream, buffer, parser, kAwait);
  // Many servers end TLS without saying so. What we fetch is bencoded: a cut shows.
  if (error == ssl::error::stream_truncated && parser.is_header_done() && parser.need_eof())
    error = {};
  if (error == http::error::body_limit)
    co_return fail(ErrorKind::protocol, "reply of " + url.redacted() + " is too long: refused");
  if (error) co_return net_error(error, "reading from " + url.redacted());
  co_return parser.release();
}

asio::awaitable<Result<Response>> fetch_plain(std::shared_ptr<HttpContext> context,
                                              beast::tcp_stream stream, wire::Url url) {
  auto result = co_await exchange(stream, url, context->options);
  co_return result;
}

asio::awaitable<Result<Response>> fetch_tls(std::shared_ptr<HttpContext> context,
                                            beast::tcp_stream tcp_stream, wire::Url url) {
  const auto tls = context->tls();
  if (!tls) co_return tls.error();
  beast::ssl_stream<beast::tcp_stream> stream(std::move(tcp_stream), **tls);
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
  auto result = co_await exchange(stream, url, context->options);
  co_return result;
}

struct Hop {
  Response response;
  IpAddress address;
};

/// One request to the first address that takes the connection.
asio::awaitable<Result<Hop>> one_hop(std::shared_ptr<HttpContext> context, HttpRequest request) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const wire::Url& url = request.url;
  const auto addresses = co_await candidates(context, request);
  if (!addresses) co_return addresses.error();
  Error last;
  for (const IpAddress& address : *addresses) {
    beast::tcp_stream stream(executor);
    stream.expires_after(context->options.connect_timeout);
    const tcp::endpoint to(to_asio(address), url.port);
    const auto [error] = co_await stream.async_connect(to, kAwait);
    if (error) {
      last = net_error(error, "connecting to " + url.redacted());
      continue;
    }
    stream.expires_never();  // the Task's deadline holds from here on
    const bool secure = url.scheme == "https";
    auto fetch = secure ? fetch_tls(context, std::move(stream), url)
                        : fetch_plain(context, std::move(stream), url);
    auto response = co_await std::move(fetch);
    if (!response) co_return response.error();
    Hop hop{std::move(*response), address};
    co_return hop;
  }
  co_return last;
}

/// Where a redirect leads, if it may.
Result<wire::Url> follow(const wire::Url& from, const Response& response) {
  const auto location = response[http::field::location];
  auto next = from.resolve(std::string_view(location.data(), location.size()));
  if (!next) return fail(next.error().kind, from.redacted() + " redirects to a bad URL");
  if (next->scheme == "udp")
    return fail(ErrorKind::unsupported, from.redacted() + " redirects from HTTP to UDP: refused");
  if (from.scheme == "https" && next->scheme != "https")
    return fail(ErrorKind::permission, from.redacted() + " redirects from https to http: refused");
  return next;
}

Result<HttpReply> finish(const wire::Url& url, engine::Scope scope, Hop hop) {
  const auto encoding = hop.response[http::field::content_encoding];
  if (!encoding.empty() && encoding != "identity")
    return fail(ErrorKind::protocol, "reply of " + url.redacted() +
                                         " is compressed although plain was asked for: refused");
  const unsigned status = hop.response.result_int();
  Bytes& body = hop.response.body();
  const bool bencoded = !body.empty() && body.front() == 'd';
  if (status != 200 && !(status >= 400 && bencoded))
    return fail(ErrorKind::network, url.redacted() + " answered HTTP " + std::to_string(status));
  return HttpReply{std::move(body), {hop.address, url.port}, scope};
}

}  // namespace

asio::awaitable<Result<HttpReply>> http_get(std::shared_ptr<HttpContext> context,
                                            HttpRequest request) {
  if (request.url.scheme == "udp")
    co_return fail(ErrorKind::unsupported, request.url.redacted() + " is no HTTP address");
  for (int hops = 0; hops <= context->options.max_redirects; ++hops) {
    auto hop = co_await one_hop(context, request);
    if (!hop) co_return hop.error();
    const engine::Scope scope = engine::scope_after(request.scope, hop->address);
    if (!is_redirect(hop->response.result_int()))
      co_return finish(request.url, scope, std::move(*hop));
    auto next = follow(request.url, hop->response);
    if (!next) co_return next.error();
    request = HttpRequest{std::move(*next), scope, request.family, {}};
  }
  co_return fail(ErrorKind::protocol, request.url.redacted() + ": too many redirects");
}

}  // namespace swarmfs::net
