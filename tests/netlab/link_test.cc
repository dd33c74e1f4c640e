#include "tests/netlab/switch/link.h"

#include <gtest/gtest.h>

#include "tests/netlab/frames.h"

namespace swarmfs::netlab {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart = TimePoint{} + 1h;

Link link(BitsPerSecond rate, QueueLimit limit = Duration(1s)) {
  Link made;
  made.configure(rate, limit, kStart);
  return made;
}

TEST(NetlabLink, SendsOneBehindTheOtherAtItsRate) {
  Link slow = link(8'000'000);  // 1 byte a microsecond
  EXPECT_EQ(slow.next(), kNever);
  slow.push(small_frame(1000), kStart);
  slow.push(small_frame(500), kStart + 100us);
  EXPECT_EQ(slow.next(), kStart + 1000us);
  slow.pop();
  EXPECT_EQ(slow.next(), kStart + 1500us);
  slow.pop();
  EXPECT_EQ(slow.next(), kNever);
  slow.push(small_frame(100), kStart + 5ms);  // after a pause, from then
  EXPECT_EQ(slow.next(), kStart + 5ms + 100us);
}

TEST(NetlabLink, ALateCallerDoesNotMakeItSlow) {
  Link slow = link(8'000'000);
  for (int i = 0; i < 10; ++i) slow.push(small_frame(1000), kStart);
  TimePoint left = kStart;
  for (; slow.next() != kNever; slow.pop()) left = slow.next();
  EXPECT_EQ(left, kStart + 10ms);
}

TEST(NetlabLink, TakesNoTimeWhenUnlimited) {
  Link fast = link(kUnlimited, Duration(0));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(fast.push(tcp_frame(60'000), kStart), 0u);
  for (; fast.next() != kNever; fast.pop()) EXPECT_EQ(fast.next(), kStart);
}

TEST(NetlabLink, DropsAtTheTailWhatDoesNotFitInTime) {
  Link slow = link(8'000'000, Duration(10ms));  // 10,000 bytes
  std::uint64_t dropped = 0;
  for (int i = 0; i < 20; ++i) dropped += slow.push(small_frame(1000), kStart);
  EXPECT_EQ(dropped, 9u);  // one is being sent, ten wait
  EXPECT_EQ(slow.waiting_bytes(), 10'000u);
  slow.pop();
  EXPECT_EQ(slow.push(small_frame(1000), kStart + 1ms), 0u);
  EXPECT_EQ(slow.push(small_frame(1000), kStart + 1ms), 1u);
}

TEST(NetlabLink, DropsAtTheTailWhatDoesNotFitInBytes) {
  Link slow = link(8'000'000, std::uint64_t{5000});
  std::uint64_t dropped = 0;
  for (int i = 0; i < 20; ++i) dropped += slow.push(small_frame(1000), kStart);
  EXPECT_EQ(dropped, 14u);
}

TEST(NetlabLink, HoldsTwoPacketsHoweverShortTheQueue) {
  Link slow = link(8'000, Duration(0));
  std::uint64_t dropped = 0;
  for (int i = 0; i < 5; ++i) dropped += slow.push(small_frame(1514), kStart);
  EXPECT_EQ(dropped, 2u);
}

TEST(NetlabLink, OfASuperFrameTheFirstPacketsThatFitAreTaken) {
  Link fast = link(1'000'000'000, std::uint64_t{3 * (1000 + kHeaders4) + 10});
  fast.push(small_frame(60), kStart);
  EXPECT_EQ(fast.push(tcp_frame(5000, 1000), kStart), 2u);
  fast.pop();
  const Frame taken = fast.pop();
  EXPECT_EQ(shape_of(taken).packets, 3u);
  EXPECT_EQ(taken.bytes.size(), 3000 + kHeaders4);
}

TEST(NetlabLink, CountsASuperFrameAsTheBytesOfItsPackets) {
  Link slow = link(8'000'000);
  slow.push(tcp_frame(5000, 1000), kStart);
  EXPECT_EQ(slow.next(), kStart + 1us * (5 * (1000 + kHeaders4)));
}

TEST(NetlabLink, LosesEverythingWhenItDies) {
  Link slow = link(8'000'000);
  slow.push(small_frame(1000), kStart);
  slow.push(tcp_frame(5000, 1000), kStart);
  EXPECT_EQ(slow.configure(0, Duration(1s), kStart), 6u);
  EXPECT_EQ(slow.next(), kNever);
  EXPECT_EQ(slow.push(tcp_frame(2000, 1000), kStart), 2u);
  slow.configure(8'000'000, Duration(1s), kStart + 1s);
  EXPECT_EQ(slow.push(small_frame(1000), kStart + 1s), 0u);
  EXPECT_EQ(slow.next(), kStart + 1s + 1ms);
}

TEST(NetlabLink, GoesOnAtTheNewRateFromWhereItIs) {
  Link slow = link(8'000'000);
  slow.push(small_frame(1000), kStart);
  slow.push(small_frame(1000), kStart);
  slow.configure(4'000'000, Duration(1s), kStart + 400us);  // 600 bytes are left
  EXPECT_EQ(slow.next(), kStart + 400us + 1200us);
  slow.pop();
  EXPECT_EQ(slow.next(), kStart + 1600us + 2000us);
  slow.configure(kUnlimited, Duration(1s), kStart + 2000us);
  EXPECT_EQ(slow.next(), kStart + 2000us);
}

TEST(NetlabLink, OnlyFastLinksSendBursts) {
  EXPECT_EQ(link(1'000'000).burst(1514), 1u);
  EXPECT_EQ(link(100'000'000).burst(1514), 1u);
  EXPECT_EQ(link(200'000'000).burst(1514), 2u);
  EXPECT_EQ(link(1'000'000'000).burst(1514), 10u);
  EXPECT_GT(link(kUnlimited).burst(1514), 1000u);
}

}  // namespace
}  // namespace swarmfs::netlab
