// One torrent's announces from start to goodbye, over real sockets on the loopback.
#include "swarm/net/torrent_trackers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/udp.hpp>

#include "swarm/net/asio_glue.h"
#include "swarm/net/tracker_server.h"
#include "tests/net/net_fixture.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Endpoint at(const std::string& text) { return *Endpoint::parse(text); }

class TorrentTrackersTest : public NetTest {
 protected:
  TorrentTrackersTest() {
    TrackerServer::Options options;
    options.listen = {at("127.0.0.1:0")};
    server = std::move(*TrackerServer::open(loop.get_executor(), options, logger));
    const std::string where = server->endpoints().front().to_string() + "/announce";
    http = "http://" + where;
    udp = "udp://" + where;
  }
  std::unique_ptr<TorrentTrackers> torrent(std::vector<std::vector<std::string>> tiers,
                                           std::uint16_t port, bool hybrid = false) {
    TorrentTrackers::Config config;
    config.tiers = std::move(tiers);
    config.hashes.v1 = Sha1Hash{1};
    if (hybrid) config.hashes.v2 = Sha256Hash{2};
    config.peer_id.fill(static_cast<std::uint8_t>(port));
    config.key = 99;
    return std::make_unique<TorrentTrackers>(
        loop.get_executor(), client, config,
        [this, port] {
          return TorrentTrackers::Stats{0, 0, left, port, 50};
        },
        [this](const TorrentTrackers::Found& f) {
          found.insert(found.end(), f.peers.begin(), f.peers.end());
        },
        logger);
  }
  /// Stops it; how long that took.
  Duration stop(TorrentTrackers& trackers) {
    const auto start = Clock::now();
    int done = 0;
    trackers.stop([&] { ++done; });
    EXPECT_EQ(done, 0) << "called back from inside";
    EXPECT_TRUE(run_until([&] { return done > 0; }, 10s));
    EXPECT_EQ(done, 1);
    return Clock::now() - start;
  }

  std::uint64_t left = 5;
  std::vector<Endpoint> found;
  std::unique_ptr<TrackerServer> server;
  std::string http;
  std::string udp;
  TrackerClient client{loop.get_executor(), Route::plain(), {}, logger};
};

TEST_F(TorrentTrackersTest, TwoTorrentsFindEachOtherAndSayGoodbye) {
  const auto a = torrent({{http}}, 1001);
  a->start();
  ASSERT_TRUE(run_until([&] { return server->book().peers() == 1; }));
  EXPECT_TRUE(found.empty());
  const auto b = torrent({{udp}}, 1002);
  b->start();
  ASSERT_TRUE(run_until([&] { return !found.empty(); }));
  EXPECT_THAT(found, testing::ElementsAre(at("127.0.0.1:1001")));
  ASSERT_EQ(b->status().size(), 1U);
  EXPECT_TRUE(b->status()[0].working);
  EXPECT_EQ(b->status()[0].leechers, 2U);
  EXPECT_LT(stop(*a), 1900ms);
  EXPECT_LT(stop(*b), 1900ms);
  EXPECT_EQ(server->book().peers(), 0U);
}

TEST_F(TorrentTrackersTest, AHybridIsKnownByBothHashes) {
  const auto a = torrent({{http}}, 1001, true);
  a->start();
  ASSERT_TRUE(run_until([&] { return server->book().swarms() == 2; }));
  stop(*a);
  EXPECT_EQ(server->book().swarms(), 0U);
}

TEST_F(TorrentTrackersTest, CompletionIsCounted) {
  const auto a = torrent({{udp}}, 1001);
  a->start();
  ASSERT_TRUE(run_until([&] { return a->status()[0].working; }));
  left = 0;
  a->completed();
  ASSERT_TRUE(run_until([&] { return a->status()[0].seeders == 1U; }));
  EXPECT_EQ(a->status()[0].leechers, 0U);
}

TEST_F(TorrentTrackersTest, ADeadTrackerNeitherHidesALiveOneNorHoldsUpTheEnd) {
  asio::ip::udp::socket silent(loop, {asio::ip::make_address("127.0.0.1"), 0});
  const std::string dead = "udp://" + from_asio(silent.local_endpoint()).to_string() + "/announce";
  const auto a = torrent({{dead}, {http}, {"nonsense"}}, 1001);
  const auto start = Clock::now();
  a->start();
  ASSERT_TRUE(run_until([&] { return server->book().peers() == 1; }));
  EXPECT_LT(Clock::now() - start, 2s);
  EXPECT_LE(stop(*a), 4s);
  EXPECT_EQ(server->book().peers(), 0U);
}

TEST_F(TorrentTrackersTest, WithoutTrackersStopEndsAtOnce) {
  const auto a = torrent({}, 1001);
  a->start();
  EXPECT_LT(stop(*a), 1s);
  const auto never_started = torrent({{http}}, 1002);
  EXPECT_LT(stop(*never_started), 1s);
}

TEST_F(TorrentTrackersTest, DestructionInFlightIsSilent) {
  for (int turns = 0; turns < 40; ++turns) {
    auto a = torrent({{http}, {udp}}, 1001);
    a->start();
    for (int i = 0; i < turns; ++i) loop.poll_one();
    loop.restart();
    if (turns % 2 == 0) a->stop([] { FAIL() << "destroyed before it ended"; });
    a.reset();
  }
  run_until([] { return false; }, 200ms);
}

TEST_F(TorrentTrackersTest, BeginsAnewAfterAStop) {
  const auto a = torrent({{http}}, 1001);
  a->start();
  ASSERT_TRUE(run_until([&] { return server->book().peers() == 1; }));
  a->restart();  // nothing: it has not been stopped
  stop(*a);
  EXPECT_EQ(server->book().peers(), 0U);
  a->restart();
  ASSERT_TRUE(run_until([&] { return server->book().peers() == 1; }));
  // And while the goodbye is still on its way.
  bool told = false;
  a->stop([&] { told = true; });
  a->restart();
  EXPECT_TRUE(told);
  ASSERT_TRUE(run_until([&] { return server->book().peers() == 1 && a->status()[0].working; }));
  stop(*a);
  EXPECT_EQ(server->book().peers(), 0U);
}

TEST_F(TorrentTrackersTest, StatusShowsNoPasskey) {
  const auto a = torrent({{"http://127.0.0.1:9/PASSKEY/announce?PASSKEY"}}, 1001);
  a->start();
  ASSERT_TRUE(run_until([&] { return !a->status()[0].message.empty(); }));
  EXPECT_EQ(a->status()[0].tracker, "http://127.0.0.1:9");
  EXPECT_EQ((a->status()[0].message + log.str()).find("PASSKEY"), std::string::npos);
}

}  // namespace
}  // namespace swarmfs::net::test
