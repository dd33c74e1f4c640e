#include "mount/restart_policy.h"

#include <gtest/gtest.h>

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

constexpr WorkerDeath kKilledInUse{true, true, false, 2s};
constexpr WorkerDeath kCrashedInUse{true, true, true, 2s};
constexpr WorkerDeath kNeverReady{false, false, true, 2s};

TEST(RestartPolicy, TheFirstDeathOfAWorkerInUseCostsNoPause) {
  RestartPolicy policy;
  EXPECT_EQ(policy.on_death(kKilledInUse, TimePoint(1h)), Duration::zero());
}

TEST(RestartPolicy, WhoKillsAWorkerInUseAgainAndAgainWaitsASecondAtMost) {
  RestartPolicy policy;
  TimePoint now(1h);
  Duration longest{};
  for (int i = 0; i < 1000; ++i) {
    const auto pause = policy.on_death(kKilledInUse, now);
    ASSERT_TRUE(pause) << i;
    longest = std::max(longest, *pause);
    now += *pause + 50ms;
  }
  EXPECT_EQ(longest, RestartPolicy::kLongestPause);
}

TEST(RestartPolicy, DeathsInVainDoubleThePauseAndEndIt) {
  for (const WorkerDeath& death :
       {kNeverReady, kCrashedInUse, WorkerDeath{true, false, false, 2s}}) {
    RestartPolicy policy;
    TimePoint now(1h);
    Duration expected = 100ms;
    for (unsigned i = 1; i < RestartPolicy::kTooMany; ++i) {
      const auto pause = policy.on_death(death, now);
      ASSERT_TRUE(pause) << i;
      EXPECT_EQ(*pause, expected) << i;
      expected *= 2;
      now += *pause + 10ms;
    }
    EXPECT_FALSE(policy.on_death(death, now));
  }
}

TEST(RestartPolicy, DeathsInVainAreForgottenAfterAMinute) {
  RestartPolicy policy;
  TimePoint now(1h);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(policy.on_death(kNeverReady, now)) << i;
    now += RestartPolicy::kWindow / (RestartPolicy::kTooMany - 1) + 1s;
  }
}

TEST(RestartPolicy, ALongLifeIsNotInVain) {
  RestartPolicy policy;
  TimePoint now(1h);
  for (int i = 0; i < 20; ++i) {
    const auto pause = policy.on_death({true, false, true, RestartPolicy::kLongLife}, now);
    ASSERT_TRUE(pause);
    EXPECT_LE(*pause, RestartPolicy::kLongestPause);
    now += 1s;
  }
}

TEST(RestartPolicy, AWorkerInUseDoesNotWipeOutTheLoopAroundIt) {
  RestartPolicy policy;
  TimePoint now(1h);
  for (unsigned i = 1; i < RestartPolicy::kTooMany; ++i) {
    EXPECT_TRUE(policy.on_death(kNeverReady, now += 1s));
    EXPECT_TRUE(policy.on_death(kKilledInUse, now += 1s));
  }
  EXPECT_FALSE(policy.on_death(kNeverReady, now += 1s));
}

TEST(Liveness, AllowsSoManyUnansweredQuestionsInARow) {
  Liveness liveness(3);
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(liveness.on_ask());
    EXPECT_FALSE(liveness.answers());
    EXPECT_FALSE(liveness.on_ask());
    EXPECT_FALSE(liveness.on_ask());
    liveness.on_answer();
    EXPECT_TRUE(liveness.answers());
  }
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(liveness.on_ask());
  EXPECT_TRUE(liveness.on_ask());
  liveness.reset();
  EXPECT_FALSE(liveness.on_ask());
}

TEST(Liveness, WithoutALimitNothingIsStuck) {
  Liveness liveness(0);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(liveness.on_ask());
}

}  // namespace
}  // namespace swarmfs::mount
