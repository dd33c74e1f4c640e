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
  EXPECT_FALSE(changes.look({kWire})) << "all that came to nothing";
  EXPECT_EQ(changes.deadline(), TimePoint::max());
  changes.on_news(now);
  EXPECT_EQ(changes.deadline(), now + NetworkChanges::kSettled) << "the next burst is another";
}

TEST(NetworkChanges, ACableThatIsPulledTakesNoAddressAwayAndBringsNewsWhenItIsBack) {
  NetworkChanges changes({kWire});
  EXPECT_FALSE(changes.look({kUnplugged}));
  const auto back = changes.look({kWire});
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->came);
  EXPECT_THAT(back->gone, testing::IsEmpty());
}

TEST(NetworkChanges, AnotherNetworkIsNewsAndTheOldAddressIsGone) {
  NetworkChanges changes({kWire});
  const auto moved = changes.look({kAir});
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->came);
  EXPECT_THAT(moved->gone, testing::ElementsAre(kWire.address));
}

TEST(NetworkChanges, AnAddressThatGoesIsToldAndAskedForNothing) {
  NetworkChanges changes({kWire, kAir});
  const auto less = changes.look({kAir});
  ASSERT_TRUE(less);
  EXPECT_FALSE(less->came);
  EXPECT_THAT(less->gone, testing::ElementsAre(kWire.address));
}

TEST(NetworkChanges, AnAddressThatMovesToAnotherInterfaceIsNotGone) {
  NetworkChanges changes({kWire});
  const auto moved = changes.look({{4, kWire.address, true}});
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->came);
  EXPECT_THAT(moved->gone, testing::IsEmpty());
}

}  // namespace
}  // namespace swarmfs::engine
