// Which addresses of this machine are in use.
#include "swarm/net/local_networks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace swarmfs::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

TEST(LocalNetworks, AnAddressIsTentativeUntilNobodyElseHasIt) {
  // Address, interface, length of the prefix, scope and flags, in hexadecimal.
  EXPECT_THAT(tentative_addresses("20010db8000000000000000000000001 04 40 00 80     eth0\n"
                                  "20010db8000000000000000000000002 04 40 00 c0     eth0\n"
                                  "20010db8000000000000000000000003 0a 40 00 40     wlan0\n"
                                  "20010db8000000000000000000000004 0a 40 00 88     wlan0\n"
                                  "00000000000000000000000000000001 01 80 10 80       lo\n"),
              ElementsAre(ip("2001:db8::2"), ip("2001:db8::3"), ip("2001:db8::4")));
}

TEST(LocalNetworks, WhatIsNotOfThatFormIsLeftOut) {
  EXPECT_THAT(tentative_addresses(""), IsEmpty());
  EXPECT_THAT(tentative_addresses("\n20010db8 04 40 00 c0 eth0\n"
                                  "20010db800000000000000000000000g 04 40 00 c0 eth0\n"
                                  "20010db8000000000000000000000002 04 40\n"
                                  "20010db8000000000000000000000005 04 40 00 c0"),
              ElementsAre(ip("2001:db8::5")));
}

}  // namespace
}  // namespace swarmfs::net
