#include "swarm/base/endpoint.h"

#include <gtest/gtest.h>

namespace swarmfs {
namespace {

TEST(IpAddress, MappedAddressesBecomeIpv4) {
  const auto mapped = IpAddress::parse("::ffff:10.1.2.3");
  ASSERT_TRUE(mapped);
  EXPECT_TRUE(mapped->is_v4());
  EXPECT_EQ(mapped->to_string(), "10.1.2.3");
  EXPECT_EQ(*mapped, *IpAddress::parse("10.1.2.3"));
  EXPECT_TRUE(mapped->is_local());
}

TEST(IpAddress, LocalRangesEndWhereTheirStandardsSay) {
  for (const char* local : {"0.0.0.0",     "0.1.2.3",         "10.0.0.0",        "10.255.255.255",
                            "100.64.0.0",  "100.127.255.255", "127.0.0.1",       "127.255.0.1",
                            "169.254.0.1", "172.16.0.0",      "172.31.255.255",  "192.168.0.1",
                            "224.0.0.1",   "239.255.255.255", "255.255.255.255", "::",
                            "::1",         "fc00::1",         "fdff::1",         "fe80::1",
                            "febf::1",     "ff02::1",         "::ffff:127.0.0.1"})
    EXPECT_TRUE(IpAddress::parse(local)->is_local()) << local;
  for (const char* global :
       {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1",
        "128.0.0.1", "169.253.0.1", "172.15.255.255", "172.32.0.0", "192.167.0.1",
        "223.255.255.255", "2001:db8::1", "fbff::1", "fe7f::1", "2600::"})
    EXPECT_FALSE(IpAddress::parse(global)->is_local()) << global;
}

TEST(Endpoint, TextReadsBack) {
  for (const char* text :
       {"1.2.3.4:80", "255.255.255.255:65535", "[::1]:1", "[2001:db8::7]:6881"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
}

TEST(Endpoint, MalformedTextIsRefused) {
  for (const char* text : {"",
                           ":",
                           "1.2.3.4",
                           "1.2.3.4:",
                           "1.2.3.4:65536",
                           "1.2.3.4:-1",
                           "1.2.3.4:+1",
                           "1.2.3.4: 1",
                           "1.2.3.4:1 ",
                           "1.2.3:4",
                           "256.1.1.1:1",
                           "::1:80",
                           "[::1]",
                           "[::1]:",
                           "[::1:80",
                           "::1]:80",
                           "[1.2.3.4]:80",
                           "[]:80",
                           "host:80",
                           "[fe80::1%lo]:80",
                           "1.2.3.4:80:90"})
    EXPECT_FALSE(Endpoint::parse(text)) << text;
}

TEST(Endpoint, CompactFormsReadBack) {
  const auto v4 = *Endpoint::parse("1.2.3.4:258");
  EXPECT_EQ(v4.to_compact(), (Bytes{1, 2, 3, 4, 1, 2}));
  EXPECT_EQ(Endpoint::from_compact(v4.to_compact()), v4);
  const auto v6 = *Endpoint::parse("[2001:db8::1]:65535");
  EXPECT_EQ(v6.to_compact().size(), 18U);
  EXPECT_EQ(Endpoint::from_compact(v6.to_compact()), v6);
  for (const std::size_t size : {0U, 4U, 5U, 7U, 16U, 17U, 19U})
    EXPECT_FALSE(Endpoint::from_compact(Bytes(size))) << size;
}

}  // namespace
}  // namespace swarmfs
