// Our client and our tracker over real sockets on the loopback, and senders of nonsense.
#include "swarm/net/tracker_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "swarm/net/asio_glue.h"
#include "swarm/net/connection_id.h"
#include "swarm/wire/tracker_http.h"
#include "tests/net/net_fixture.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using asio::ip::udp;
using testing::ElementsAre;
using testing::HasSubstr;
using wire::TrackerEvent;

Endpoint at(const std::string& text) { return *Endpoint::parse(text); }

class TrackerServerTest : public NetTest {
 protected:
  void open(TrackerServer::Options options) {
    auto opened = TrackerServer::open(loop.get_executor(), std::move(options), logger);
    ASSERT_TRUE(opened) << opened.error().message;
    server = std::move(*opened);
  }
  void open_both() {
    TrackerServer::Options options;
    options.listen = {at("127.0.0.1:0"), at("[::1]:0")};
    open(std::move(options));
  }
  std::string url(const std::string& scheme, const std::string& host) const {
    return scheme + "://" + host + ":" + std::to_string(server->endpoints().front().port) +
           "/announce";
  }
  /// What a UDP socket gets back for a packet; empty for silence.
  Bytes exchange(udp::socket& socket, const Bytes& packet) {
    socket.send(asio::buffer(packet));
    Bytes reply(4096);
    bool got = false;
    std::size_t size = 0;
    socket.async_receive(asio::buffer(reply), [&](const auto& error, std::size_t n) {
      got = !error;
      size = n;
    });
    run_until([&] { return got; }, 300ms);
    if (!got) {
      socket.cancel();
      run_until([] { return false; }, 60ms);
    }
    reply.resize(size);
    return reply;
  }
  udp::socket udp_to_server() {
    udp::socket socket(loop, udp::v4());
    socket.connect(to_asio<udp>(server->endpoints().front()));
    return socket;
  }

  std::unique_ptr<TrackerServer> server;
  TrackerClient client{loop.get_executor(), Route::plain(), {}, logger};
};

TEST_F(TrackerServerTest, ServesHttpAndUdpOverBothFamiliesOnOnePort) {
  open_both();
  const auto doors = server->endpoints();
  ASSERT_EQ(doors.size(), 2U);
  EXPECT_EQ(doors[0].port, doors[1].port);
  std::uint16_t port = 1000;
  for (const std::string host : {"127.0.0.1", "[::1]"}) {
    for (const std::string scheme : {"http", "udp"}) {
      const auto answer = announce(client, url(scheme, host), request(++port));
      ASSERT_TRUE(answer) << scheme << host << ": " << answer.error().message;
      EXPECT_EQ(answer->response.interval, 120s);
      EXPECT_EQ(answer->response.leechers, port - 1000U);
    }
  }
  EXPECT_EQ(server->book().peers(), 4U);
  const auto v4 = announce(client, url("udp", "127.0.0.1"), request(1001));
  EXPECT_THAT(v4->response.peers, ElementsAre(at("127.0.0.1:1002")));
  const auto v6 = announce(client, url("udp", "[::1]"), request(1003));
  EXPECT_THAT(v6->response.peers, ElementsAre(at("[::1]:1004")));
  const auto both = announce(client, url("http", "127.0.0.1"), request(1001));
  EXPECT_THAT(both->response.peers, testing::UnorderedElementsAre(
                                        at("127.0.0.1:1002"), at("[::1]:1003"), at("[::1]:1004")));
}

TEST_F(TrackerServerTest, AHostWithBothFamiliesGetsAnAnnounceOfEach) {
  open_both();
  TrackerClient::Options options;
  options.http.hosts["tracker.local"] = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("::1")};
  TrackerClient dual(loop.get_executor(), Route::plain(), options, logger);
  for (const std::string scheme : {"http", "udp"}) {
    const auto answers = announce_all(dual, url(scheme, "tracker.local"), request(4000));
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_TRUE(answers[0]) << answers[0].error().message;
    EXPECT_TRUE(answers[1]) << answers[1].error().message;
  }
  EXPECT_EQ(server->book().peers(), 2U);
}

