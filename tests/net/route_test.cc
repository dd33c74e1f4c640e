// The way through proxies that do as they are told: what they refuse, how their answers are cut,
// and that nothing is tried without them.
#include "swarm/net/route.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "net_fixture.h"
#include "swarm/net/asio_glue.h"
#include "swarm/net/http_client.h"
#include "swarm/net/resolver.h"
#include "swarm/net/task.h"
#include "swarm/net/udp_port.h"
#include "swarm/net/udp_tracker.h"
#include "tests/net/test_server.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using asio::ip::udp;

/// A SOCKS5 proxy without a login. It answers whatever it is asked with `answer`, a byte at a time,
/// and then echoes what comes, or relays datagrams by sending them back where they came from.
class EchoProxy {
 public:
  explicit EchoProxy(asio::io_context& loop)
      : acceptor_(loop, {asio::ip::make_address("127.0.0.1"), 0}),
        relay_(loop, {asio::ip::make_address("127.0.0.1"), 0}) {
    asio::co_spawn(loop, accept(), asio::detached);
    asio::co_spawn(loop, relay(), asio::detached);
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  RoutePtr route() const {
    Route::Options options;
    options.proxy = wire::ProxyUrl{wire::ProxyUrl::Kind::socks5, "127.0.0.1", port(), "", ""};
    return *Route::make(options);
  }
  void drop_all() {
    boost::system::error_code ignored;
    for (const auto& socket : sockets_) socket->close(ignored);
    sockets_.clear();
  }

  Bytes method{5, 0};
  Bytes answer{5, 0, 0, 1, 127, 0, 0, 1, 0, 80};
  std::vector<Bytes> asked;      ///< requests, each without its greeting
  std::vector<Bytes> datagrams;  ///< as they came
  bool silent = false;

 private:
  using SocketPtr = std::shared_ptr<tcp::socket>;
  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kAwait);
      if (error) co_return;
      sockets_.push_back(std::make_shared<tcp::socket>(std::move(socket)));
      auto serving = serve(sockets_.back());
      asio::co_spawn(acceptor_.get_executor(), std::move(serving), asio::detached);
    }
  }
  static asio::awaitable<bool> trickle(SocketPtr socket, Bytes bytes) {
    for (const std::uint8_t byte : bytes) {
      const auto one = asio::buffer(&byte, 1);
      const auto [error, n] = co_await asio::async_write(*socket, one, kAwait);
      if (error) co_return false;
    }
    co_return true;
  }
  asio::awaitable<void> serve(SocketPtr socket) {
    std::array<std::uint8_t, 3> greeting;
    const auto hello = asio::buffer(greeting);
    const auto [error, n] = co_await asio::async_read(*socket, hello, kAwait);
    if (error || silent) co_return;
    auto choosing = trickle(socket, method);
    co_await std::move(choosing);
    Bytes request(64);
    const auto words = asio::buffer(request);
    const auto [failed, size] = co_await socket->async_read_some(words, kAwait);
    if (failed) co_return;
    request.resize(size);
    asked.push_back(request);
    Bytes told = answer;
    if (request[1] == 3) {
      const std::uint16_t at = relay_.local_endpoint().port();
      // Another address than its own, which is not to be believed.
      told = {5,
              0,
              0,
              1,
              10,
              255,
              255,
              1,
              static_cast<std::uint8_t>(at >> 8),
              static_cast<std::uint8_t>(at)};
    }
    auto answering = trickle(socket, told);
    co_await std::move(answering);
    if (told[1] != 0) {
      boost::system::error_code ignored;
      socket->close(ignored);
    }
    Bytes buffer(1024);
    for (;;) {
      const auto in = asio::buffer(buffer);
      const auto [ended, got] = co_await socket->async_read_some(in, kAwait);
      if (ended) co_return;
      const auto back = asio::buffer(buffer.data(), got);
      co_await asio::async_write(*socket, back, kAwait);
    }
  }
  asio::awaitable<void> relay() {
    Bytes buffer(2048);
    for (;;) {
      udp::endpoint from;
      const auto in = asio::buffer(buffer);
      const auto [error, n] = co_await relay_.async_receive_from(in, from, kAwait);
      if (error) co_return;
      datagrams.emplace_back(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
      const auto out = asio::buffer(buffer.data(), n);
      co_await relay_.async_send_to(out, from, kAwait);
    }
  }

  tcp::acceptor acceptor_;
  udp::socket relay_;
  std::vector<SocketPtr> sockets_;
};

