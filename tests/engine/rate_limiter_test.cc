// A rate that is kept to, shared fairly, and low enough to starve nobody.
#include "swarm/engine/rate_limiter.h"

#include <gtest/gtest.h>

#include <map>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kBlock = 16 << 10;

struct Line {
  RateLimiter limiter;
  TimePoint now = TimePoint{} + 1h;
  std::map<RateLimiter::Member, std::uint64_t> taken;

  explicit Line(std::uint64_t bps, bool reads_exempt = true) {
    limiter.set_rate(bps, reads_exempt, now);
  }
  /// The members take blocks whenever they may, each no faster than its own rate if it has one.
  void run(Duration time, std::map<RateLimiter::Member, double> members) {
    const TimePoint begun = now;
    const auto before = taken;
    for (; now < begun + time; now += 1ms)
      for (const auto& [member, bps] : members)
        while ((bps == 0 || static_cast<double>(taken[member] - before_of(before, member)) <
                                bps * to_seconds(now - begun)) &&
               limiter.may_take(member, false, now)) {
          limiter.take(member, kBlock, now);
          taken[member] += kBlock;
        }
  }
  static std::uint64_t before_of(const std::map<RateLimiter::Member, std::uint64_t>& taken,
                                 RateLimiter::Member member) {
    const auto it = taken.find(member);
    return it == taken.end() ? 0 : it->second;
  }
};

