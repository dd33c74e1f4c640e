#include "swarm/net/tracker_server.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/connection_id.h"
#include "swarm/net/route.h"
#include "swarm/wire/tracker_http.h"
#include "swarm/wire/tracker_udp.h"

namespace swarmfs::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using asio::ip::udp;
using Clock = std::chrono::steady_clock;

namespace {

// What a UDP reply may hold without being cut into fragments on the way.
constexpr std::size_t kUdpPeersV4 = 200;
constexpr std::size_t kUdpPeersV6 = 70;
constexpr std::size_t kLargestUdpRequest = 2048;
constexpr std::size_t kLargestHttpHeader = 8 * 1024;

ConnectionIds::Secret random_secret() {
  ConnectionIds::Secret secret;
  std::random_device device;
  for (std::uint8_t& byte : secret) byte = static_cast<std::uint8_t>(device());
  return secret;
}

using HttpResponse = http::response<http::vector_body<std::uint8_t>>;

HttpResponse make_response(http::status status, Bytes body) {
  HttpResponse response{status, 11};
  response.set(http::field::content_type, "text/plain");
  response.set(http::field::connection, "close");
  response.body() = std::move(body);
  response.prepare_payload();
  return response;
}

}  // namespace

struct TrackerServer::Core : std::enable_shared_from_this<Core> {
  Core(boost::asio::any_io_executor run_on, Options chosen, std::shared_ptr<spdlog::logger> log)
      : executor(std::move(run_on)),
        options(std::move(chosen)),
        logger(std::move(log)),
        book(options.book),
        rng(std::random_device{}()),
        ids(random_secret()) {}

  struct Door {  ///< one address, both transports
    Door(const asio::any_io_executor& executor, const Endpoint& address)
        : endpoint(address), acceptor(executor), socket(executor) {}
    Endpoint endpoint;
    tcp::acceptor acceptor;
    udp::socket socket;
  };

  Result<void> bind(Door& door);
  Result<void> bind_all(std::uint16_t port);
  Result<void> listen();
  void serve();
  void close();
  asio::awaitable<void> accept_loop(Door& door);
  asio::awaitable<void> http_session(beast::tcp_stream stream, IpAddress from);
  HttpResponse answer_http(const http::request<http::empty_body>& request, const IpAddress& from);
  asio::awaitable<void> udp_loop(Door& door);
  Bytes answer_udp(ByteView packet, const IpAddress& from);
  Bytes answer(const wire::UdpConnectRequest& request, const IpAddress& from);
  Bytes answer(const wire::UdpAnnounceRequest& request, const IpAddress& from);
  Bytes answer(const wire::UdpScrapeRequest& request, const IpAddress& from);

  asio::any_io_executor executor;
  const RoutePtr route = Route::plain();  ///< whoever runs a tracker says by `listen` where
  Options options;
  std::shared_ptr<spdlog::logger> logger;
  engine::TrackerBook book;
  Rng rng;
  ConnectionIds ids;
  std::list<Door> doors;  ///< stays put: coroutines refer to its elements
  std::size_t connections = 0;
  std::map<IpAddress, std::size_t> per_address;
  std::set<beast::tcp_stream*> streams;  ///< of the running sessions, to end them by
  bool closed = false;
};

Result<void> TrackerServer::Core::bind(Door& door) {
  auto acceptor = route->listen(executor, door.endpoint);
  if (!acceptor) return acceptor.error();
  door.acceptor = std::move(*acceptor);
  boost::system::error_code error;
  door.endpoint.port = door.acceptor.local_endpoint(error).port();
  auto socket = route->open_udp(executor, door.endpoint);
  if (!socket) return socket.error();
  door.socket = std::move(*socket);
  return {};
}

/// All doors on one port; `port` 0 takes the port that the first one gets.
Result<void> TrackerServer::Core::bind_all(std::uint16_t port) {
  doors.clear();
  Error absent;
  for (Endpoint endpoint : options.listen) {
    if (endpoint.port == 0) endpoint.port = port;
    Door& door = doors.emplace_back(executor, endpoint);
    const auto bound = bind(door);
    if (!bound) {
      doors.pop_back();
      const bool optional = endpoint.address.is_unspecified() && options.listen.size() > 1;
      const bool in_use = bound.error().kind == ErrorKind::busy;
      if (!optional || in_use || bound.error().kind == ErrorKind::permission) return bound.error();
      absent = bound.error();
      continue;
    }
    if (port == 0) port = door.endpoint.port;
  }
  if (doors.empty()) return absent;
  return {};
}

