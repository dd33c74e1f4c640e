#include "swarm/engine/network_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart = TimePoint{} + 1h;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

const HostAddress kWire{2, ip("192.0.2.7"), true};
const HostAddress kUnplugged{2, ip("192.0.2.7"), false};
const HostAddress kAir{3, ip("198.51.100.9"), true};

TEST(NetworkChanges, LooksOnceABurstHasSettledOrHasLastedLong) {
  NetworkChanges changes({kWire});
  EXPECT_EQ(changes.deadline(), TimePoint::max());
  changes.on_news(kStart);
  EXPECT_EQ(changes.deadline(), kStart + NetworkChanges::kSettled);
  TimePoint now = kStart;
  for (; now < kStart + 10s && changes.deadline() > now; now += 100ms) changes.on_news(now);
  EXPECT_EQ(changes.deadline(), kStart + NetworkChanges::kPatience);
  EXPECT_FALSE(changes.look({kWire}, now)) << "all that came to nothing";
  EXPECT_EQ(changes.deadline(), TimePoint::max());
  changes.on_news(now);
  EXPECT_EQ(changes.deadline(), now + NetworkChanges::kSettled) << "the next burst is another";
}

TEST(NetworkChanges, ACableThatIsPulledTakesNoAddressAwayAndBringsNewsWhenItIsBack) {
  NetworkChanges changes({kWire});
  EXPECT_FALSE(changes.look({kUnplugged}, kStart));
  const auto back = changes.look({kWire}, kStart + 1s);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->came);
  EXPECT_THAT(back->gone, testing::IsEmpty());
}

TEST(NetworkChanges, AnotherNetworkIsNewsAndTheOldAddressIsGone) {
  NetworkChanges changes({kWire});
  const auto moved = changes.look({kAir}, kStart);
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->came);
  EXPECT_THAT(moved->gone, testing::ElementsAre(kWire.address));
}

TEST(NetworkChanges, AnAddressThatGoesIsToldAndAskedForNothing) {
  NetworkChanges changes({kWire, kAir});
  const auto less = changes.look({kAir}, kStart);
  ASSERT_TRUE(less);
  EXPECT_FALSE(less->came);
  EXPECT_THAT(less->gone, testing::ElementsAre(kWire.address));
}

TEST(NetworkChanges, WhatComesAgainAndAgainIsToldOnceAMinute) {
  NetworkChanges changes({kWire});
  unsigned came = 0, gone = 0;
  TimePoint now = kStart;
  for (int i = 0; i < 600; ++i, now += 1s) {
    const auto change =
        changes.look(i % 2 == 0 ? std::vector{kWire, kAir} : std::vector{kWire}, now);
    came += change && change->came;
    gone += change && !change->gone.empty();
  }
  EXPECT_EQ(came, 10u);
  EXPECT_EQ(gone, 300u) << "dead connections are dead at once";
  // The last that came is told when the minute is over, though nothing is new then.
  ASSERT_NE(changes.deadline(), TimePoint::max());
  const auto late = changes.look({kWire}, changes.deadline());
  EXPECT_TRUE(late && late->came);
  EXPECT_EQ(changes.deadline(), TimePoint::max());
}

TEST(NetworkChanges, AnAddressThatMovesToAnotherInterfaceIsNotGone) {
  NetworkChanges changes({kWire});
  const auto moved = changes.look({{4, kWire.address, true}}, kStart);
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->came);
  EXPECT_THAT(moved->gone, testing::IsEmpty());
}

}  // namespace
}  // namespace swarmfs::engine
