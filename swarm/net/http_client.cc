#include "swarm/net/http_client.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/http_stream.h"

namespace swarmfs::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using Response = http::response<http::vector_body<std::uint8_t>>;

namespace {

constexpr std::uint32_t kMaxHeader = 16 * 1024;

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
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

struct Hop {
  Response response;
  IpAddress address;
  engine::Scope scope;
};

/// One request, and its answer.
asio::awaitable<Result<Hop>> one_hop(std::shared_ptr<HttpContext> context, HttpRequest request) {
  const HttpOptions& options = http_options(*context);
  auto opened = co_await http_open(context, request);
  if (!opened) co_return opened.error();
  const auto talk = [&](auto& stream) { return exchange(stream, request.url, options); };
  auto exchanged = std::visit(talk, (*opened)->stream);
  auto response = co_await std::move(exchanged);
  if (!response) co_return response.error();
  Hop hop{std::move(*response), (*opened)->server.address, (*opened)->scope};
  co_return hop;
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
  for (int hops = 0; hops <= http_options(*context).max_redirects; ++hops) {
    auto hop = co_await one_hop(context, request);
    if (!hop) co_return hop.error();
    const engine::Scope scope = hop->scope;
    if (!is_redirect(hop->response.result_int()))
      co_return finish(request.url, scope, std::move(*hop));
    auto next = follow(request.url, hop->response);
    if (!next) co_return next.error();
    request = HttpRequest{std::move(*next), scope, request.family, {}};
  }
  co_return fail(ErrorKind::protocol, request.url.redacted() + ": too many redirects");
}

}  // namespace swarmfs::net
