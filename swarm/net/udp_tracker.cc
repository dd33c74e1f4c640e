#include "swarm/net/udp_tracker.h"

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {
namespace {

using asio::ip::udp;
using wire::UdpTrackerResponse;

constexpr std::size_t kLargestPacket = 64 * 1024;

/// Shared with the timer's handler, which may already be queued when the coroutine ends.
struct Exchange {
  Exchange(const asio::any_io_executor& executor, const wire::ProxyTarget& tracker,
           std::uint64_t seed)
      : socket(executor),
        timer(executor),
        random(seed),
        what("UDP tracker " + tracker.to_string()) {}

  /// The tracker's words in a datagram, and by which family they came to us or the proxy.
  ByteView unwrap(ByteView datagram) {
    if (header.empty()) return datagram;
    const auto wrapped = wire::decode_socks_udp(datagram);
    if (!wrapped) return {};
    family = wrapped->from.address.is_v4() ? wire::Family::v4 : wire::Family::v6;
    return datagram.subspan(wrapped->header);
  }

  udp::socket socket;
  asio::steady_timer timer;
  std::uint64_t wait = 0;  ///< which wait the timer belongs to
  Rng random;
  wire::Family family = wire::Family::v4;
  std::string what;
  std::optional<asio::ip::tcp::socket> control;  ///< of the association with a proxy
  Bytes header;                                  ///< before each datagram to the proxy
  Bytes packet = Bytes(kLargestPacket);
};
using ExchangePtr = std::shared_ptr<Exchange>;

std::uint32_t transaction_of(const UdpTrackerResponse& response) {
  return std::visit([](const auto& r) { return r.transaction; }, response);
}

/// Cancels what the socket waits for after `wait`, unless rearmed first.
void arm(const ExchangePtr& exchange, Duration wait) {
  const std::uint64_t mine = ++exchange->wait;
  exchange->timer.expires_after(wait);
  exchange->timer.async_wait([exchange, mine](const boost::system::error_code& error) {
    if (!error && exchange->wait == mine) exchange->socket.cancel();
  });
}

/// Sends until the answer with this transaction id comes. Other packets are passed over.
asio::awaitable<Result<UdpTrackerResponse>> transact(ExchangePtr exchange, Bytes request,
                                                     std::uint32_t transaction,
                                                     UdpTrackerOptions options) {
  Duration wait = options.first_wait;
  for (int attempt = 0; attempt < options.tries; ++attempt, wait *= 2) {
    const std::array<asio::const_buffer, 2> outgoing{asio::buffer(exchange->header),
                                                     asio::buffer(request)};
    const auto [send_error, sent] = co_await exchange->socket.async_send(outgoing, kAwait);
    if (send_error) co_return net_error(send_error, exchange->what);
    arm(exchange, wait);
    for (;;) {
      const auto incoming = asio::buffer(exchange->packet);
      const auto [error, size] = co_await exchange->socket.async_receive(incoming, kAwait);
      if (error == asio::error::operation_aborted) break;  // the wait is over: try again
      if (error) co_return net_error(error, exchange->what);
      const ByteView words = exchange->unwrap(ByteView(exchange->packet).first(size));
      auto response = wire::decode_udp_response(words, exchange->family);
      if (!response || transaction_of(*response) != transaction) continue;
      ++exchange->wait;
      if (const auto* refusal = std::get_if<wire::UdpErrorResponse>(&*response))
        co_return fail(ErrorKind::protocol, "tracker refused: " + refusal->message);
      co_return std::move(*response);
    }
  }
  co_return fail(ErrorKind::timed_out, exchange->what + ": no answer in time");
}

std::uint32_t fresh_transaction(Exchange& exchange) {
  return static_cast<std::uint32_t>(exchange.random() >> 32);
}

constexpr Duration kAssociateTime = std::chrono::seconds(10);

/// Opens the socket, or the way through the proxy.
asio::awaitable<Result<>> open(ExchangePtr exchange, RoutePtr route, wire::ProxyTarget tracker) {
  const auto address = IpAddress::parse(tracker.host);
  const auto allowed = address ? route->allow({*address, tracker.port}) : Result<>();
  if (!allowed) co_return fail(allowed.error().kind, "UDP tracker " + allowed.error().message);
  if (!route->direct()) {
    auto associating = Route::associate(route, kAssociateTime);
    auto associated = co_await std::move(associating);
    if (!associated) co_return associated.error();
    exchange->header = wire::socks_udp_header(tracker);
    exchange->control.emplace(std::move((*associated)->control));
    exchange->socket = std::move((*associated)->relay);
    co_return Result<>();
  }
  if (!address) co_return fail(ErrorKind::bad_input, exchange->what + " is a name");
  exchange->family = address->is_v4() ? wire::Family::v4 : wire::Family::v6;
  const IpAddress any = address->is_v4() ? IpAddress::v4({}) : IpAddress::v6({});
  auto socket = route->open_udp(exchange->socket.get_executor(), Endpoint{any, 0});
  if (!socket) co_return fail(socket.error().kind, exchange->what + ": " + socket.error().message);
  exchange->socket = std::move(*socket);
  boost::system::error_code error;
  exchange->socket.connect(to_asio<udp>(Endpoint{*address, tracker.port}), error);
  if (error) co_return net_error(error, exchange->what);
  co_return Result<>();
}

/// Opens the way and gets a connection id.
asio::awaitable<Result<std::uint64_t>> connect(ExchangePtr exchange, RoutePtr route,
                                               wire::ProxyTarget tracker,
                                               UdpTrackerOptions options) {
  auto opening = open(exchange, std::move(route), std::move(tracker));
  const auto opened = co_await std::move(opening);
  if (!opened) co_return opened.error();
  const std::uint32_t transaction = fresh_transaction(*exchange);
  Bytes packet = wire::encode(wire::UdpConnectRequest{transaction});
  const auto response = co_await transact(exchange, std::move(packet), transaction, options);
  if (!response) co_return response.error();
  const auto* connected = std::get_if<wire::UdpConnectResponse>(&*response);
  if (connected == nullptr)
    co_return fail(ErrorKind::protocol, exchange->what + " answered something else");
  co_return connected->connection;
}

}  // namespace

asio::awaitable<Result<wire::AnnounceResponse>> udp_announce(
    RoutePtr route, wire::ProxyTarget tracker, wire::AnnounceRequest request, std::string url_data,
    std::uint64_t seed, UdpTrackerOptions options) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto exchange = std::make_shared<Exchange>(executor, tracker, seed);
  const auto connection = co_await connect(exchange, std::move(route), tracker, options);
  if (!connection) co_return connection.error();
  const std::uint32_t transaction = fresh_transaction(*exchange);
  const wire::UdpAnnounceRequest announce{*connection, transaction, std::move(request),
                                          std::move(url_data)};
  Bytes packet = wire::encode(announce);
  auto response = co_await transact(exchange, std::move(packet), transaction, options);
  if (!response) co_return response.error();
  auto* announced = std::get_if<wire::UdpAnnounceResponse>(&*response);
  if (announced == nullptr)
    co_return fail(ErrorKind::protocol, exchange->what + " answered something else");
  co_return std::move(announced->announce);
}

asio::awaitable<Result<std::vector<wire::ScrapeEntry>>> udp_scrape(RoutePtr route,
                                                                   wire::ProxyTarget tracker,
                                                                   std::vector<Sha1Hash> hashes,
                                                                   std::uint64_t seed,
                                                                   UdpTrackerOptions options) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto exchange = std::make_shared<Exchange>(executor, tracker, seed);
  const auto connection = co_await connect(exchange, std::move(route), tracker, options);
  if (!connection) co_return connection.error();
  const std::uint32_t transaction = fresh_transaction(*exchange);
  const wire::UdpScrapeRequest scrape{*connection, transaction, hashes};
  Bytes packet = wire::encode(scrape);
  const auto response = co_await transact(exchange, std::move(packet), transaction, options);
  if (!response) co_return response.error();
  const auto* scraped = std::get_if<wire::UdpScrapeResponse>(&*response);
  if (scraped == nullptr || scraped->entries.size() != hashes.size())
    co_return fail(ErrorKind::protocol, exchange->what + " answered something else");
  std::vector<wire::ScrapeEntry> entries = scraped->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].info_hash = hashes[i];
  co_return entries;
}

}  // namespace swarmfs::net
