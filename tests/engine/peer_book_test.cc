#include "swarm/engine/peer_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "swarm/engine/peer_priority.h"
#include "tests/engine/counting_new.h"
#include "tests/engine/dialled.h"

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const TimePoint kStart = TimePoint{} + 1h;

Endpoint ep(std::string_view text) { return Endpoint::parse(text).value(); }

PeerBookConfig unlimited() {
  PeerBookConfig config;
  config.dial_burst = 1'000'000;
  return config;
}

TEST(PeerBook, DialsEachAddressOnce) {
  PeerBook book({}, 1);
  EXPECT_TRUE(book.add(nth(1), PeerSource::tracker, kStart));
  EXPECT_TRUE(book.add(nth(1), PeerSource::dht, kStart));
  EXPECT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  EXPECT_TRUE(book.add(nth(1), PeerSource::user, kStart));
  EXPECT_EQ(book.next_dial(kStart, 0, 1), std::nullopt);
  book.on_connected(nth(1), kStart);
  EXPECT_TRUE(book.add(nth(1), PeerSource::pex, kStart + 1h));
  EXPECT_EQ(book.next_dial(kStart + 1h, 1, 0), std::nullopt);
  EXPECT_EQ(book.sizes().known, 1u);
}

TEST(PeerBook, DoesNotDialAPeerThatDialledUs) {
  PeerBook book({}, 1);
  EXPECT_TRUE(book.on_incoming(nth(1), kStart));
  EXPECT_EQ(book.next_dial(kStart, 1, 0), std::nullopt);
  book.on_closed(nth(1), kStart + 1min, CloseReason::lost);
  EXPECT_EQ(book.next_dial(kStart + 62s, 0, 0), nth(1));
}

TEST(PeerBook, WaitsForBothConnectionsWhenDialsCross) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  EXPECT_TRUE(book.on_incoming(nth(1), kStart));
  book.on_connected(nth(1), kStart);
  book.on_closed(nth(1), kStart + 1s, CloseReason::duplicate);
  EXPECT_EQ(book.next_dial(kStart + 1h, 1, 0), std::nullopt) << "the other one lives";
  book.on_closed(nth(1), kStart + 1h, CloseReason::lost);
  EXPECT_EQ(book.next_dial(kStart + 2h, 0, 0), nth(1));
}

TEST(PeerBook, KeepsAConnectionThatArrivedWhileItsDialFailed) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_incoming(nth(1), kStart);
  book.on_failed(nth(1), kStart + 1s);
  EXPECT_EQ(book.next_dial(kStart + 1h, 1, 0), std::nullopt);
  EXPECT_EQ(book.sizes().connected, 1u);
}

TEST(PeerBook, CountsNoFailureWhenThePeerReachedUsMeanwhile) {
  PeerBook book({}, 1);
  TimePoint now = kStart;
  book.add(nth(1), PeerSource::tracker, now);
  for (int i = 0; i < 10; ++i, now += 1h) {
    ASSERT_EQ(book.next_dial(now, 0, 0), nth(1));
    book.on_incoming(nth(1), now);
    book.on_failed(nth(1), now);
    book.on_closed(nth(1), now, CloseReason::useless);
  }
}

TEST(PeerBook, DialsABurstAndThenAtItsRate) {
  PeerBook book({}, 1);
  for (unsigned i = 0; i < 200; ++i) book.add(nth(i), PeerSource::tracker, kStart);
  EXPECT_THAT(dial_all(book, kStart), SizeIs(30));
  const auto next = book.deadline(0, 30);
  ASSERT_TRUE(next);
  EXPECT_GT(*next, kStart);
  EXPECT_LE(*next, kStart + 34ms);
  EXPECT_THAT(dial_all(book, *next - 1ns), IsEmpty());
  EXPECT_THAT(dial_all(book, *next), SizeIs(1));
  int dialled = 31;
  for (TimePoint now = kStart + 34ms; now <= kStart + 2s; now += 1ms)
    dialled += static_cast<int>(dial_all(book, now).size());
  EXPECT_EQ(dialled, 30 + 2 * 30);
}

TEST(PeerBook, RespectsTheLimitsOnConnections) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  for (const auto& [connected, half_open] :
       {std::pair{200u, 0u}, std::pair{300u, 0u}, std::pair{0u, 50u}, std::pair{180u, 20u}}) {
    EXPECT_EQ(book.deadline(connected, half_open), std::nullopt);
    EXPECT_EQ(book.next_dial(kStart, connected, half_open), std::nullopt);
  }
  EXPECT_EQ(book.next_dial(kStart, 180, 19), nth(1));
}

