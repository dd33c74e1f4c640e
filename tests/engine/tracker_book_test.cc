#include "swarm/engine/tracker_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
using wire::AnnounceRequest;
using wire::TrackerEvent;

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
Endpoint at(const char* text) { return *Endpoint::parse(text); }

AnnounceRequest leecher(std::uint16_t port, std::uint8_t torrent = 1) {
  AnnounceRequest request;
  request.info_hash.fill(torrent);
  request.port = port;
  request.left = 5;
  return request;
}
AnnounceRequest seed(std::uint16_t port, std::uint8_t torrent = 1) {
  AnnounceRequest request = leecher(port, torrent);
  request.left = 0;
  return request;
}

struct World {
  TrackerBook book{TrackerBook::Config{}};
  TimePoint now{1h};
  Rng rng{1};
  wire::AnnounceResponse announce(const AnnounceRequest& r, const std::string& from) {
    return book.announce(r, ip(from), now, rng).value();
  }
};

TEST(TrackerBook, PeersFindEachOtherAndNeverThemselves) {
  World w;
  EXPECT_TRUE(w.announce(leecher(1), "8.0.0.1").peers.empty());
  EXPECT_THAT(w.announce(leecher(2), "8.0.0.2").peers, testing::ElementsAre(at("8.0.0.1:1")));
  const auto again = w.announce(leecher(1), "8.0.0.1");
  EXPECT_THAT(again.peers, testing::ElementsAre(at("8.0.0.2:2")));
  EXPECT_EQ(again.leechers, 2U);
  EXPECT_EQ(again.seeders, 0U);
  EXPECT_EQ(again.external_ip, ip("8.0.0.1"));
  EXPECT_TRUE(w.announce(leecher(1, 9), "8.0.0.1").peers.empty()) << "another swarm";
}

TEST(TrackerBook, SeedsAreNotSentToSeeds) {
  World w;
  w.announce(seed(1), "8.0.0.1");
  w.announce(seed(2), "8.0.0.2");
  w.announce(leecher(3), "8.0.0.3");
  const auto to_seed = w.announce(seed(1), "8.0.0.1");
  EXPECT_THAT(to_seed.peers, testing::ElementsAre(at("8.0.0.3:3")));
  EXPECT_EQ(to_seed.seeders, 2U);
  EXPECT_EQ(to_seed.leechers, 1U);
  EXPECT_EQ(w.announce(leecher(3), "8.0.0.3").peers.size(), 2U);
}

TEST(TrackerBook, BothFamiliesAreKept) {
  World w;
  w.announce(leecher(1), "2606::1");
  w.announce(leecher(2), "8.0.0.2");
  EXPECT_THAT(w.announce(leecher(3), "8.0.0.3").peers,
              testing::ElementsAre(at("8.0.0.2:2"), at("[2606::1]:1")));
}

TEST(TrackerBook, StoppedAndExpiredPeersAreForgottenAndTheirSwarmWithThem) {
  World w;
  w.announce(seed(1), "8.0.0.1");
  w.announce(leecher(2), "8.0.0.2");
  AnnounceRequest bye = seed(1);
  bye.event = TrackerEvent::stopped;
  const auto reply = w.announce(bye, "8.0.0.1");
  EXPECT_TRUE(reply.peers.empty());
  EXPECT_EQ(reply.seeders, 0U);
  w.now += 200s;
  w.announce(leecher(3), "8.0.0.3");
  w.now += 41s;
  EXPECT_TRUE(w.announce(leecher(3), "8.0.0.3").peers.empty());
  EXPECT_EQ(w.book.peers(), 1U);
  w.now += 1h;
  w.book.expire(w.now);
  EXPECT_EQ(w.book.peers(), 0U);
  EXPECT_EQ(w.book.swarms(), 0U);
}

TEST(TrackerBook, StrangersCannotStopOthers) {
  World w;
  w.announce(seed(1), "8.0.0.1");
  AnnounceRequest bye = seed(1);
  bye.event = TrackerEvent::stopped;
  bye.ip = ip("8.0.0.1");
  w.announce(bye, "8.0.0.66");
  EXPECT_EQ(w.book.peers(), 1U);
}

TEST(TrackerBook, OnlyThisMachineMayNameItsAddress) {
  World w;
  AnnounceRequest request = leecher(1);
  request.ip = ip("10.0.0.9");
  w.announce(request, "127.0.0.1");
  request.ip = ip("10.0.0.10");
  w.announce(request, "8.0.0.1");
  EXPECT_THAT(w.announce(leecher(2), "8.0.0.2").peers,
              testing::UnorderedElementsAre(at("10.0.0.9:1"), at("8.0.0.1:1")));
}

TEST(TrackerBook, LoopbackPeersAreForThisMachineOnly) {
  World w;
  w.announce(leecher(1), "127.0.0.1");
  EXPECT_TRUE(w.announce(leecher(2), "8.0.0.2").peers.empty());
  EXPECT_EQ(w.announce(leecher(3), "127.0.0.1").peers.size(), 2U);
}