TEST_F(TrackerServerTest, EventsAndScrapeReachTheBook) {
  open_both();
  for (const std::string scheme : {"http", "udp"}) {
    wire::AnnounceRequest seed = request(1, 0);
    seed.event = TrackerEvent::completed;
    seed.info_hash.fill(scheme == "http" ? 1 : 2);
    ASSERT_TRUE(announce(client, url(scheme, "127.0.0.1"), seed));
    Result<std::vector<wire::ScrapeEntry>> scraped;
    bool done = false;
    client.scrape(url(scheme, "127.0.0.1"), {seed.info_hash}, [&](auto entries) {
      scraped = std::move(entries);
      done = true;
    });
    ASSERT_TRUE(run_until([&] { return done; }));
    ASSERT_TRUE(scraped) << scraped.error().message;
    EXPECT_THAT(*scraped, ElementsAre(wire::ScrapeEntry{seed.info_hash, 1, 1, 0}));
    seed.event = TrackerEvent::stopped;
    ASSERT_TRUE(announce(client, url(scheme, "127.0.0.1"), seed));
    EXPECT_EQ(server->book().peers(), 0U);
  }
}

TEST_F(TrackerServerTest, AnAddressInUseIsNamed) {
  open_both();
  TrackerServer::Options again;
  again.listen = server->endpoints();
  const auto second = TrackerServer::open(loop.get_executor(), again, logger);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::busy);
  EXPECT_THAT(second.error().message, HasSubstr(server->endpoints()[0].to_string()));
}

TEST_F(TrackerServerTest, AnUnverifiedUdpSenderGetsNoMoreBytesThanItSent) {
  open_both();
  udp::socket socket = udp_to_server();
  const wire::UdpAnnounceRequest forged{12345, 1, request(), ""};
  const wire::UdpScrapeRequest scrape{12345, 2, std::vector<Sha1Hash>(74)};
  const std::vector<Bytes> packets{wire::encode(wire::UdpConnectRequest{1}), wire::encode(forged),
                                   wire::encode(scrape)};
  for (const Bytes& packet : packets) {
    const Bytes reply = exchange(socket, packet);
    EXPECT_FALSE(reply.empty());
    EXPECT_LE(reply.size(), packet.size());
  }
  for (const Bytes& junk : {Bytes(1, 0), Bytes(15, 0), Bytes(98, 0xff), Bytes(2000, 1)})
    EXPECT_TRUE(exchange(socket, junk).empty());
  EXPECT_EQ(server->book().peers(), 0U);
}

TEST_F(TrackerServerTest, UdpRepliesFitOnePacket) {
  TrackerServer::Options options;
  options.listen = {at("127.0.0.1:0"), at("[::1]:0")};
  options.book.max_per_address = 1000;
  options.book.max_numwant = 1000;
  open(std::move(options));
  for (const std::string host : {"127.0.0.1", "[::1]"}) {
    const std::string where = url("udp", host);
    int ended = 0;
    for (std::uint16_t port = 1; port <= 300; ++port)
      client.announce(where, request(port), [&](auto&&, bool) { ++ended; });
    ASSERT_TRUE(run_until([&] { return ended == 300; }));
    wire::AnnounceRequest greedy = request(999);
    greedy.numwant = 1000;
    const auto answer = announce(client, where, greedy);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.peers.size(), host == "[::1]" ? 70U : 200U);
  }
}