TEST(PeerBook, BacksOffAndGivesUp) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  TimePoint now = kStart;
  for (const Duration rest : {10s, 20s, 40s, 80s}) {
    ASSERT_EQ(book.next_dial(now, 0, 0), nth(1));
    book.heard(now);
    book.on_failed(nth(1), now);
    EXPECT_EQ(book.deadline(0, 0), now + rest);
    EXPECT_EQ(book.next_dial(now + rest - 1ns, 0, 0), std::nullopt);
    now += rest;
  }
  ASSERT_EQ(book.next_dial(now, 0, 0), nth(1));
  book.heard(now);
  book.on_failed(nth(1), now);
  EXPECT_EQ(book.deadline(0, 0), std::nullopt);
  EXPECT_EQ(book.sizes().given_up, 1u);
  book.add(nth(1), PeerSource::tracker, now + 1min);
  EXPECT_EQ(book.next_dial(now + 10h, 0, 0), std::nullopt) << "hearing of it again is no cause";
  book.add(nth(1), PeerSource::tracker, now + 31min);
  EXPECT_EQ(book.next_dial(now + 31min, 0, 0), nth(1)) << "but much later it is";
}

TEST(PeerBook, NeverForgetsAUsersPeerAndRetriesItQuickly) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::user, kStart);
  TimePoint now = kStart;
  for (const Duration rest : {1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s, 30s, 30s}) {
    ASSERT_EQ(book.next_dial(now, 0, 0), nth(1));
    book.on_failed(nth(1), now);
    ASSERT_EQ(book.deadline(0, 0), now + rest);
    now += rest;
  }
}

TEST(PeerBook, ReturnsSoonToAConnectionThatWasStable) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::pex, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_connected(nth(1), kStart);
  book.on_closed(nth(1), kStart + 30s, CloseReason::lost);
  EXPECT_EQ(book.deadline(0, 0), kStart + 31s);
}

TEST(PeerBook, TakesAConnectionThatClosedAtOnceForAFailure) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::pex, kStart);
  TimePoint now = kStart;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(book.next_dial(now, 0, 0), nth(1));
    book.on_connected(nth(1), now);
    book.on_closed(nth(1), now, i % 2 == 0 ? CloseReason::lost : CloseReason::misbehaved);
    now += 1h;
  }
  EXPECT_EQ(book.next_dial(now, 0, 0), std::nullopt);
}

TEST(PeerBook, TakesADialThatEndedInItsHandshakeForAFailure) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::pex, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_closed(nth(1), kStart, CloseReason::lost);
  EXPECT_EQ(book.deadline(0, 0), kStart + 10s);
}

TEST(PeerBook, LeavesUselessPeersAloneForAWhile) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_connected(nth(1), kStart);
  book.on_closed(nth(1), kStart, CloseReason::useless);
  EXPECT_EQ(book.deadline(0, 0), kStart + 10min);
}

TEST(PeerBook, NeverDialsItselfTwice) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::user, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_closed(nth(1), kStart, CloseReason::self);
  EXPECT_FALSE(book.add(nth(1), PeerSource::user, kStart));
  EXPECT_EQ(book.deadline(0, 0), std::nullopt);
}

TEST(PeerBook, ForgivesFailuresWhenTheNetworkReturns) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(book.next_dial(kStart + i * 1h, 0, 0), nth(1));
    book.heard(kStart + i * 1h);
    book.on_failed(nth(1), kStart + i * 1h);
  }
  EXPECT_EQ(book.deadline(0, 0), std::nullopt);
  book.forgive(kStart + 5h);
  EXPECT_EQ(book.next_dial(kStart + 5h, 0, 0), nth(1));
}

TEST(PeerBook, BansALiarForTheRunWhoeverNamedIt) {
  PeerBook book({}, 1);
  book.add(ep("5.5.5.5:1000"), PeerSource::user, kStart);
  book.add(ep("5.5.5.5:2000"), PeerSource::tracker, kStart);
  book.add(nth(1), PeerSource::tracker, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), ep("5.5.5.5:1000"));
  book.on_connected(ep("5.5.5.5:1000"), kStart);
  book.ban(ep("5.5.5.5:1").address, kStart);
  EXPECT_TRUE(book.refuses(ep("5.5.5.5:9").address));
  EXPECT_FALSE(book.refuses(nth(1).address));
  EXPECT_FALSE(book.add(ep("5.5.5.5:3000"), PeerSource::user, kStart));
  EXPECT_FALSE(book.on_incoming(ep("5.5.5.5:3000"), kStart));
  book.on_closed(ep("5.5.5.5:1000"), kStart, CloseReason::misbehaved);
  EXPECT_EQ(dial_all(book, kStart + 1h), std::vector{nth(1)});
  EXPECT_EQ(book.sizes().known, 1u);
}