Result<void> TrackerServer::Core::listen() {
  // A port that is free for TCP may be taken for UDP or in the other family: try some more.
  Result<void> result;
  for (int attempt = 0; attempt < 10; ++attempt) {
    result = bind_all(0);
    const bool any = !options.listen.empty() && options.listen.front().port == 0;
    if (result || !any) break;
  }
  return result;
}

void TrackerServer::Core::serve() {
  for (Door& door : doors) {
    asio::co_spawn(executor, accept_loop(door), asio::detached);
    asio::co_spawn(executor, udp_loop(door), asio::detached);
  }
}

void TrackerServer::Core::close() {
  closed = true;
  boost::system::error_code ignored;
  for (Door& door : doors) {
    door.acceptor.close(ignored);
    door.socket.close(ignored);
  }
  for (beast::tcp_stream* stream : streams) stream->cancel();
}

asio::awaitable<void> TrackerServer::Core::accept_loop(Door& door) {
  const auto self = shared_from_this();
  asio::steady_timer pause(executor);
  while (!closed) {
    auto [error, socket] = co_await door.acceptor.async_accept(kAwait);
    if (closed) break;
    if (error) {
      // Out of descriptors, or a connection that broke in the queue.
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(kAwait);
      continue;
    }
    boost::system::error_code gone;
    const tcp::endpoint remote = socket.remote_endpoint(gone);
    const IpAddress from = from_asio(remote.address());
    const auto known = per_address.find(from);
    const std::size_t same = known == per_address.end() ? 0 : known->second;
    if (gone || connections >= options.max_connections ||
        same >= options.max_connections_per_address)
      continue;  // closes it
    ++connections;
    ++per_address[from];
    auto session = http_session(beast::tcp_stream(std::move(socket)), from);
    asio::co_spawn(executor, std::move(session), [self, from](const std::exception_ptr&) {
      --self->connections;
      if (--self->per_address[from] == 0) self->per_address.erase(from);
    });
  }
}

asio::awaitable<void> TrackerServer::Core::http_session(beast::tcp_stream stream, IpAddress from) {
  const auto self = shared_from_this();
  const auto forget = [&](beast::tcp_stream* gone) { streams.erase(gone); };
  const std::unique_ptr<beast::tcp_stream, decltype(forget)> entry(&stream, forget);
  streams.insert(&stream);
  // Set once for reading and once for writing: a sender of one byte a second gains nothing.
  stream.expires_after(options.connection_timeout);
  beast::flat_buffer buffer(kLargestHttpHeader);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kLargestHttpHeader);
  const auto [read_error, got] = co_await http::async_read_header(stream, buffer, parser, kAwait);
  if (read_error) co_return;
  HttpResponse response = answer_http(parser.get(), from);
  stream.expires_after(options.connection_timeout);
  co_await http::async_write(stream, response, kAwait);
  boost::system::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

HttpResponse TrackerServer::Core::answer_http(const http::request<http::empty_body>& request,
                                              const IpAddress& from) {
  const std::string_view target(request.target().data(), request.target().size());
  const auto question = target.find('?');
  const std::string_view path = target.substr(0, question);
  const std::string_view query =
      question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
  if (request.method() != http::verb::get)
    return make_response(http::status::method_not_allowed, wire::encode_tracker_failure("use GET"));
  if (path == "/scrape") {
    const auto hashes = wire::decode_scrape_query(query);
    if (!hashes || hashes->empty())
      return make_response(http::status::bad_request,
                           wire::encode_tracker_failure("name the torrents by info_hash"));
    std::vector<wire::ScrapeEntry> entries;
    for (const Sha1Hash& hash : *hashes) entries.push_back(book.scrape(hash, Clock::now()));
    return make_response(http::status::ok, wire::encode_scrape_response(entries));
  }
  if (path != "/announce")
    return make_response(http::status::not_found,
                         wire::encode_tracker_failure("this tracker is at /announce"));
  const auto announce = wire::decode_announce_query(query);
  if (!announce)
    return make_response(http::status::bad_request,
                         wire::encode_tracker_failure(announce.error().message));
  const auto reply = book.announce(*announce, from, Clock::now(), rng);
  if (!reply)
    return make_response(http::status::ok, wire::encode_tracker_failure(reply.error().message));
  return make_response(http::status::ok, wire::encode_announce_response(*reply, announce->compact));
}

