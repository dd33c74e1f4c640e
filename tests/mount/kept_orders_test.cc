#include "mount/kept_orders.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

struct KeptOrdersTest : testing::Test {
  test::TempFolder folder;
  const std::filesystem::path file = folder.path() / "orders";
  /// Not text, as a mount point may be.
  const std::string options = "/mnt/\xff\xfe\n{}";

  static Limits limits(double down, double up, bool exempt, unsigned connections) {
    Limits l;
    l.down_bps = static_cast<decltype(l.down_bps)>(down);
    l.up_bps = static_cast<decltype(l.up_bps)>(up);
    l.reads_exempt = exempt;
    l.connections = connections;
    return l;
  }
  static void expect_same(const Limits& a, const Limits& b) {
    EXPECT_EQ(a.down_bps, b.down_bps);
    EXPECT_EQ(a.up_bps, b.up_bps);
    EXPECT_EQ(a.reads_exempt, b.reads_exempt);
    EXPECT_EQ(a.connections, b.connections);
  }
};

TEST_F(KeptOrdersTest, MakesNothingUntilThereIsSomethingToKeep) {
  KeptOrders kept(file, options);
  EXPECT_FALSE(kept.limits());
  EXPECT_FALSE(kept.of("aa"));
  ASSERT_TRUE(kept.forget("aa"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(KeptOrdersTest, ANewProcessFindsWhatWasOrderedLast) {
  const Limits all = limits(1'000'000, 0, false, 0), one = limits(0, 5000, true, 7);
  {
    KeptOrders kept(file, options);
    ASSERT_TRUE(kept.set_limits(limits(1, 2, true, 3)));
    ASSERT_TRUE(kept.set_limits(all));
    ASSERT_TRUE(kept.set("aa", {true, one}));
    ASSERT_TRUE(kept.set("bb", {true, {}}));
    ASSERT_TRUE(kept.set("bb", {false, {}}));
    ASSERT_TRUE(kept.set("cc", {true, {}}));
    ASSERT_TRUE(kept.forget("cc"));
    ASSERT_TRUE(kept.of("aa"));
    EXPECT_TRUE(kept.of("aa")->paused);
  }
  const KeptOrders kept(file, options);
  ASSERT_TRUE(kept.limits());
  expect_same(*kept.limits(), all);
  ASSERT_TRUE(kept.of("aa"));
  EXPECT_TRUE(kept.of("aa")->paused);
  expect_same(kept.of("aa")->limits, one);
  ASSERT_TRUE(kept.of("bb"));
  EXPECT_FALSE(kept.of("bb")->paused);
  EXPECT_FALSE(kept.of("cc"));
}

TEST_F(KeptOrdersTest, IsVoidForAMountThatWasStartedOtherwise) {
  ASSERT_TRUE(KeptOrders(file, options).set("aa", {true, {}}));
  const KeptOrders other(file, options + "x");
  EXPECT_FALSE(other.of("aa"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(KeptOrdersTest, WhatCannotBeReadIsForgotten) {
  for (const char* wrong : {"", "{", "[]", "{\"for\":1}", "{\"for\":\"x\",\"torrents\":3}"}) {
    std::ofstream(file) << wrong;
    const KeptOrders kept(file, options);
    EXPECT_FALSE(kept.of("aa"));
    EXPECT_FALSE(std::filesystem::exists(file)) << wrong;
  }
  // What is for this mount and of other types inside.
  ASSERT_TRUE(KeptOrders(file, options).set("aa", {true, {}}));
  std::string text;
  std::getline(std::ifstream(file), text);
  const auto at = text.find("true");
  ASSERT_NE(at, std::string::npos);
  std::ofstream(file) << text.replace(at, 4, "\"ha\"");
  EXPECT_FALSE(KeptOrders(file, options).of("aa"));
}

TEST_F(KeptOrdersTest, IsForgottenWhenTheMountEnds) {
  KeptOrders kept(file, options);
  ASSERT_TRUE(kept.set("aa", {true, {}}));
  kept.clear();
  EXPECT_FALSE(kept.of("aa"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(KeptOrdersTest, SaysWhenItCannotKeepAndHoldsAllTheSame) {
  KeptOrders kept(folder.path() / "none" / "orders", options);
  EXPECT_FALSE(kept.set("aa", {true, {}}));
  EXPECT_TRUE(kept.of("aa")->paused);
}

}  // namespace
}  // namespace swarmfs::mount