TEST(PeerBook, BoundsTheListOfLiars) {
  PeerBook book({}, 1);
  for (unsigned i = 0; i < 10'010; ++i) book.ban(nth(i).address, kStart + i * 1s);
  EXPECT_EQ(book.sizes().banned, 10'000u);
  EXPECT_FALSE(book.refuses(nth(9).address));
  EXPECT_TRUE(book.refuses(nth(10).address));
}

TEST(PeerBook, LetsOnlyTheUserPointAtLocalAddresses) {
  for (const char* text : {"127.0.0.1:6881", "10.0.0.1:6881", "192.168.1.1:6881", "[::1]:6881",
                           "[fd00::1]:6881", "169.254.1.1:6881", "[::ffff:127.0.0.1]:6881"}) {
    PeerBook book({}, 1);
    for (const auto source : {PeerSource::tracker, PeerSource::pex, PeerSource::dht})
      EXPECT_FALSE(book.add(ep(text), source, kStart)) << text;
    for (const auto source :
         {PeerSource::user, PeerSource::magnet, PeerSource::lsd, PeerSource::incoming})
      EXPECT_TRUE(book.add(ep(text), source, kStart)) << text;
  }
  PeerBook book({}, 1);
  book.set_allow_local(true);
  EXPECT_TRUE(book.add(ep("10.0.0.1:6881"), PeerSource::tracker, kStart));
}

TEST(PeerBook, RefusesWhatIsNoAddressAndSystemPortsFromStrangers) {
  PeerBook book({}, 1);
  EXPECT_FALSE(book.add(ep("5.5.5.5:0"), PeerSource::user, kStart));
  EXPECT_FALSE(book.add(ep("0.0.0.0:6881"), PeerSource::user, kStart));
  for (const auto source : {PeerSource::pex, PeerSource::dht, PeerSource::incoming})
    EXPECT_FALSE(book.add(ep("5.5.5.5:1023"), source, kStart));
  EXPECT_TRUE(book.add(ep("5.5.5.5:1024"), PeerSource::pex, kStart));
  EXPECT_TRUE(book.add(ep("5.5.5.6:443"), PeerSource::tracker, kStart));
}

TEST(PeerBook, DoesNotLetStrangersAimAtManyPortsOfOneHost) {
  PeerBook book({}, 1);
  int taken = 0;
  for (std::uint16_t port = 2000; port < 3000; ++port)
    taken += book.add({ep("5.5.5.5:1").address, port}, PeerSource::pex, kStart);
  EXPECT_EQ(taken, 4);
  EXPECT_TRUE(book.add(ep("5.5.5.5:80"), PeerSource::user, kStart));
}

TEST(PeerBook, DialsInCanonicalOrderOnceOurAddressIsKnown) {
  PeerBook book(unlimited(), 1);
  const Endpoint us = ep("123.213.32.10:6881");
  std::vector<Endpoint> expected;
  for (unsigned i = 0; i < 100; ++i) {
    expected.push_back(nth(i * 7919));
    book.add(expected.back(), PeerSource::tracker, kStart);
    if (i == 50) book.set_external(us);
  }
  std::sort(expected.begin(), expected.end(), [&](const Endpoint& a, const Endpoint& b) {
    return peer_priority(us, a) != peer_priority(us, b)
               ? peer_priority(us, a) > peer_priority(us, b)
               : a < b;
  });
  EXPECT_EQ(dial_all(book, kStart), expected);
}

TEST(PeerBook, ShufflesWhileOurAddressIsUnknown) {
  PeerBook one(unlimited(), 1);
  PeerBook same(unlimited(), 1);
  PeerBook other(unlimited(), 2);
  for (PeerBook* book : {&one, &same, &other})
    for (unsigned i = 0; i < 50; ++i) book->add(nth(i), PeerSource::tracker, kStart);
  const auto order = dial_all(one, kStart);
  EXPECT_EQ(order, dial_all(same, kStart));
  EXPECT_NE(order, dial_all(other, kStart));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST(PeerBook, PrefersTheUsersThenTheUnfailedThenSeeds) {
  PeerBook book(unlimited(), 1);
  for (unsigned i = 0; i < 4; ++i) book.add(nth(i), PeerSource::tracker, kStart);
  dial_all(book, kStart);
  book.on_failed(nth(0), kStart);
  for (unsigned i = 1; i < 4; ++i) {
    book.on_connected(nth(i), kStart);
    book.on_closed(nth(i), kStart + 1min, CloseReason::lost);
  }
  book.set_seed(nth(0), true);
  book.set_seed(nth(2), true);
  book.add(nth(9), PeerSource::user, kStart);
  const auto order = dial_all(book, kStart + 1h);
  ASSERT_THAT(order, SizeIs(5));
  EXPECT_EQ(order[0], nth(9));
  EXPECT_EQ(order[1], nth(2));
  EXPECT_EQ(order[4], nth(0));
}

TEST(PeerBook, DialsNoSeedsWhileWeAreComplete) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  book.set_seed(nth(1), true);
  book.set_complete(true, kStart);
  EXPECT_EQ(book.deadline(0, 0), std::nullopt);
  EXPECT_EQ(book.next_dial(kStart, 0, 0), std::nullopt);
  book.set_complete(false, kStart);
  EXPECT_EQ(book.next_dial(kStart, 0, 0), nth(1));
}

TEST(PeerBook, WhoWasUselessWhileWeWereCompleteIsDialledWhenWeNoLongerAre) {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_connected(nth(1), kStart);
  book.set_seed(nth(1), true);
  book.set_complete(true, kStart);
  book.on_closed(nth(1), kStart, CloseReason::useless);
  EXPECT_EQ(book.next_dial(kStart + 1min, 0, 0), std::nullopt);
  book.set_complete(false, kStart + 1min);
  EXPECT_EQ(book.next_dial(kStart + 1min + 1s, 0, 0), nth(1));
}

TEST(PeerBook, StaysWithinItsSizeAndPrefersBetterSources) {
  PeerBookConfig config;
  config.max_peers = 100;
  PeerBook book(config, 1);
  book.add(nth(1), PeerSource::user, kStart);
  for (unsigned i = 0; i < 1000; ++i) book.add(nth(1000 + i), PeerSource::pex, kStart);
  EXPECT_EQ(book.sizes().known, 100u);
  EXPECT_FALSE(book.add(nth(2), PeerSource::pex, kStart)) << "an untried one keeps its place";
  for (unsigned i = 0; i < 99; ++i)
    EXPECT_TRUE(book.add(nth(5000 + i), PeerSource::tracker, kStart)) << i;
  EXPECT_FALSE(book.add(nth(6000), PeerSource::tracker, kStart));
  EXPECT_FALSE(book.add(nth(6000), PeerSource::pex, kStart));
  EXPECT_EQ(book.next_dial(kStart, 0, 0), nth(1)) << "the user's is never forgotten";
  EXPECT_EQ(book.sizes().known, 100u);
}

TEST(PeerBook, MakesRoomByForgettingFailures) {
  PeerBookConfig config = unlimited();
  config.max_peers = 10;
  PeerBook book(config, 1);
  for (unsigned i = 0; i < 10; ++i) book.add(nth(i), PeerSource::pex, kStart);
  dial_all(book, kStart);
  EXPECT_FALSE(book.add(nth(50), PeerSource::tracker, kStart)) << "those in use are not forgotten";
  book.on_failed(nth(3), kStart);
  EXPECT_TRUE(book.add(nth(50), PeerSource::pex, kStart));
  EXPECT_EQ(book.next_dial(kStart + 10s, 0, 0), nth(50));
  EXPECT_EQ(book.next_dial(kStart + 1h, 0, 0), std::nullopt) << "3 is gone";
}

TEST(PeerBook, ForgetsNoUsersPeerForAnother) {
  PeerBookConfig config;
  config.max_peers = 1;
  PeerBook book(config, 1);
  book.add(nth(1), PeerSource::user, kStart);
  ASSERT_EQ(book.next_dial(kStart, 0, 0), nth(1));
  book.on_failed(nth(1), kStart);
  EXPECT_FALSE(book.add(nth(2), PeerSource::user, kStart));
  EXPECT_EQ(book.next_dial(kStart + 1s, 0, 0), nth(1));
}

TEST(PeerBook, HoldsTenThousandPeersInTwoMebibytes) {
  PeerBookConfig config;
  config.max_peers = 10'000;
  PeerBook book(config, 1);
  const std::size_t before = bytes_allocated();
  for (unsigned i = 0; i < 10'100; ++i) book.add(nth(i), PeerSource::tracker, kStart);
  const std::size_t used = bytes_allocated() - before;
  EXPECT_EQ(book.sizes().known, 10'000u);
  EXPECT_GT(used, 10'000u * sizeof(Endpoint));
  EXPECT_LE(used, 2u << 20);
}

/// What a test knows of one address: enough to judge each dial.
struct Seen {
  bool dialing = false;
  unsigned connections = 0;
  unsigned failures = 0;
  TimePoint not_before{};
  bool user = false;
};

void live(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng dice(seed);
  const auto roll = [&dice](unsigned sides) { return static_cast<unsigned>(dice() % sides); };
  PeerBookConfig config;
  config.max_peers = 40;
  config.max_connections = 12;
  config.max_half_open = 6;
  config.dials_per_second = 5;
  config.dial_burst = 4;
  PeerBook book(config, seed);
  std::map<Endpoint, Seen> seen;
  std::vector<TimePoint> dials;
  unsigned connected = 0;
  unsigned half_open = 0;
  TimePoint now = kStart;
  // One that had failed and is here again may show that our line was down: then nobody rests on.
  const auto is_back = [&](const Seen& one) {
    if (one.failures == 0) return;
    for (auto& [known, x] : seen) x.not_before = std::min(x.not_before, now);
  };
  for (int step = 0; step < 3000; ++step) {
    now += std::chrono::milliseconds(roll(2000));
    const unsigned event = roll(8);
    Endpoint endpoint = nth(roll(80));
    if (event >= 3 && event <= 5) {
      // Something happens to one that is dialled, or to one that is connected.
      std::vector<Endpoint> active;
      for (const auto& [known, x] : seen)
        if (event == 5 ? x.connections > 0 : x.dialing) active.push_back(known);
      if (!active.empty()) endpoint = active[roll(static_cast<unsigned>(active.size()))];
    }
    Seen& s = seen[endpoint];
    switch (event) {
      case 0:
      case 1: {
        const auto source = endpoint.address.bytes()[3] < 3 ? PeerSource::user
                                                            : static_cast<PeerSource>(1 + roll(6));
        const bool taken = book.add(endpoint, source, now);
        if (taken && source == PeerSource::user) {
          s.user = true;
          s.failures = 0;
          s.not_before = now;
        }
        break;
      }
      case 2:
        if (connected == 12 || !book.on_incoming(endpoint, now)) break;
        ++s.connections, ++connected;
        is_back(s);
        break;
      case 3:
        if (!s.dialing) break;
        s.dialing = false;
        --half_open;
        ++s.connections, ++connected;
        book.on_connected(endpoint, now);
        is_back(s);
        break;
      case 4:
        if (!s.dialing) break;
        s.dialing = false;
        --half_open;
        book.on_failed(endpoint, now);
        if (s.connections > 0 || book.refuses(endpoint.address)) break;
        ++s.failures;
        s.not_before = now + (s.user ? 1s : 10s);
        break;
      case 5:
        if (s.connections == 0) break;
        --s.connections, --connected;
        book.on_closed(endpoint, now, static_cast<CloseReason>(roll(4)));
        s.not_before = now + 1s;
        break;
      case 6:
        book.set_seed(endpoint, roll(2) == 0);
        break;
      case 7:
        if (roll(200) == 0) book.ban(endpoint.address, now);
        if (roll(50) == 0) book.set_complete(roll(4) == 0, now);
        break;
    }
    const auto due = book.deadline(connected, half_open);
    const auto dialled = book.next_dial(now, connected, half_open);
    ASSERT_EQ(dialled.has_value(), due && *due <= now) << "deadline() and next_dial() disagree";
    if (dialled) {
      Seen& d = seen[*dialled];
      ASSERT_FALSE(d.dialing) << "dialled twice";
      ASSERT_EQ(d.connections, 0u) << "connected already";
      // An address may be forgotten and told anew, so only rests of the user's peers are certain.
      ASSERT_TRUE(!d.user || now >= d.not_before);
      ASSERT_FALSE(book.refuses(dialled->address));
      ASSERT_LT(half_open, 6u);
      ASSERT_LT(connected + half_open, 12u);
      d.dialing = true;
      ++half_open;
      dials.push_back(now);
      // At most the burst and what the rate brings, over any stretch.
      const std::size_t n = dials.size();
      ASSERT_TRUE(n < 10 || now - dials[n - 10] >= 1s);
    }
    ASSERT_LE(book.sizes().known, 40u);
    ASSERT_EQ(book.sizes().dialing, half_open);
  }
  EXPECT_GT(dials.size(), 50u);
}

TEST(PeerBook, KeepsItsRulesInRandomLives) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) live(seed);
}

}  // namespace
}  // namespace swarmfs::engine
