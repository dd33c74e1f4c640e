#include "swarm/utp/congestion.h"

#include <gtest/gtest.h>

namespace swarmfs::utp {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPacket = 1380;

/// A round trip in which everything under way arrives.
void round_trip(Congestion& congestion, Duration queueing, TimePoint& now, bool limited = true) {
  now += 50ms;
  for (std::size_t left = congestion.window() / kPacket + 1; left > 0; --left)
    congestion.on_ack(kPacket, queueing, 50ms + queueing, limited, now);
}

TEST(UtpCongestion, DoublesUntilTheQueueGrows) {
  Congestion congestion(kPacket);
  TimePoint now{};
  const std::size_t first = congestion.window();
  round_trip(congestion, 0ms, now);
  EXPECT_GE(congestion.window(), 2 * first);
  for (int i = 0; i < 4; ++i) congestion.on_ack(kPacket, 30ms, 80ms, true, now);
  EXPECT_FALSE(congestion.in_slow_start());
}

TEST(UtpCongestion, GivesWayToAQueueThatOthersFill) {
  Congestion congestion(kPacket);
  TimePoint now{};
  for (int i = 0; i < 5; ++i) round_trip(congestion, 0ms, now);
  for (int i = 0; i < 40; ++i) round_trip(congestion, 2 * Congestion::kTarget, now);
  EXPECT_EQ(congestion.window(), kPacket);
}

TEST(UtpCongestion, DoesNotGrowUnused) {
  Congestion congestion(kPacket);
  TimePoint now{};
  const std::size_t first = congestion.window();
  for (int i = 0; i < 10; ++i) round_trip(congestion, 0ms, now, false);
  EXPECT_EQ(congestion.window(), first);
}

TEST(UtpCongestion, PaysMoreForALossWithAFullQueue) {
  for (const Duration queueing : {Duration(0ms), Duration(35ms)}) {
    Congestion congestion(kPacket);
    TimePoint now{};
    for (int i = 0; i < 4; ++i) round_trip(congestion, 0ms, now);
    for (int i = 0; i < 4; ++i) congestion.on_ack(0, queueing, 50ms, false, now);
    const auto before = static_cast<double>(congestion.window());
    congestion.on_loss(now);
    const double left = static_cast<double>(congestion.window()) / before;
    EXPECT_NEAR(left, queueing > 0ms ? 0.5 : 0.85, 0.01);
  }
}

void wait(Congestion& congestion, Duration queueing, TimePoint now) {
  for (int i = 0; i < 4; ++i) congestion.on_ack(0, queueing, 50ms, false, now);
}

TEST(UtpCongestion, TakesAPartOfAQueueTooShortForTheTarget) {
  Congestion congestion(kPacket);
  TimePoint now{};
  wait(congestion, 20ms, now);
  congestion.on_loss(now);
  EXPECT_EQ(congestion.target(), 5ms);
  wait(congestion, 6ms, now);
  congestion.on_loss(now);  // as a line loses them: the queue is what it was
  EXPECT_EQ(congestion.target(), 5ms);
  for (int i = 0; i < 6; ++i) wait(congestion, 16ms, now += 30s);  // another keeps it full
  EXPECT_EQ(congestion.target(), 5ms);
  wait(congestion, 14ms, now += 41s);
  EXPECT_EQ(congestion.target(), Congestion::kTarget);
}

TEST(UtpCongestion, LearnsNothingOfTheQueueFromLossesWithoutAWait) {
  Congestion congestion(kPacket);
  for (const Duration queueing : {Duration(0ms), Duration(5ms), Duration(300ms)}) {
    wait(congestion, queueing, {});
    congestion.on_loss({});
    EXPECT_EQ(congestion.target(), Congestion::kTarget);
  }
}

TEST(UtpCongestion, NeverFallsBelowAPacket) {
  Congestion congestion(kPacket);
  const TimePoint now{};
  for (int i = 0; i < 100; ++i) congestion.on_loss(now);
  EXPECT_EQ(congestion.window(), kPacket);
  congestion.on_timeout();
  EXPECT_EQ(congestion.window(), kPacket);
}

}  // namespace
}  // namespace swarmfs::utp
