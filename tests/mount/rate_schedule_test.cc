#include "mount/rate_schedule.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace swarmfs::mount {
namespace {

constexpr std::uint64_t kMega = 1 << 20;
enum Day : unsigned { mon, tue, wed, thu, fri, sat, sun };

LocalMoment at(unsigned day, unsigned hour, unsigned minute = 0) {
  return {day, hour * 60 + minute, 0};
}

RateRule rule(std::string_view text) {
  auto parsed = RateRule::parse(text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : RateRule{};
}

TEST(RateRule, HoldsFromItsBeginUntilBeforeItsEnd) {
  const RateRule work = rule("08:30-17:00=1M/500K");
  EXPECT_EQ(work.down_bps, kMega);
  EXPECT_EQ(work.up_bps, 500U << 10);
  for (unsigned day = mon; day <= sun; ++day) {
    EXPECT_FALSE(work.holds(at(day, 8, 29)));
    EXPECT_TRUE(work.holds(at(day, 8, 30)));
    EXPECT_TRUE(work.holds(at(day, 16, 59)));
    EXPECT_FALSE(work.holds(at(day, 17)));
  }
}

TEST(RateRule, OverMidnightBelongsToTheDayItBegan) {
  const RateRule night = rule("22:00-06:00,Fri,sat=none/none");
  EXPECT_EQ(night.down_bps, 0U);
  EXPECT_FALSE(night.holds(at(fri, 5)));
  EXPECT_TRUE(night.holds(at(fri, 22)));
  EXPECT_TRUE(night.holds(at(sat, 0)));
  EXPECT_TRUE(night.holds(at(sat, 5, 59)));
  EXPECT_FALSE(night.holds(at(sat, 6)));
  EXPECT_TRUE(night.holds(at(sat, 23)));
  EXPECT_TRUE(night.holds(at(sun, 1)));
  EXPECT_FALSE(night.holds(at(sun, 22)));
  EXPECT_FALSE(night.holds(at(mon, 1)));
  // From Sunday into Monday.
  EXPECT_TRUE(rule("23:00-01:00,sun=1M/1M").holds(at(mon, 0, 30)));
}

TEST(RateRule, ARangeOfDaysMayGoOverTheWeekend) {
  const RateRule some = rule("00:00-24:00,sat-mon,wed=10Mbit/1M/s");
  EXPECT_EQ(some.down_bps, 1'250'000U);
  EXPECT_EQ(some.up_bps, kMega);
  const bool expected[] = {true, false, true, false, false, true, true};
  for (unsigned day = mon; day <= sun; ++day) {
    EXPECT_EQ(some.holds(at(day, 0)), expected[day]) << day;
    EXPECT_EQ(some.holds(at(day, 23, 59)), expected[day]) << day;
  }
}

TEST(RateRule, EqualTimesAreAWholeDay) {
  const RateRule day = rule("06:00-06:00,mon=1M/1M");
  EXPECT_FALSE(day.holds(at(mon, 5, 59)));
  EXPECT_TRUE(day.holds(at(mon, 6)));
  EXPECT_TRUE(day.holds(at(tue, 5, 59)));
  EXPECT_FALSE(day.holds(at(tue, 6)));
}

TEST(RateRule, ReadsRatesThatEndInASecond) {
  const RateRule both = rule("0:00-1:00=1M/s/2M/s");
  EXPECT_EQ(both.down_bps, kMega);
  EXPECT_EQ(both.up_bps, 2 * kMega);
}

TEST(RateRule, RefusesWhatIsNoRule) {
  for (const char* text :
       {"", "=", "08:00-09:00", "08:00-09:00=1M", "08:00-09:00=1M/", "08:00-09:00=/1M",
        "08:00=1M/1M", "8-9=1M/1M", "08:60-09:00=1M/1M", "24:00-25:00=1M/1M", "24:00-01:00=1M/1M",
        "24:01-01:00=1M/1M", "08:00-09:00,=1M/1M", "08:00-09:00,day=1M/1M",
        "08:00-09:00,mon-=1M/1M", "08:00-09:00,mon,,tue=1M/1M", "-08:00-09:00=1M/1M",
        "08:00-09:00=fast/1M", "008:00-09:00=1M/1M"}) {
    const auto parsed = RateRule::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("22:00-07:00"), std::string::npos) << text;
  }
}

TEST(RateSchedule, TheFirstRuleCountsAndBetweenThemWhatWasAtTheStart) {
  RateSchedule schedule({rule("08:00-12:00,mon=1M/1M"), rule("08:00-18:00=2M/2M")},
                        {5 * kMega, 0, false});
  const auto before = schedule.change(at(mon, 7));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->down_bps, 5 * kMega);
  EXPECT_EQ(schedule.rule_at(at(mon, 7)), "");
  EXPECT_EQ(schedule.change(at(mon, 8))->down_bps, kMega);
  EXPECT_EQ(schedule.rule_at(at(mon, 8)), "08:00-12:00,mon=1m/1m");
  EXPECT_FALSE(schedule.change(at(mon, 8, 1))) << "what the user orders meanwhile stays";
  EXPECT_FALSE(schedule.change(at(mon, 11, 59)));
  EXPECT_EQ(schedule.change(at(mon, 12))->down_bps, 2 * kMega);
  const auto after = schedule.change(at(mon, 18));
  ASSERT_TRUE(after);
  EXPECT_EQ(*after, (engine::RateLimits{5 * kMega, 0, false}));
  // A machine that slept over a change is told of it when it wakes.
  EXPECT_EQ(schedule.change(at(tue, 9))->up_bps, 2 * kMega);
}

/// Berlin, with the rules of the zone in the text, so that no database is needed.
class LocalTime : public testing::Test {
 protected:
  LocalTime() { ::setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1); }
  ~LocalTime() override { ::unsetenv("TZ"); }
};

TEST_F(LocalTime, FollowsTheClocksWhenTheyArePutForward) {
  const RateRule early = rule("01:00-03:00=1M/1M");
  // 2026-03-29 01:59:59 CET, a Sunday; a second later it is 03:00:00 CEST.
  constexpr std::time_t kLast = 1774745999;
  EXPECT_EQ(LocalMoment::of(kLast).weekday, sun);
  EXPECT_EQ(LocalMoment::of(kLast).minute, 119U);
  EXPECT_EQ(LocalMoment::of(kLast).to_next_minute(), std::chrono::seconds(1));
  EXPECT_TRUE(early.holds(LocalMoment::of(kLast)));
  EXPECT_EQ(LocalMoment::of(kLast + 1).minute, 180U);
  EXPECT_FALSE(early.holds(LocalMoment::of(kLast + 1)));
}

TEST_F(LocalTime, HoldsTwiceWhenTheyArePutBack) {
  const RateRule hour = rule("02:00-03:00=1M/1M");
  // 2026-10-25 02:00:00 CEST, and an hour later 02:00:00 CET.
  constexpr std::time_t kFirst = 1792886400;
  EXPECT_FALSE(hour.holds(LocalMoment::of(kFirst - 1)));
  EXPECT_TRUE(hour.holds(LocalMoment::of(kFirst)));
  EXPECT_TRUE(hour.holds(LocalMoment::of(kFirst + 3599)));
  EXPECT_TRUE(hour.holds(LocalMoment::of(kFirst + 3600)));
  EXPECT_TRUE(hour.holds(LocalMoment::of(kFirst + 7199)));
  EXPECT_FALSE(hour.holds(LocalMoment::of(kFirst + 7200)));
}

}  // namespace
}  // namespace swarmfs::mount