class RouteTest : public NetTest {
 protected:
  using Made = std::unique_ptr<Route::Connected>;
  Result<Made> connect(const RoutePtr& route, const wire::ProxyTarget& to, Duration timeout = 10s) {
    std::optional<Result<Made>> out;
    std::function<void(Result<Made>)> done = [&](Result<Made> made) { out = std::move(made); };
    const auto task = Task::start<Made>(loop.get_executor(), 30s, "connecting",
                                        Route::connect(route, to, timeout), std::move(done));
    EXPECT_TRUE(run_until([&] { return out.has_value(); }));
    return std::move(*out);
  }
  static bool names(const Error& error, const EchoProxy& proxy) {
    return error.message.find("proxy socks5://127.0.0.1:" + std::to_string(proxy.port())) !=
           std::string::npos;
  }

  const wire::ProxyTarget there{"192.0.2.7", 6881};
  EchoProxy proxy{loop};
};

TEST_F(RouteTest, LeadsOnWhateverTheAnswersAreCutInto) {
  auto made = connect(proxy.route(), there);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE((*made)->proxied);
  ASSERT_EQ(proxy.asked.size(), 1U);
  EXPECT_EQ(proxy.asked[0], (Bytes{5, 1, 0, 1, 192, 0, 2, 7, 0x1a, 0xe1}));
  // The first byte behind the answer is the other end's.
  asio::write((*made)->socket, asio::buffer("abc", 3));
  std::string back(3, ' ');
  bool got = false;
  asio::async_read((*made)->socket, asio::buffer(back),
                   [&](const boost::system::error_code& error, std::size_t) { got = !error; });
  ASSERT_TRUE(run_until([&] { return got; }));
  EXPECT_EQ(back, "abc");
}

TEST_F(RouteTest, WhatTheProxyRefusesIsAnErrorThatNamesIt) {
  for (const std::uint8_t code : {1, 2, 3, 4, 5, 6, 7, 8, 77}) {
    proxy.answer[1] = code;
    const auto made = connect(proxy.route(), there);
    ASSERT_FALSE(made);
    EXPECT_TRUE(names(made.error(), proxy)) << made.error().message;
  }
  proxy.method = {5, 0xff};
  EXPECT_EQ(connect(proxy.route(), there).error().kind, ErrorKind::permission);
  proxy.method = {4, 0};
  EXPECT_EQ(connect(proxy.route(), there).error().kind, ErrorKind::protocol);
}

TEST_F(RouteTest, ASilentProxyIsWaitedForInVain) {
  proxy.silent = true;
  const auto made = connect(proxy.route(), there, 200ms);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(names(made.error(), proxy)) << made.error().message;
}

TEST_F(RouteTest, NothingIsTriedWithoutTheProxy) {
  // A server that is there for whoever comes straight.
  tcp::acceptor server(loop, {asio::ip::make_address("127.0.0.1"), 0});
  bool came = false;
  server.async_accept(
      [&](const boost::system::error_code& error, const tcp::socket&) { came = !error; });
  Route::Options options;
  {
    const tcp::acceptor gone(loop, {asio::ip::make_address("127.0.0.1"), 0});
    const std::uint16_t port = gone.local_endpoint().port();
    options.proxy = wire::ProxyUrl{wire::ProxyUrl::Kind::socks5, "127.0.0.1", port, "", ""};
  }
  const RoutePtr route = *Route::make(options);
  const auto made = connect(route, {"127.0.0.1", server.local_endpoint().port()});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::network) << made.error().message;
  EXPECT_FALSE(came);
  EXPECT_FALSE(route->direct());
  EXPECT_FALSE(route->listen(loop.get_executor(), *Endpoint::parse("127.0.0.1:0")));
  EXPECT_FALSE(route->open_udp(loop.get_executor(), *Endpoint::parse("127.0.0.1:0")));
  const auto found = resolve_now(route, "localhost");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::permission);
}