TEST(TrackerBook, PeersWithoutAPortAreAnsweredButNotKept) {
  World w;
  w.announce(leecher(1), "8.0.0.1");
  EXPECT_EQ(w.announce(leecher(0), "8.0.0.2").peers.size(), 1U);
  EXPECT_EQ(w.book.peers(), 1U);
}

TEST(TrackerBook, NumwantIsHonouredUpToALimit) {
  World w;
  for (std::uint16_t i = 1; i <= 900; ++i)
    w.announce(leecher(i), "8.0." + std::to_string(i / 50) + ".1");
  AnnounceRequest request = leecher(1000);
  EXPECT_EQ(w.announce(request, "9.0.0.1").peers.size(), 50U);
  request.numwant = 0;
  EXPECT_EQ(w.announce(request, "9.0.0.1").peers.size(), 0U);
  request.numwant = 7;
  EXPECT_EQ(w.announce(request, "9.0.0.1").peers.size(), 7U);
  request.numwant = 0xffffffff;
  const auto peers = w.announce(request, "9.0.0.1").peers;
  EXPECT_EQ(peers.size(), 200U);
  EXPECT_EQ(std::set<Endpoint>(peers.begin(), peers.end()).size(), 200U);
}

TEST(TrackerBook, ChoosesAtRandomAndEvenly) {
  World w;
  for (std::uint16_t i = 1; i <= 20; ++i) w.announce(leecher(i), "8.0.0." + std::to_string(i));
  AnnounceRequest request = leecher(1000);
  request.numwant = 1;
  std::map<Endpoint, int> hits;
  for (int i = 0; i < 4000; ++i) {
    const auto peers = w.announce(request, "9.0.0.1").peers;
    ASSERT_EQ(peers.size(), 1U);
    ++hits[peers[0]];
  }
  EXPECT_EQ(hits.size(), 20U);
  for (const auto& [peer, n] : hits) EXPECT_NEAR(n, 200, 90) << peer.to_string();
}

TEST(TrackerBook, MemoryIsBoundedAndKnownPeersAreServedWhenFull) {
  TrackerBook::Config config;
  config.max_peers = 10;
  config.max_swarms = 3;
  config.max_per_address = 4;
  TrackerBook book(config);
  Rng rng(1);
  const TimePoint now{1h};
  for (std::uint16_t port = 1; port <= 4; ++port)
    EXPECT_TRUE(book.announce(leecher(port), ip("8.0.0.1"), now, rng));
  EXPECT_FALSE(book.announce(leecher(5), ip("8.0.0.1"), now, rng));
  EXPECT_TRUE(book.announce(leecher(1, 2), ip("8.0.0.2"), now, rng));
  EXPECT_TRUE(book.announce(leecher(1, 3), ip("8.0.0.2"), now, rng));
  EXPECT_FALSE(book.announce(leecher(1, 4), ip("8.0.0.2"), now, rng));
  for (int i = 10; i < 14; ++i)
    EXPECT_TRUE(book.announce(leecher(1), ip("8.0.0." + std::to_string(i)), now, rng));
  EXPECT_EQ(book.peers(), 10U);
  EXPECT_FALSE(book.announce(leecher(1), ip("8.0.0.99"), now, rng));
  EXPECT_TRUE(book.announce(leecher(1), ip("8.0.0.1"), now, rng));
  EXPECT_TRUE(book.announce(leecher(1), ip("8.0.0.99"), now + 1h, rng)) << "room again";
}

TEST(TrackerBook, ScrapeCounts) {
  World w;
  w.announce(seed(1), "8.0.0.1");
  AnnounceRequest done = seed(2);
  done.event = TrackerEvent::completed;
  w.announce(done, "8.0.0.2");
  w.announce(leecher(3), "8.0.0.3");
  const Sha1Hash hash = leecher(1).info_hash;
  EXPECT_EQ(w.book.scrape(hash, w.now), (wire::ScrapeEntry{hash, 2, 1, 1}));
  EXPECT_EQ(w.book.scrape(Sha1Hash{}, w.now), (wire::ScrapeEntry{Sha1Hash{}, 0, 0, 0}));
}

TEST(TrackerBook, CountsStayTrueThroughRandomChange) {
  World w;
  std::map<Endpoint, bool> model;
  for (int step = 0; step < 20000; ++step) {
    const std::string from = "8.0.0." + std::to_string(w.rng() % 40);
    const auto port = static_cast<std::uint16_t>(1 + w.rng() % 3);
    const bool is_seed = w.rng() % 2 == 0;
    AnnounceRequest request = is_seed ? seed(port) : leecher(port);
    const Endpoint self{ip(from), port};
    if (w.rng() % 4 == 0) {
      request.event = TrackerEvent::stopped;
      model.erase(self);
    } else {
      model[self] = is_seed;
    }
    const auto reply = w.announce(request, from);
    std::uint32_t seeds = 0;
    for (const auto& [peer, s] : model) seeds += s ? 1 : 0;
    ASSERT_EQ(reply.seeders, seeds);
    ASSERT_EQ(*reply.seeders + *reply.leechers, model.size());
    for (const Endpoint& peer : reply.peers) ASSERT_TRUE(model.contains(peer));
  }
}

}  // namespace
}  // namespace swarmfs::engine
