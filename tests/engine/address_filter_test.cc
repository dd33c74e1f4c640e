#include "swarm/engine/address_filter.h"

#include <gtest/gtest.h>

#include "swarm/engine/address_list.h"

namespace swarmfs::engine {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

AddressFilter filter_of(std::string_view list) {
  AddressFilter::Builder builder;
  const auto report = parse_address_list(list, builder);
  EXPECT_EQ(report.bad, 0U) << report.first_bad->why;
  return builder.build();
}

TEST(AddressFilter, EndsOfARangeAreInIt) {
  AddressFilter::Builder builder;
  EXPECT_TRUE(builder.add(ip("192.0.2.10"), ip("192.0.2.20")));
  EXPECT_TRUE(builder.add(ip("2001:db8::10"), ip("2001:db8::20")));
  const AddressFilter filter = builder.build();
  for (const char* text : {"192.0.2.10", "192.0.2.15", "192.0.2.20", "2001:db8::10", "2001:db8::20",
                           "::ffff:192.0.2.10"})
    EXPECT_TRUE(filter.blocks(ip(text))) << text;
  for (const char* text : {"192.0.2.9", "192.0.2.21", "0.0.0.0", "255.255.255.255", "2001:db8::f",
                           "2001:db8::21", "::", "::192.0.2.10"})
    EXPECT_FALSE(filter.blocks(ip(text))) << text;
}

TEST(AddressFilter, MergesWhatOverlapsOrTouches) {
  AddressFilter::Builder builder;
  builder.add(ip("10.0.1.0"), ip("10.0.1.255"));
  builder.add(ip("10.0.0.0"), ip("10.0.0.255"));  // touches, and came later
  builder.add(ip("10.0.0.7"), ip("10.0.0.9"));    // inside
  builder.add(ip("10.0.3.0"), ip("10.0.3.0"));
  builder.add(ip("2001:db8::"), ip("2001:db8::ffff"));
  builder.add(ip("2001:db8::1:0"), ip("2001:db8::1:5"));
  const AddressFilter filter = builder.build();
  EXPECT_EQ(filter.ranges(), 3U);
  EXPECT_TRUE(filter.blocks(ip("10.0.1.255")));
  EXPECT_FALSE(filter.blocks(ip("10.0.2.0")));
  EXPECT_TRUE(filter.blocks(ip("2001:db8::1:5")));
}

TEST(AddressFilter, HoldsTheWholeSpace) {
  const AddressFilter filter = filter_of("255.0.0.0/8\n0.0.0.0/0\n::/0\nffff::/16\n");
  EXPECT_EQ(filter.ranges(), 2U);
  for (const char* text : {"0.0.0.0", "255.255.255.255", "::", "ffff::ffff"})
    EXPECT_TRUE(filter.blocks(ip(text))) << text;
}

TEST(AddressFilter, RefusesRangesThatAreNone) {
  AddressFilter::Builder builder;
  EXPECT_FALSE(builder.add(ip("10.0.0.2"), ip("10.0.0.1")));
  EXPECT_FALSE(builder.add(ip("10.0.0.2"), ip("2001:db8::")));
  EXPECT_EQ(builder.build().ranges(), 0U);
}

TEST(AddressFilter, NoFilterBlocksNothing) { EXPECT_FALSE(blocked_by(nullptr, ip("10.0.0.1"))); }

TEST(AddressList, ReadsPlainForms) {
  const AddressFilter filter = filter_of(
      "\xef\xbb\xbf# a comment\r\n"
      "192.0.2.7\r\n"
      "198.51.100.0/25\r\n"
      "  203.0.113.5 - 203.0.113.9 \r\n"
      "\r\n"
      "2001:db8:1::/48\n"
      "2001:db8:2::1\n"
      "2001:db8:3::-2001:db8:3::ff");
  for (const char* text :
       {"192.0.2.7", "198.51.100.0", "198.51.100.127", "203.0.113.5", "203.0.113.9",
        "2001:db8:1:ffff:ffff::1", "2001:db8:2::1", "2001:db8:3::ff"})
    EXPECT_TRUE(filter.blocks(ip(text))) << text;
  for (const char* text : {"192.0.2.6", "192.0.2.8", "198.51.100.128", "203.0.113.10",
                           "2001:db8:2::2", "2001:db8:3::100", "2001:db8:0:ffff::"})
    EXPECT_FALSE(filter.blocks(ip(text))) << text;
}

TEST(AddressList, ReadsDatLines) {
  const AddressFilter filter = filter_of(
      "; made by hand\n"
      "001.009.096.105 - 001.009.096.115 , 000 , Some, organisation: 10-20\n"
      "010.000.000.000-010.255.255.255,127,Edge\n"
      "192.168.000.000 - 192.168.255.255 , 128 , Allowed\n"
      "198.051.100.000 - 198.051.100.255 , 000\n");
  EXPECT_TRUE(filter.blocks(ip("1.9.96.105")));  // 009 and 096 are no octal numbers
  EXPECT_TRUE(filter.blocks(ip("1.9.96.115")));
  EXPECT_FALSE(filter.blocks(ip("1.9.96.116")));
  EXPECT_TRUE(filter.blocks(ip("10.1.2.3")));
  EXPECT_FALSE(filter.blocks(ip("192.168.1.1")));
  EXPECT_TRUE(filter.blocks(ip("198.51.100.7")));
}

TEST(AddressList, ReadsPeerGuardianLines) {
  const AddressFilter filter = filter_of(
      "// PeerGuardian\n"
      "Some name:192.0.2.0-192.0.2.255\n"
      "A: name, with - much: 1.2.3.4 in it:198.51.100.1-198.51.100.2\n"
      ":203.0.113.1-203.0.113.1\n"
      "Six:2001:db8::1-2001:db8::2\n" +
      std::string(500, 'x') + ":10.0.0.1-10.0.0.2\n");
  for (const char* text : {"192.0.2.0", "192.0.2.255", "198.51.100.2", "203.0.113.1", "2001:db8::1",
                           "2001:db8::2", "10.0.0.2"})
    EXPECT_TRUE(filter.blocks(ip(text))) << text;
  for (const char* text : {"198.51.100.3", "1.2.3.4", "2001:db8::3"})
    EXPECT_FALSE(filter.blocks(ip(text))) << text;
}

TEST(AddressList, CountsLinesThatAreNoneAndNamesTheFirst) {
  AddressFilter::Builder builder;
  const auto report = parse_address_list(
      "192.0.2.1\n"
      "\n"
      "hello world\x01\n"
      "192.0.2.256\n192.0.2\n192.0.2.1.1\n1922.0.2.1\n192.0.2.1/33\n2001:db8::/129\n"
      "192.0.2.1/\n192.0.2.9-192.0.2.1\n192.0.2.1-2001:db8::\n192.0.2.1-192.0.2.2 , x , y\n"
      "::ffff:192.0.2.1/120\n-\n:\n,\n/\nname:192.0.2.3\n"
      "192.0.2.2\n",
      builder);
  EXPECT_EQ(report.good, 2U);
  EXPECT_EQ(report.bad, 17U);
  ASSERT_TRUE(report.first_bad);
  EXPECT_EQ(report.first_bad->number, 3U);
  EXPECT_EQ(report.first_bad->why, "\"hello world?\" is no range of addresses");
  EXPECT_EQ(builder.build().ranges(), 1U);
}

}  // namespace
}  // namespace swarmfs::engine
