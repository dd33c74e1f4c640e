// The decisions of a dial, in virtual time.
#include "swarm/net/dial_race.h"

#include <gtest/gtest.h>

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;
using Ways = std::vector<std::size_t>;

constexpr TimePoint kStart = TimePoint{} + 1h;

/// uTP, with TCP 300 ms behind; first plain, then encrypted.
const std::vector<DialWay> kFour = {
    {0, false, 0, 0ms}, {1, false, 0, 300ms}, {0, true, 1, 0ms}, {1, true, 1, 300ms}};
const std::vector<DialWay> kTwo = {{0, false, 0, 0ms}, {0, true, 1, 0ms}};

TEST(DialRace, OneWayWinsOrLoses) {
  DialRace race({{0, true, 0, 0ms}});
  race.begin(kStart);
  EXPECT_EQ(race.take_starts(), Ways{0});
  EXPECT_EQ(race.deadline(), TimePoint::max());
  race.on_connected(0, kStart + 50ms);
  race.on_answered(0);
  EXPECT_EQ(race.winner(), 0U);
  DialRace other({{0, true, 0, 0ms}});
  other.begin(kStart);
  other.on_failed(0, kStart + 50ms);
  EXPECT_TRUE(other.lost());
  EXPECT_FALSE(other.winner());
}

TEST(DialRace, TransportsStartInTurnAndTheFirstThatConnectsEndsTheOthers) {
  DialRace race(kFour);
  race.begin(kStart);
  EXPECT_EQ(race.take_starts(), Ways{0});
  EXPECT_EQ(race.deadline(), kStart + 300ms);
  race.on_timer(kStart + 299ms);
  EXPECT_TRUE(race.take_starts().empty());
  race.on_timer(kStart + 300ms);
  EXPECT_EQ(race.take_starts(), Ways{1});
  race.on_connected(1, kStart + 350ms);
  EXPECT_EQ(race.take_drops(), Ways{0});
  race.on_connected(0, kStart + 360ms);  // crossed the drop
  EXPECT_TRUE(race.take_drops().empty());
  race.on_answered(1);
  EXPECT_EQ(race.winner(), 1U);
  EXPECT_TRUE(race.take_starts().empty());
}

TEST(DialRace, ATransportIsNotWaitedForWhereNothingElseIsUnderWay) {
  DialRace race(kFour);
  race.begin(kStart);
  race.take_starts();
  race.on_failed(0, kStart + 10ms);
  EXPECT_EQ(race.take_starts(), Ways{1});
}

TEST(DialRace, WhoHangsUpIsAskedInTheNextStageAtOnce) {
  DialRace race(kTwo);
  race.begin(kStart);
  race.take_starts();
  race.on_connected(0, kStart + 10ms);
  EXPECT_TRUE(race.take_starts().empty());
  race.on_failed(0, kStart + 20ms);
  EXPECT_EQ(race.take_starts(), Ways{1});
  EXPECT_FALSE(race.lost());
  race.on_connected(1, kStart + 30ms);
  race.on_answered(1);
  EXPECT_EQ(race.winner(), 1U);
}

TEST(DialRace, WhoCannotBeReachedIsNotAskedInTheNextStage) {
  DialRace race(kTwo);
  race.begin(kStart);
  race.take_starts();
  race.on_failed(0, kStart + 10ms);
  EXPECT_TRUE(race.take_starts().empty());
  EXPECT_TRUE(race.lost());
  DialRace four(kFour);
  four.begin(kStart);
  four.take_starts();
  four.on_failed(0, kStart + 10ms);
  four.take_starts();
  four.on_connected(1, kStart + 20ms);
  four.on_failed(1, kStart + 30ms);
  EXPECT_EQ(four.take_starts(), Ways{3}) << "only what has connected before";
}

TEST(DialRace, WhoIsSilentIsAskedInTheNextStageAsWellAndTheFirstAnswerWins) {
  for (const std::size_t answers : {0U, 1U}) {
    DialRace race(kTwo);
    race.begin(kStart);
    race.take_starts();
    race.on_connected(0, kStart + 1s);
    EXPECT_EQ(race.deadline(), kStart + 1s + DialRace::kPatience);
    race.on_timer(race.deadline() - 1ms);
    EXPECT_TRUE(race.take_starts().empty());
    race.on_timer(kStart + 1s + DialRace::kPatience);
    EXPECT_EQ(race.take_starts(), Ways{1});
    EXPECT_TRUE(race.take_drops().empty()) << "the first may still answer";
    race.on_connected(1, kStart + 6s);
    race.on_answered(answers);
    EXPECT_EQ(race.winner(), answers);
    EXPECT_EQ(race.take_drops(), Ways{1 - answers});
    EXPECT_EQ(race.deadline(), TimePoint::max());
    race.on_failed(1 - answers, kStart + 7s);
    EXPECT_FALSE(race.lost());
  }
}

TEST(DialRace, IsLostWhenEveryWayHasFailed) {
  DialRace race(kFour);
  race.begin(kStart);
  race.take_starts();
  race.on_connected(0, kStart);
  race.on_failed(0, kStart + 1s);  // ended the other transport of its stage when it connected
  EXPECT_EQ(race.take_starts(), Ways{2});
  race.on_failed(2, kStart + 2s);
  EXPECT_EQ(race.take_starts(), Ways{3});
  EXPECT_FALSE(race.lost());
  race.on_failed(3, kStart + 3s);
  EXPECT_TRUE(race.lost());
}

TEST(DialRace, NothingStartsTwice) {
  DialRace race(kFour);
  race.begin(kStart);
  std::size_t started = race.take_starts().size();
  for (int i = 0; i < 100; ++i) {
    race.on_timer(kStart + i * 100ms);
    started += race.take_starts().size();
  }
  EXPECT_EQ(started, 2U) << "the next stage waits for the connections of this one";
}

}  // namespace
}  // namespace swarmfs::net
