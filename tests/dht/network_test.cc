// Whole networks of nodes in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "swarm/dht/scrape_filter.h"
#include "tests/dht/dht_world.h"

namespace swarmfs::dht {
namespace {

using namespace std::chrono_literals;
using test::World;
using test::WorldConfig;

Sha1Hash hash_of(std::uint8_t n) { return sha1(Bytes{n}); }

struct Walk {
  Duration took{}, first_peer{};
  SearchEnd end;
  std::set<Endpoint> peers;
  bool ended = false;
};

/// Searches from node `i` to the end, in virtual time.
Walk find(World& world, std::size_t i, const Sha1Hash& hash, FindOptions options = {}) {
  Walk walk;
  const TimePoint begun = world.now();
  world.node(i).find_peers(
      hash, options,
      [&](const FoundPeers& found) {
        if (walk.peers.empty()) walk.first_peer = world.now() - begun;
        walk.peers.insert(found.peers.begin(), found.peers.end());
      },
      [&](const SearchEnd& end) {
        EXPECT_FALSE(walk.ended);
        walk.end = end;
        walk.ended = true;
      },
      world.now());
  EXPECT_TRUE(world.run_until([&] { return walk.ended; }, 60s));
  walk.took = world.now() - begun;
  return walk;
}

FindOptions announce(std::uint16_t port = 7000) {
  FindOptions options;
  options.announce = true;
  options.port = port;
  return options;
}

Duration median(std::vector<Duration> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}
auto ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

/// Looks up 100 torrents among 300 nodes, a third of which have just died, from nodes that do not
/// know it yet.
TEST(DhtNetwork, ALookupTakesThreeRoundTripsAndOneShortTimeoutWithAThirdDead) {
  for (const std::uint64_t seed : {1, 2}) {
    WorldConfig config;
    config.jitter = 0.2;
    World world(config, seed);
    world.grow(300);
    constexpr unsigned kTorrents = 20;
    for (unsigned t = 0; t < kTorrents; ++t)
      for (std::size_t from : {t + 10, t + 40, t + 70})  // three peers each
        EXPECT_GE(
            find(world, from, hash_of(static_cast<std::uint8_t>(t)), announce()).end.announced, 8U);
    std::size_t killed = 0;
    while (killed < 90) {
      const std::size_t i = 100 + world.rng()() % 200;
      if (!world.dead(i)) ++killed;
      world.kill(i);
    }
    std::vector<Duration> ends, firsts;
    std::size_t asked = 0, missed = 0;
    for (std::size_t n = 0; n < 60; ++n) {
      std::size_t from = 0;
      do {
        from = 100 + world.rng()() % 200;
      } while (world.dead(from));
      const Walk walk = find(world, from, hash_of(static_cast<std::uint8_t>(n % kTorrents)));
      ends.push_back(walk.took);
      firsts.push_back(walk.first_peer);
      asked += walk.end.asked;
      missed += walk.peers.size() < 3;
      EXPECT_GE(walk.end.answered, 8U);
    }
    const auto rtt = std::chrono::duration_cast<Duration>(config.rtt * (1 + config.jitter / 2));
    std::cout << "300 nodes, 90 dead, RTT " << ms(rtt) << " ms: lookup p50 " << ms(median(ends))
              << " ms, max " << ms(*std::max_element(ends.begin(), ends.end()))
              << " ms, first peer p50 " << ms(median(firsts)) << " ms, "
              << static_cast<double>(asked) / 60 << " queries each, short timeout "
              << ms(world.node(100).patience()) << " ms\n";
    EXPECT_LE(median(ends), 3 * rtt + 1s);
    EXPECT_LE(median(firsts), 3 * rtt);
    EXPECT_EQ(missed, 0U);  // a third of those who knew are dead, and all peers were found
  }
}

TEST(DhtNetwork, FindsPeersThroughLossAndReordering) {
  WorldConfig config;
  config.loss = 0.1;
  config.jitter = 2;
  World world(config, 3);
  world.grow(60);
  unsigned found = 0;
  for (std::uint8_t t = 0; t < 20; ++t) {
    EXPECT_GE(find(world, 5U + t, hash_of(t), announce()).end.announced, 4U);
    const Walk walk = find(world, 30U + t, hash_of(t));
    found += walk.peers.contains({world.where(5U + t).address, 7000});
    EXPECT_LT(walk.took, 20s);
  }
  EXPECT_EQ(found, 20U);
}

TEST(DhtNetwork, ANewcomerFindsPeersByItsFirstContactAlone) {
  World world({}, 4);
  world.grow(100);
  find(world, 20, hash_of(1), announce());
  Node& late = world.add();
  late.add_entries({world.where(0)}, true, world.now());
  const Walk walk = find(world, world.size() - 1, hash_of(1));
  EXPECT_EQ(walk.peers.size(), 1U);
  EXPECT_LE(walk.first_peer, 500ms);
  world.run_for(1min);
  EXPECT_GE(late.table().good(world.now()), 20U);
  EXPECT_FALSE(late.table().contains(world.where(0)));  // it was named as a router
}

TEST(DhtNetwork, SavedNodesMakeANewRunAsGoodAsTheOld) {
  World world({}, 5);
  world.grow(100);
  find(world, 20, hash_of(1), announce());
  const auto saved = world.node(30).table().all(world.now());
  ASSERT_GE(saved.size(), 20U);
  world.kill(0);
  world.add().add_saved(saved, world.now());
  EXPECT_EQ(find(world, world.size() - 1, hash_of(1)).peers.size(), 1U);
}

TEST(DhtNetwork, TwoNodesAreEnough) {
  World world({}, 6);
  Node& seed = world.add();
  Node& other = world.add();
  bool announced = false;
  seed.find_peers(
      hash_of(1), announce(), {}, [&](const SearchEnd&) { announced = true; }, world.now());
  world.run_for(10s);
  EXPECT_FALSE(announced);  // it waits for somebody to be known
  other.add_entries({world.where(0)}, false, world.now());
  EXPECT_TRUE(world.run_until([&] { return announced; }, 20s));
  world.run_for(1s);
  EXPECT_EQ(other.storage().all_peers(), 1U);
  EXPECT_EQ(find(world, 1, hash_of(1)).peers.size(), 1U);  // what it holds itself
}

TEST(DhtNetwork, TablesForgetTheDeadAndKeepTheLiving) {
  World world({}, 7);
  world.grow(80);
  for (std::size_t i = 40; i < 80; ++i) world.kill(i);
  world.run_for(40min);
  for (std::size_t i = 0; i < 40; ++i) {
    const RoutingTable& table = world.node(i).table();
    EXPECT_GE(table.good(world.now()), 15U);
    for (const NodeInfo& node :
         table.nearest(table.own_id(), 100, RoutingTable::Which::good, world.now()))
      for (std::size_t dead = 40; dead < 80; ++dead) EXPECT_NE(node.endpoint, world.where(dead));
  }
}

TEST(DhtNetwork, AnOutageEmptiesNoTable) {
  World world({}, 7);
  world.grow(80);
  find(world, 20, hash_of(1), announce());
  constexpr std::size_t kCut = 50;
  Node& node = world.node(kCut);
  const std::size_t before = node.table().size();
  ASSERT_GE(before, 15U);
  world.cut(kCut, true);
  for (int minute = 0; minute < 25; ++minute) {
    EXPECT_EQ(find(world, kCut, hash_of(1)).end.answered, 0U);
    world.run_for(1min);
  }
  EXPECT_GE(node.table().size(), before * 9 / 10);
  world.cut(kCut, false);
  EXPECT_EQ(find(world, kCut, hash_of(1)).peers.size(), 1U);
  world.run_for(10min);
  EXPECT_GE(node.table().good(world.now()), before * 9 / 10);
}

TEST(DhtNetwork, WhoKnowsOnlyNodesThatAreGoneBeginsAnew) {
  World world({}, 9);
  world.grow(30);
  Node& late = world.add();
  const std::size_t number = world.size() - 1;
  late.add_entries({world.where(0)}, true, world.now());
  world.run_for(2min);
  ASSERT_GE(late.table().size(), Node::kEnough);
  for (std::size_t i = 1; i < 20; ++i) world.kill(i);
  for (std::size_t i = 20; i < 30; ++i) world.cut(i, true);  // for the others, too
  world.cut(0, true);
  world.run_for(1h);
  for (std::size_t i = 20; i < 30; ++i) world.cut(i, false);
  world.cut(0, false);
  find(world, 25, hash_of(1), announce());
  EXPECT_EQ(find(world, number, hash_of(1)).peers.size(), 1U);
}

TEST(DhtNetwork, AnnouncesEndUnlessTheyAreRepeated) {
  World world({}, 8);
  world.grow(30);
  find(world, 3, hash_of(1), announce());
  world.run_for(PeerStorage::kLifetime - 1min);
  EXPECT_EQ(find(world, 20, hash_of(1)).peers.size(), 1U);
  world.run_for(2min);
  EXPECT_EQ(find(world, 20, hash_of(1)).peers.size(), 0U);
}

TEST(DhtNetwork, ScrapesCountOverAllNodes) {
  World world({}, 9);
  world.grow(60);
  for (std::size_t i = 0; i < 30; ++i) {
    FindOptions options = announce();
    options.seed = i < 10;
    find(world, i, hash_of(1), options);
  }
  FindOptions scrape;
  scrape.scrape = true;
  find(world, 50, hash_of(1), scrape);
  world.run_for(2s);  // those asked have found out that the asker is where it says
  const Walk walk = find(world, 50, hash_of(1), scrape);
  ASSERT_TRUE(walk.end.filters);
  EXPECT_NEAR(estimate(walk.end.filters->seeds), 10, 2);
  EXPECT_NEAR(estimate(walk.end.filters->peers), 20, 3);
  EXPECT_LE(world.longest(), wire::kMaxKrpcSent);
}

TEST(DhtNetwork, OwnIdFollowsTheAddressThatSeveralNetworksSee) {
  World world({}, 10);
  world.grow(40);
  for (std::size_t i = 0; i < world.size(); ++i) {
    const Node& node = world.node(i);
    EXPECT_EQ(node.external(), world.where(i).address);
    EXPECT_TRUE(is_secure(node.id(), world.where(i).address)) << i;
  }
}

TEST(DhtNetwork, ReadOnlyNodesAskAndAreLeftAlone) {
  World world({}, 11);
  world.grow(30);
  find(world, 3, hash_of(1), announce());
  NodeConfig config;
  config.read_only = true;
  Node& shy = world.add(config);
  shy.add_entries({world.where(0)}, false, world.now());
  world.run_for(1min);
  EXPECT_EQ(find(world, 30, hash_of(1), announce()).peers.size(), 1U);
  EXPECT_EQ(shy.counts().replies_out, 0U);
  for (std::size_t i = 0; i < 30; ++i)
    EXPECT_FALSE(world.node(i).table().contains(world.where(30)));
}

TEST(DhtNetwork, ManyHashesAreLookedUpAFewAtATime) {
  World world({}, 12);
  world.grow(50);
  unsigned ended = 0;
  for (unsigned i = 0; i < 500; ++i) {
    Sha1Hash hash = hash_of(1);
    store_be(hash.data(), i * 0x01234567U);
    world.node(20).find_peers(
        hash, {}, {},
        [&](const SearchEnd& end) {
          ++ended;
          EXPECT_GE(end.answered, 4U);
        },
        world.now());
  }
  EXPECT_TRUE(world.run_until([&] { return ended == 500; }, 5min));
}

TEST(DhtNetwork, ACancelledSearchIsNeverHeardOfAgain) {
  World world({}, 13);
  world.grow(40);
  find(world, 3, hash_of(1), announce());
  for (Duration after = 0ms; after < 600ms; after += 50ms) {
    bool cancelled = false;
    Node& node = world.node(20);
    const auto search = node.find_peers(
        hash_of(1), {}, [&](const FoundPeers&) { EXPECT_FALSE(cancelled); },
        [&](const SearchEnd&) { EXPECT_FALSE(cancelled); }, world.now());
    world.run_for(after);
    node.cancel(search);
    cancelled = true;
    world.run_for(10s);
  }
}

}  // namespace
}  // namespace swarmfs::dht