asio::awaitable<void> TrackerServer::Core::udp_loop(Door& door) {
  const auto self = shared_from_this();
  std::array<std::uint8_t, kLargestUdpRequest> packet;
  udp::endpoint from;
  while (!closed) {
    const auto buffer = asio::buffer(packet);
    const auto [error, size] = co_await door.socket.async_receive_from(buffer, from, kAwait);
    if (closed) break;
    if (error) continue;  // an ICMP error of an earlier reply
    const Bytes reply = answer_udp(ByteView(packet).first(size), from_asio(from.address()));
    boost::system::error_code ignored;
    // Never waits: a reply that the kernel has no room for is lost, and asked for again.
    if (!reply.empty()) door.socket.send_to(asio::buffer(reply), from, 0, ignored);
  }
}

/// Nothing for what is malformed: silence reflects nothing.
Bytes TrackerServer::Core::answer_udp(ByteView packet, const IpAddress& from) {
  const auto request = wire::decode_udp_request(packet);
  if (!request) return {};
  return std::visit([&](const auto& r) { return answer(r, from); }, *request);
}

Bytes TrackerServer::Core::answer(const wire::UdpConnectRequest& request, const IpAddress& from) {
  return wire::encode(wire::UdpConnectResponse{request.transaction, ids.make(from, Clock::now())});
}

Bytes TrackerServer::Core::answer(const wire::UdpAnnounceRequest& request, const IpAddress& from) {
  if (!ids.valid(request.connection, from, Clock::now()))
    return wire::encode(wire::UdpErrorResponse{request.transaction, "connect first"});
  auto reply = book.announce(request.announce, from, Clock::now(), rng);
  if (!reply)
    return wire::encode(wire::UdpErrorResponse{request.transaction, reply.error().message});
  auto& peers = reply->peers;
  std::erase_if(peers, [&](const Endpoint& p) { return p.address.is_v4() != from.is_v4(); });
  peers.resize(std::min(peers.size(), from.is_v4() ? kUdpPeersV4 : kUdpPeersV6));
  return wire::encode(wire::UdpAnnounceResponse{request.transaction, std::move(*reply)},
                      from.is_v4() ? wire::Family::v4 : wire::Family::v6);
}

Bytes TrackerServer::Core::answer(const wire::UdpScrapeRequest& request, const IpAddress& from) {
  if (!ids.valid(request.connection, from, Clock::now()))
    return wire::encode(wire::UdpErrorResponse{request.transaction, "connect first"});
  wire::UdpScrapeResponse response{request.transaction, {}};
  for (const Sha1Hash& hash : request.hashes)
    response.entries.push_back(book.scrape(hash, Clock::now()));
  return wire::encode(response);
}

Result<std::unique_ptr<TrackerServer>> TrackerServer::open(boost::asio::any_io_executor executor,
                                                           Options options,
                                                           std::shared_ptr<spdlog::logger> logger) {
  auto core = std::make_shared<Core>(std::move(executor), std::move(options), std::move(logger));
  if (const auto bound = core->listen(); !bound) return bound.error();
  core->serve();
  return std::unique_ptr<TrackerServer>(new TrackerServer(std::move(core)));
}

TrackerServer::TrackerServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}
TrackerServer::~TrackerServer() { core_->close(); }

std::vector<Endpoint> TrackerServer::endpoints() const {
  std::vector<Endpoint> out;
  for (const auto& door : core_->doors) out.push_back(door.endpoint);
  return out;
}

std::vector<std::string> TrackerServer::announce_urls() const {
  std::vector<std::string> out;
  for (Endpoint endpoint : endpoints()) {
    if (endpoint.address.is_unspecified()) {
      const bool v4 = endpoint.address.is_v4();
      const Endpoint far{*IpAddress::parse(v4 ? "198.51.100.1" : "2001:db8::1"), 9};
      endpoint.address = core_->route->source_towards(core_->executor, far)
                             .value_or(*IpAddress::parse(v4 ? "127.0.0.1" : "::1"));
    }
    out.push_back("http://" + endpoint.to_string() + "/announce");
    out.push_back("udp://" + endpoint.to_string() + "/announce");
  }
  return out;
}

std::size_t TrackerServer::connections() const { return core_->connections; }
const engine::TrackerBook& TrackerServer::book() const { return core_->book; }

}  // namespace swarmfs::net