TEST_F(RouteTest, DatagramsGoToTheProxyItselfAndTheAssociationIsMadeAnew) {
  auto port = UdpPort::open(loop.get_executor(), proxy.route(), *Endpoint::parse("0.0.0.0:0"));
  ASSERT_TRUE(port);
  std::vector<std::pair<Endpoint, Bytes>> got;
  (*port)->set_handler(UdpPort::Kind::other, [&](const Endpoint& from, MutableByteView datagram) {
    got.emplace_back(from, Bytes(datagram.begin(), datagram.end()));
  });
  const Endpoint far = *Endpoint::parse("192.0.2.7:6881");
  const Bytes word{1, 2, 3};
  // What is sent before there is an association is lost, as on any link.
  EXPECT_FALSE((*port)->send(far, word));
  const auto exchanged = [&](std::size_t most) {
    return run_until([&] {
      (*port)->send(far, word);
      return got.size() >= most;
    });
  };
  ASSERT_TRUE(exchanged(1));
  EXPECT_EQ(got[0].first, far);
  EXPECT_EQ(got[0].second, word);
  EXPECT_EQ(proxy.datagrams.at(0), (Bytes{0, 0, 0, 1, 192, 0, 2, 7, 0x1a, 0xe1, 1, 2, 3}));
  EXPECT_TRUE((*port)->send_by_name({"a.example", 80}, word));
  ASSERT_TRUE(run_until([&] { return proxy.datagrams.back()[3] == 3; }));
  // Datagrams of the other family are not this port's.
  const std::size_t before = got.size();
  EXPECT_TRUE((*port)->send(*Endpoint::parse("[2001:db8::1]:1"), word));
  ASSERT_TRUE(run_until([&] { return proxy.datagrams.back()[3] == 4; }));

  proxy.drop_all();
  ASSERT_TRUE(run_until([&] { return !(*port)->trouble().empty(); }));
  EXPECT_FALSE((*port)->send(far, word));
  const std::size_t requests = proxy.asked.size();
  ASSERT_TRUE(exchanged(before + 2));
  EXPECT_GT(proxy.asked.size(), requests);
  EXPECT_EQ((*port)->trouble(), "");
  for (const auto& [from, datagram] : got) EXPECT_EQ(from, far);
}

TEST_F(RouteTest, AnHttpProxyTakesNoDatagrams) {
  Route::Options options;
  options.proxy = wire::ProxyUrl{wire::ProxyUrl::Kind::http, "127.0.0.1", proxy.port(), "", ""};
  const auto route = *Route::make(options);
  EXPECT_FALSE(route->has_udp());
  EXPECT_FALSE(UdpPort::open(loop.get_executor(), route, *Endpoint::parse("0.0.0.0:0")));
  TrackerClient client(loop.get_executor(), route, {}, logger);
  const auto answers = announce_all(client, "udp://tracker.example:80/announce");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().kind, ErrorKind::unsupported);
  EXPECT_TRUE(proxy.asked.empty());
}

TEST_F(RouteTest, TrackersAreNamedToTheProxyNotLookedUp) {
  TrackerClient client(loop.get_executor(), proxy.route(), {}, logger);
  proxy.answer[1] = 4;  // it does not know the name either
  const auto answers = announce_all(client, "http://no-such-name.invalid/announce?passkey=secret");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_TRUE(names(answers[0].error(), proxy)) << answers[0].error().message;
  EXPECT_EQ(answers[0].error().message.find("secret"), std::string::npos);
  ASSERT_EQ(proxy.asked.size(), 1U);
  EXPECT_EQ(proxy.asked[0][3], 3);
  EXPECT_EQ(std::string(proxy.asked[0].begin() + 5, proxy.asked[0].end() - 2),
            "no-such-name.invalid");
}

engine::AddressFilterPtr filter_of(const char* address) {
  engine::AddressFilter::Builder builder;
  builder.add(*IpAddress::parse(address), *IpAddress::parse(address));
  return std::make_shared<const engine::AddressFilter>(builder.build());
}

TEST_F(RouteTest, NothingGoesToWhomTheFilterHas) {
  Route::Options options;
  options.filter = std::make_shared<FilterGate>();
  const auto route = *Route::make(options);
  const tcp::acceptor server(loop, {asio::ip::make_address("127.0.0.2"), 0});
  const std::uint16_t port = server.local_endpoint().port();
  EXPECT_TRUE(connect(route, {"127.0.0.2", port})) << "an empty filter blocks nobody";
  options.filter->set(filter_of("127.0.0.2"));
  const auto made = connect(route, {"127.0.0.2", port});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::permission);
  EXPECT_NE(made.error().message.find("IP filter"), std::string::npos) << made.error().message;
  TrackerClient client(loop.get_executor(), route, {}, logger);
  for (const std::string scheme : {"http", "udp"}) {
    const auto answers =
        announce_all(client, scheme + "://127.0.0.2:" + std::to_string(port) + "/announce");
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_NE(answers[0].error().message.find("IP filter"), std::string::npos)
        << answers[0].error().message;
  }
  options.filter->set(nullptr);
  EXPECT_TRUE(connect(route, {"127.0.0.2", port}));
}

