#include "tests/netlab/switch/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace swarmfs::netlab {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

struct Switch {
  Network network{1, [](PortIndex, const Frame&) {}};
  std::vector<std::string> attached;

  std::string operator()(std::string_view line) {
    const auto attach = [this](PortIndex, const std::string& netns) {
      if (netns == "/none") throw ControlError("tap_failed", "no such namespace");
      attached.push_back(netns);
    };
    return execute(line, network, attach, TimePoint{} + 1h);
  }
};

TEST(NetlabControl, AddsChangesAndShowsAPort) {
  Switch control;
  EXPECT_EQ(control("add a netns=/run/netns/x up=40mbit delay=12.5ms"), "ok");
  EXPECT_THAT(control.attached, ElementsAre("/run/netns/x"));
  EXPECT_EQ(control("show a"),
            "ok up=40000000bit down=unlimited delay=12500us jitter=0us loss=0 queue=100000us "
            "reorder=false");
  EXPECT_EQ(control("set a  down=0 jitter=0.25us loss=0.05 queue=64kib reorder=true\r"), "ok");
  EXPECT_EQ(control("show a"),
            "ok up=40000000bit down=0bit delay=12500us jitter=0.250us loss=0.05 queue=65536b "
            "reorder=true");
  EXPECT_EQ(control("count a"),
            "ok up_packets=0 up_bytes=0 down_packets=0 down_bytes=0 up_dropped=0 down_dropped=0 "
            "up_lost=0 down_lost=0");
}

TEST(NetlabControl, WhatItShowsItUnderstands) {
  Switch control;
  control("add a netns=x up=1.5mbit down=0 delay=1us jitter=1.001us loss=0.015 queue=0");
  control("add b netns=x");
  const std::string shown = control("show a");
  EXPECT_EQ(control("set b" + shown.substr(2)), "ok");
  EXPECT_EQ(control("show b"), shown);
}

TEST(NetlabControl, NamesEachError) {
  Switch control;
  control("add a netns=x");
  EXPECT_THAT(control(""), StartsWith("error bad_command "));
  EXPECT_THAT(control("drop a"), StartsWith("error bad_command "));
  EXPECT_THAT(control("set"), StartsWith("error bad_command "));
  EXPECT_THAT(control("set a up"), StartsWith("error bad_command "));
  EXPECT_THAT(control("set a =1"), StartsWith("error bad_command "));
  EXPECT_THAT(control("add c up=1mbit"), StartsWith("error bad_command "));
  EXPECT_THAT(control("set a speed=1mbit"), StartsWith("error bad_key "));
  EXPECT_THAT(control("set b up=1mbit"), StartsWith("error unknown_port "));
  EXPECT_THAT(control("show b"), StartsWith("error unknown_port "));
  EXPECT_THAT(control("count b"), StartsWith("error unknown_port "));
  EXPECT_THAT(control("add a netns=x"), StartsWith("error port_exists "));
  EXPECT_THAT(control("add c netns=/none"), StartsWith("error tap_failed "));
  EXPECT_THAT(control("set a up=fast"), HasSubstr("'fast' is not a rate"));
}

TEST(NetlabControl, AnErrorChangesNothing) {
  Switch control;
  control("add a netns=x");
  const std::string before = control("show a");
  EXPECT_THAT(control("set a up=1mbit loss=2"), StartsWith("error bad_value "));
  EXPECT_EQ(control("show a"), before);
  EXPECT_THAT(control("add b netns=y up=oops"), StartsWith("error bad_value "));
  EXPECT_THAT(control("show b"), StartsWith("error unknown_port "));
  EXPECT_THAT(control.attached, ElementsAre("x"));
}

TEST(NetlabUnits, Rates) {
  EXPECT_EQ(parse_rate("0"), 0u);
  EXPECT_EQ(parse_rate("unlimited"), kUnlimited);
  EXPECT_EQ(parse_rate("300bit"), 300u);
  EXPECT_EQ(parse_rate("1.5mbit"), 1'500'000u);
  EXPECT_EQ(parse_rate("2gbit"), 2'000'000'000u);
  EXPECT_EQ(parse_rate("0.1bit"), 1u);  // slow, but not dead
  for (const char* bad : {"", "1", "mbit", "-1mbit", "1 mbit", "1mb", "nan", "inf", "2000gbit",
                          "1e300gbit", "1mbit "}) {
    EXPECT_THROW(parse_rate(bad), ControlError) << bad;
  }
}

TEST(NetlabUnits, TimesSizesSharesAndFlags) {
  EXPECT_EQ(parse_duration("12.5ms"), 12'500us);
  EXPECT_EQ(parse_duration("0"), 0us);
  EXPECT_EQ(parse_duration("1s"), 1s);
  EXPECT_EQ(parse_size("64kib"), 65536u);
  EXPECT_EQ(parse_size("3000b"), 3000u);
  EXPECT_EQ(parse_share("1"), 1.0);
  EXPECT_EQ(parse_share("0.05"), 0.05);
  EXPECT_TRUE(parse_flag("true"));
  for (const char* bad : {"5", "5m", "-5ms", "61s", "ms", ""}) {
    EXPECT_THROW(parse_duration(bad), ControlError) << bad;
  }
  for (const char* bad : {"5", "5kb", "2000mib"})
    EXPECT_THROW(parse_size(bad), ControlError) << bad;
  for (const char* bad : {"1.1", "-0.1", "5%", ""})
    EXPECT_THROW(parse_share(bad), ControlError) << bad;
  EXPECT_THROW(parse_flag("1"), ControlError);
}

}  // namespace
}  // namespace swarmfs::netlab
