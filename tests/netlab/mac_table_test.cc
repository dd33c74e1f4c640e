#include "tests/netlab/switch/mac_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/netlab/frames.h"

namespace swarmfs::netlab {
namespace {

TEST(NetlabMacTable, FindsWhomItHasHeard) {
  MacTable table;
  EXPECT_FALSE(table.find(small_frame(60, 1, 2).bytes));
  table.learn(small_frame(60, 2, 1).bytes, 7);
  EXPECT_EQ(table.find(small_frame(60, 1, 2).bytes), 7u);
}

TEST(NetlabMacTable, FollowsAStationThatMoves) {
  MacTable table;
  table.learn(small_frame(60, 2, 1).bytes, 7);
  table.learn(small_frame(60, 2, 1).bytes, 8);
  EXPECT_EQ(table.find(small_frame(60, 1, 2).bytes), 8u);
}

TEST(NetlabMacTable, NobodyIsAGroup) {
  MacTable table;
  table.learn(small_frame(60, 0xFF, 1).bytes, 7);
  EXPECT_FALSE(table.find(small_frame(60, 1, 0xFF).bytes));
}

TEST(NetlabMacTable, ForgetsNobodyAndStaysBounded) {
  MacTable table;
  std::vector<std::uint8_t> frame(14);
  const auto station = [&](std::size_t number, std::size_t at) {
    frame[at + 4] = static_cast<std::uint8_t>(number >> 8);
    frame[at + 5] = static_cast<std::uint8_t>(number);
  };
  for (std::size_t i = 0; i <= MacTable::kMost; ++i) {
    station(i, 6);
    table.learn(frame, i);
  }
  station(0, 0);
  EXPECT_EQ(table.find(frame), 0u);
  station(MacTable::kMost - 1, 0);
  EXPECT_EQ(table.find(frame), MacTable::kMost - 1);
  station(MacTable::kMost, 0);
  EXPECT_FALSE(table.find(frame));
}

TEST(NetlabMacTable, ShortFramesAreNobodys) {
  MacTable table;
  const std::vector<std::uint8_t> frame(5);
  table.learn(frame, 1);
  EXPECT_FALSE(table.find(frame));
}

}  // namespace
}  // namespace swarmfs::netlab
