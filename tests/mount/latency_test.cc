#include "mount/latency.h"

#include <gtest/gtest.h>

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

TEST(Latency, CountsInPowersOfTwoAndSaysWhatAShareStayedUnder) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.snapshot().within_us(0.5), 0U);
  for (int i = 0; i < 90; ++i) histogram.record(100us);
  for (int i = 0; i < 9; ++i) histogram.record(3ms);
  histogram.record(2s);
  const Latencies l = histogram.snapshot();
  EXPECT_EQ(l.count(), 100U);
  EXPECT_EQ(l.buckets[7], 90U);
  EXPECT_EQ(l.within_us(0.5), 128U);
  EXPECT_EQ(l.within_us(0.9), 128U);
  EXPECT_EQ(l.within_us(0.99), 4096U);
  EXPECT_EQ(l.within_us(1), 1U << 21);
}

TEST(Latency, TakesWhateverComes) {
  LatencyHistogram histogram;
  histogram.record(0us);
  histogram.record(999h);
  const Latencies l = histogram.snapshot();
  EXPECT_EQ(l.buckets.front(), 1U);
  EXPECT_EQ(l.buckets.back(), 1U);
}

}  // namespace
}  // namespace swarmfs::mount