TEST(RateLimiter, KeepsToTheRateFromTheFirstSecondOn) {
  for (const std::uint64_t bps : {100'000ULL, 2'000'000ULL, 50'000'000ULL}) {
    Line line(bps);
    const auto me = line.limiter.join();
    line.run(5s, {{me, 0}});
    EXPECT_NEAR(static_cast<double>(line.taken[me]), 5.0 * static_cast<double>(bps),
                0.05 * 5.0 * static_cast<double>(bps))
        << bps;
  }
}

TEST(RateLimiter, SavesUpNoMoreThanAFifthOfASecond) {
  Line line(1'000'000);
  const auto me = line.limiter.join();
  line.run(1s, {{me, 0}});
  line.now += 1h;
  std::uint64_t at_once = 0;
  for (; line.limiter.may_take(me, false, line.now); at_once += kBlock)
    line.limiter.take(me, kBlock, line.now);
  EXPECT_GT(at_once, 0U);
  EXPECT_LE(at_once, 200'000U);
}

TEST(RateLimiter, ALowRateStillLetsWholeBlocksThrough) {
  Line line(1024);
  const auto me = line.limiter.join();
  line.run(160s, {{me, 0}});
  EXPECT_GE(line.taken[me], 9 * kBlock);
  EXPECT_LE(line.taken[me], 11 * kBlock);
  ASSERT_FALSE(line.limiter.may_take(me, false, line.now));
  EXPECT_GE(line.limiter.next(me, line.now) - line.now, RateLimiter::kShortestWait);
  EXPECT_LE(line.limiter.next(me, line.now) - line.now, RateLimiter::kLongestWait);
}

TEST(RateLimiter, WhoWaitsUntilItIsToldToLosesNothing) {
  Line line(2'000'000);
  const auto me = line.limiter.join();
  const TimePoint begun = line.now;
  std::uint64_t taken = 0;
  unsigned waits = 0;
  while (line.now < begun + 5s) {
    for (; line.limiter.may_take(me, false, line.now); taken += kBlock)
      line.limiter.take(me, kBlock, line.now);
    line.now = line.limiter.next(me, line.now);
    ++waits;
  }
  EXPECT_NEAR(static_cast<double>(taken), 10e6, 0.05 * 10e6);
  EXPECT_LE(waits, 510U) << "it came back for every block";
}

TEST(RateLimiter, MembersThatWantMoreThanThereIsShareAlike) {
  Line line(3'000'000);
  const auto a = line.limiter.join(), b = line.limiter.join(), c = line.limiter.join();
  line.run(5s, {{a, 0}, {b, 0}, {c, 0}});
  for (const auto member : {a, b, c})
    EXPECT_NEAR(static_cast<double>(line.taken[member]), 5e6, 0.05 * 5e6) << member;
}

TEST(RateLimiter, WhatOneDoesNotUseTheOthersGet) {
  Line line(3'000'000);
  const auto a = line.limiter.join(), b = line.limiter.join(), c = line.limiter.join();
  line.run(5s, {{a, 0}, {b, 500'000}, {c, 0}});
  EXPECT_NEAR(static_cast<double>(line.taken[b]), 2.5e6, 0.05 * 2.5e6);
  EXPECT_NEAR(static_cast<double>(line.taken[a]), 6.25e6, 0.05 * 6.25e6);
  EXPECT_NEAR(static_cast<double>(line.taken[c]), 6.25e6, 0.05 * 6.25e6);
}

TEST(RateLimiter, AnIdleMemberHasNoShareAndHasItsOwnAgainAtOnce) {
  Line line(2'000'000);
  const auto a = line.limiter.join(), b = line.limiter.join();
  line.run(5s, {{a, 0}, {b, 0}});
  const auto both = line.taken;
  line.run(5s, {{a, 0}});
  EXPECT_NEAR(static_cast<double>(line.taken[a] - both.at(a)), 10e6, 0.07 * 10e6);
  const auto alone = line.taken;
  line.run(5s, {{a, 0}, {b, 0}});
  EXPECT_NEAR(static_cast<double>(line.taken[b] - alone.at(b)), 5e6, 0.05 * 5e6);
}

TEST(RateLimiter, ReadersTakeWhatTheyNeedAndTheRestGivesWay) {
  Line line(1'000'000);
  const auto reading = line.limiter.join(), other = line.limiter.join();
  std::uint64_t read = 0;
  for (int i = 0; i < 500; ++i) {  // 0.8 MB/s for 5 s
    ASSERT_TRUE(line.limiter.may_take(reading, true, line.now));
    if (i % 2 == 0) {
      line.limiter.take(reading, kBlock, line.now);
      read += kBlock;
    }
    line.run(10ms, {{other, 0}});
  }
  EXPECT_NEAR(static_cast<double>(read + line.taken[other]), 5e6, 0.07 * 5e6);
}

TEST(RateLimiter, ADebtOfReadersIsForgottenBeyondASecond) {
  Line line(1'000'000);
  const auto me = line.limiter.join();
  line.limiter.take(me, 100'000'000, line.now);
  EXPECT_FALSE(line.limiter.may_take(me, false, line.now));
  line.run(3s, {{me, 0}});
  EXPECT_NEAR(static_cast<double>(line.taken[me]), 2e6, 0.1 * 2e6);
}

TEST(RateLimiter, ReadersWaitAsWellIfTheyAreNotExempt) {
  Line line(16'384, false);
  const auto me = line.limiter.join();
  line.run(500ms, {{me, 0}});
  EXPECT_FALSE(line.limiter.may_take(me, true, line.now));
}

TEST(RateLimiter, WhatIsGivenBackCanBeTakenAgain) {
  Line line(1'000'000);
  const auto me = line.limiter.join();
  line.now += 1s;
  for (int i = 0; i < 1000; ++i) {
    if (!line.limiter.may_take(me, false, line.now)) break;
    line.limiter.take(me, kBlock, line.now);
  }
  ASSERT_FALSE(line.limiter.may_take(me, false, line.now));
  line.limiter.give_back(me, kBlock, line.now);
  EXPECT_TRUE(line.limiter.may_take(me, false, line.now));
}

TEST(RateLimiter, WithoutALimitAllPasses) {
  Line line(0);
  const auto me = line.limiter.join();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(line.limiter.may_take(me, false, line.now));
    line.limiter.take(me, 1 << 30, line.now);
  }
}

TEST(RateGate, TheLowerOfBothLimitsCounts) {
  TimePoint now = TimePoint{} + 1h;
  const auto common = std::make_shared<CommonLimits>();
  common->set({1'000'000, 0}, now);
  RateGate gate(std::shared_ptr<RateLimiter>(common, &common->down));
  const auto taken_in = [&](Duration time) {
    double bytes = 0;
    for (const TimePoint end = now + time; now < end; now = std::max(now + 1ms, gate.next(now)))
      for (; gate.open(false, now); bytes += kBlock) gate.take(kBlock, now);
    return bytes;
  };
  EXPECT_NEAR(taken_in(5s), 5e6, 0.05 * 5e6);
  gate.own().set_rate(200'000, true, now);
  EXPECT_NEAR(taken_in(5s), 1e6, 0.05 * 1e6);
  common->set({100'000, 0}, now);
  EXPECT_NEAR(taken_in(5s), 0.5e6, 0.06 * 0.5e6);
}

}  // namespace
}  // namespace swarmfs::engine
