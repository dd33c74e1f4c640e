#include "swarm/net/unsent_bound.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;

/// A kernel that takes as much as has left: runs for `time` at `bps`, with always more to send.
void run(UnsentBound& bound, double bps, Duration time, TimePoint& now) {
  const TimePoint end = now + time;
  double room = 0;
  for (; now < end; now += 1ms) {
    room = std::min(room + bps / 1000, static_cast<double>(bound.bytes()));
    const auto taken = static_cast<std::size_t>(room);
    room -= static_cast<double>(taken);
    bound.on_write(taken, false, now);
  }
}

TEST(UnsentBound, IsWhatLeavesInFiftyMilliseconds) {
  for (const auto& [bps, bytes] : {std::pair{30e3, 4u << 10}, std::pair{125e3, 8u << 10},
                                   std::pair{1e6, 64u << 10}, std::pair{12e6, 128u << 10}}) {
    UnsentBound bound;
    TimePoint now{1h};
    run(bound, bps, 2s, now);
    EXPECT_EQ(bound.bytes(), bytes) << bps;
  }
}

TEST(UnsentBound, FollowsALineThatChanges) {
  UnsentBound bound;
  TimePoint now{1h};
  run(bound, 12e6, 1s, now);
  EXPECT_EQ(bound.bytes(), UnsentBound::kMost);
  run(bound, 30e3, 1s, now);
  EXPECT_EQ(bound.bytes(), UnsentBound::kLeast);
  run(bound, 12e6, 2s, now);
  EXPECT_EQ(bound.bytes(), UnsentBound::kMost) << "also from the least";
}

TEST(UnsentBound, LearnsNothingFromWhoHasLittleToSay) {
  UnsentBound bound;
  const std::size_t before = bound.bytes();
  TimePoint now{1h};
  for (int i = 0; i < 1000; ++i, now += 10ms) EXPECT_FALSE(bound.on_write(17, true, now));
  // Now and then the kernel is full for a moment.
  for (int i = 0; i < 1000; ++i, now += 10ms) EXPECT_FALSE(bound.on_write(17, i % 2 == 0, now));
  EXPECT_EQ(bound.bytes(), before);
}

TEST(UnsentBound, DoesNotWaverBetweenTwoSizes) {
  UnsentBound bound;
  TimePoint now{1h};
  run(bound, 645e3, 1s, now);  // 32 KiB in 50.8 ms
  unsigned changes = 0;
  for (int i = 0; i < 100; ++i) {
    const std::size_t before = bound.bytes();
    run(bound, i % 2 == 0 ? 620e3 : 670e3, 200ms, now);
    changes += bound.bytes() != before;
  }
  EXPECT_LE(changes, 1u);
}

}  // namespace
}  // namespace swarmfs::net