TEST_F(RouteTest, ARedirectLeadsToNobodyWhomTheFilterHas) {
  Route::Options options;
  options.filter = std::make_shared<FilterGate>();
  const auto route = *Route::make(options);
  TestServer blocked(loop, "127.0.0.2", [](const std::string&) { return Said{http_answer("")}; });
  TestServer server(loop, "127.0.0.1", [&](const std::string&) {
    return Said{http_answer("", "302 Found", "Location: http://" + blocked.authority() + "/a\r\n")};
  });
  TrackerClient client(loop.get_executor(), route, {}, logger);
  const std::string url = "http://" + server.authority() + "/announce";
  EXPECT_FALSE(announce(client, url)) << "what it answers is no announce";
  EXPECT_EQ(blocked.requests().size(), 1U) << "an empty filter blocks nobody";
  options.filter->set(filter_of("127.0.0.2"));
  const auto answer = announce(client, url);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("IP filter"), std::string::npos) << answer.error().message;
  EXPECT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(blocked.requests().size(), 1U);
}

TEST_F(RouteTest, AProxyIsNotAskedForWhomTheFilterHas) {
  Route::Options options;
  options.proxy = wire::ProxyUrl{wire::ProxyUrl::Kind::socks5, "127.0.0.1", proxy.port(), "", ""};
  options.filter = std::make_shared<FilterGate>();
  options.filter->set(filter_of("192.0.2.7"));
  const auto route = *Route::make(options);
  const auto made = connect(route, there);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::permission);
  EXPECT_TRUE(proxy.asked.empty());
  EXPECT_TRUE(connect(route, {"192.0.2.8", 6881}));
  // The proxy may have an address that is blocked for others.
  options.filter->set(filter_of("127.0.0.1"));
  EXPECT_TRUE(connect(route, there));
}

TEST_F(RouteTest, NoDatagramGoesToOrComesFromWhomTheFilterHas) {
  Route::Options options;
  options.filter = std::make_shared<FilterGate>();
  options.filter->set(filter_of("127.0.0.2"));
  const auto open = [&](const RoutePtr& route, const char* at) {
    return *UdpPort::open(loop.get_executor(), route, *Endpoint::parse(at));
  };
  const auto ours = open(*Route::make(options), "127.0.0.1:0");
  const auto blocked = open(Route::plain(), "127.0.0.2:0");
  const auto other = open(Route::plain(), "127.0.0.3:0");
  std::vector<Endpoint> from;
  unsigned heard = 0;
  ours->set_handler(UdpPort::Kind::other,
                    [&](const Endpoint& sender, MutableByteView) { from.push_back(sender); });
  blocked->set_handler(UdpPort::Kind::other, [&](const Endpoint&, MutableByteView) { ++heard; });
  other->set_handler(UdpPort::Kind::other, [&](const Endpoint&, MutableByteView) { ++heard; });
  const Bytes word{1, 2, 3};
  EXPECT_TRUE(blocked->send(ours->local(), word));
  EXPECT_TRUE(other->send(ours->local(), word));
  EXPECT_FALSE(ours->send(blocked->local(), word));
  const ByteView several[] = {word, word};
  EXPECT_EQ(ours->send(blocked->local(), several), 2U) << "lost, as on any link";
  EXPECT_TRUE(ours->send(other->local(), word));
  ASSERT_TRUE(run_until([&] { return !from.empty() && heard > 0; }));
  EXPECT_EQ(from, std::vector<Endpoint>{other->local()});
  EXPECT_EQ(heard, 1U);
}

TEST(Interface, ThatIsNotThereIsSaid) {
  Route::Options options;
  for (const std::string name : {"nosuchdevice0", "192.0.2.99"}) {
    options.interface = name;
    const auto route = Route::make(options);
    ASSERT_FALSE(route);
    EXPECT_NE(route.error().message.find("--interface " + name), std::string::npos);
  }
}

TEST_F(RouteTest, AnInterfaceHoldsWhatListensAndConnects) {
  Route::Options options;
  options.interface = "127.0.0.1";
  const auto route = Route::make(options);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_TRUE((*route)->direct());
  auto listening = (*route)->listen(loop.get_executor(), *Endpoint::parse("0.0.0.0:0"));
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_EQ(listening->local_endpoint().address().to_string(), "127.0.0.1");
  EXPECT_TRUE(connect(*route, {"127.0.0.1", listening->local_endpoint().port()}));
  // It has no IPv6, and leads to no other network.
  EXPECT_FALSE((*route)->listen(loop.get_executor(), *Endpoint::parse("[::]:0")));
  EXPECT_FALSE(connect(*route, {"::1", 80}));
  EXPECT_FALSE(connect(*route, {"192.0.2.7", 80}, 300ms));
}

}  // namespace
}  // namespace swarmfs::net::test
