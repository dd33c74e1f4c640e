#include "swarm/net/receive_pauses.h"

#include <gtest/gtest.h>

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;

/// A socket that gets datagrams at a steady rate: how often its reader is woken, and how long the
/// datagrams lie there.
struct Link {
  ReceivePauses pauses;
  TimePoint now{100s};
  std::size_t wakes = 0, most_at_once = 0;
  Duration longest{};

  void run(double per_second, Duration time) {
    const Duration apart = from_seconds(1 / per_second);
    const TimePoint end = now + time;
    TimePoint next = now + apart;
    while (next < end) {
      now = std::max(now, next);  // woken by the first
      for (;;) {
        std::size_t taken = 0;
        if (next <= now && next < end) longest = std::max(longest, now - next);
        for (; next <= now && next < end; next += apart) ++taken;
        ++wakes;
        most_at_once = std::max(most_at_once, taken);
        const Duration pause = pauses.after(taken, now);
        if (pause == Duration{}) break;
        now += pause;
      }
    }
    now = end;
  }
};

TEST(ReceivePauses, NeverRestOnALinkThatIsQuiet) {
  Link link;
  link.run(1000, 1s);
  EXPECT_GE(link.wakes, 999U);
  EXPECT_EQ(link.longest, Duration{});
}

TEST(ReceivePauses, TakeSixteenOfAStreamAtOnce) {
  Link link;
  link.run(8600, 1s);  // 100 Mbit/s
  EXPECT_LE(link.wakes, 600U);
  EXPECT_LE(link.longest, ReceivePauses::kLongest);
}

TEST(ReceivePauses, NeverLetMoreComeThanTheSmallestBufferHolds) {
  Link link;
  for (const double rate : {50e3, 90e3, 150e3, 500e3}) link.run(rate, 1s);
  EXPECT_LE(link.most_at_once, 90U);  // 208 KiB of packets as the kernel counts them
}

TEST(ReceivePauses, ForgetAStreamThatHasEnded) {
  Link link;
  link.run(8600, 1s);
  link.now += 10ms;
  link.longest = {};
  link.wakes = 0;
  link.run(500, 100ms);
  EXPECT_EQ(link.longest, Duration{});
  EXPECT_GE(link.wakes, 49U);
}

}  // namespace
}  // namespace swarmfs::net