TEST_F(TrackerServerTest, SilentConnectionsAreEndedAndBounded) {
  TrackerServer::Options options;
  options.listen = {at("127.0.0.1:0")};
  options.connection_timeout = 300ms;
  options.max_connections = 8;
  options.max_connections_per_address = 8;
  open(std::move(options));
  std::vector<tcp::socket> silent;
  for (int i = 0; i < 20; ++i) {
    silent.emplace_back(loop);
    silent.back().connect(to_asio<tcp>(server->endpoints().front()));
    if (i % 2 == 0) silent.back().send(asio::buffer("GET /ann", 8));
  }
  ASSERT_TRUE(run_until([&] { return server->connections() == 8; }, 2s));
  ASSERT_TRUE(run_until([&] { return server->connections() == 0; }, 5s));
  EXPECT_TRUE(announce(client, url("http", "127.0.0.1")));
}

TEST_F(TrackerServerTest, AByteNowAndThenDoesNotHoldAConnection) {
  TrackerServer::Options options;
  options.listen = {at("127.0.0.1:0")};
  options.connection_timeout = 300ms;
  open(std::move(options));
  tcp::socket socket(loop);
  socket.connect(to_asio<tcp>(server->endpoints().front()));
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_until([&] { return server->connections() == 1; }, 2s));
  ASSERT_TRUE(run_until(
      [&] {
        boost::system::error_code ignored;
        socket.send(asio::buffer("G", 1), 0, ignored);
        return server->connections() == 0;
      },
      5s));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
}

TEST_F(TrackerServerTest, WrongRequestsGetAReason) {
  open_both();
  const auto ask = [&](const std::string& text) {
    tcp::socket socket(loop);
    socket.connect(to_asio<tcp>(server->endpoints().front()));
    asio::write(socket, asio::buffer(text));
    std::string reply(4096, '\0');
    std::size_t size = 0;
    bool done = false;
    asio::async_read(socket, asio::buffer(reply), [&](const auto&, std::size_t n) {
      size = n;
      done = true;
    });
    EXPECT_TRUE(run_until([&] { return done; }, 5s));
    return reply.substr(0, size);
  };
  EXPECT_THAT(ask("GET / HTTP/1.1\r\n\r\n"), HasSubstr(" 404 "));
  EXPECT_THAT(ask("GET /announce HTTP/1.1\r\n\r\n"), HasSubstr("info_hash is missing"));
  EXPECT_THAT(ask("GET /scrape HTTP/1.1\r\n\r\n"), HasSubstr(" 400 "));
  EXPECT_THAT(ask("POST /announce HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"), HasSubstr(" 405 "));
  EXPECT_EQ(ask("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(ask("\r\n\x16\x03\x01 junk\r\n\r\n"), "");
}

TEST_F(TrackerServerTest, ClosingEndsEveryConnection) {
  open_both();
  tcp::socket socket(loop);
  socket.connect(to_asio<tcp>(server->endpoints().front()));
  ASSERT_TRUE(run_until([&] { return server->connections() == 1; }, 2s));
  server.reset();
  loop.restart();
  EXPECT_GT(loop.run_for(5s), 0U);
  EXPECT_TRUE(loop.stopped()) << "nothing is left to wait for";
}

TEST(ConnectionIds, HoldForTwoMinutesAndOneAddress) {
  const ConnectionIds ids(ConnectionIds::Secret{1});
  const ConnectionIds others(ConnectionIds::Secret{2});
  const IpAddress here = *IpAddress::parse("1.2.3.4");
  for (const Duration start : {3600s, 3601s, 3659s}) {
    const TimePoint then(start);
    const std::uint64_t id = ids.make(here, then);
    EXPECT_TRUE(ids.valid(id, here, then));
    EXPECT_TRUE(ids.valid(id, here, then + 120s));
    EXPECT_FALSE(ids.valid(id, here, then + 180s));
    EXPECT_FALSE(ids.valid(id, *IpAddress::parse("1.2.3.5"), then));
    EXPECT_FALSE(ids.valid(id + 1, here, then));
    EXPECT_FALSE(others.valid(id, here, then));
  }
}

}  // namespace
}  // namespace swarmfs::net::test
