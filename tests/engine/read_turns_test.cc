#include "swarm/engine/read_turns.h"

#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

std::vector<std::uint64_t> order_of(ReadTurns& turns) {
  std::vector<std::uint64_t> ids;
  for (const ReadId id : turns.order()) ids.push_back(id.value);
  return ids;
}

TEST(ReadTurns, OneProgramIsServedByAge) {
  ReadTurns turns(10);
  for (const std::uint64_t id : {3, 1, 2}) turns.add(ReadId(id), ReaderId(7));
  EXPECT_EQ(order_of(turns), (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST(ReadTurns, WhoAsksOnceDoesNotWaitForAllOfOneWhoAsksOften) {
  ReadTurns turns(10);
  for (std::uint64_t id = 1; id <= 5; ++id) turns.add(ReadId(id), ReaderId(7));
  turns.add(ReadId(6), ReaderId(9));
  turns.add(ReadId(7), ReaderId(8));
  turns.add(ReadId(8), ReaderId(8));
  EXPECT_EQ(order_of(turns), (std::vector<std::uint64_t>{1, 6, 7, 2, 8, 3, 4, 5}));
}

TEST(ReadTurns, ReadsThatEndMakeRoom) {
  ReadTurns turns(10);
  for (std::uint64_t id = 1; id <= 3; ++id) turns.add(ReadId(id), ReaderId(7));
  turns.add(ReadId(4), ReaderId(9));
  turns.remove(ReadId(1), ReaderId(7));
  turns.remove(ReadId(4), ReaderId(9));
  turns.remove(ReadId(4), ReaderId(9));  // as one that never was
  EXPECT_EQ(order_of(turns), (std::vector<std::uint64_t>{2, 3}));
  turns.remove(ReadId(2), ReaderId(7));
  turns.remove(ReadId(3), ReaderId(7));
  EXPECT_TRUE(turns.order().empty());
}

TEST(ReadTurns, GivesNoMoreThanAreLookedAtAndEveryProgramIsAmongThem) {
  ReadTurns turns(4);
  for (std::uint64_t id = 1; id <= 100; ++id) turns.add(ReadId(id), ReaderId(7));
  for (std::uint64_t id = 101; id <= 102; ++id) turns.add(ReadId(id), ReaderId(id));
  EXPECT_EQ(order_of(turns), (std::vector<std::uint64_t>{1, 101, 102, 2}));
}

}  // namespace
}  // namespace swarmfs::engine
