#include "swarm/engine/address_policy.h"

#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(AddressPolicy, PublicSourcesReachOnlyPublicAddresses) {
  for (const char* text : {"127.0.0.1",
                           "10.1.2.3",
                           "172.16.0.1",
                           "192.168.1.1",
                           "169.254.169.254",
                           "100.64.0.1",
                           "0.0.0.0",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::",
                           "2002:a00:1::1",
                           "::127.0.0.1"}) {
    EXPECT_FALSE(may_connect(Scope::global, ip(text))) << text;
    EXPECT_TRUE(may_connect(Scope::local, ip(text))) << text;
  }
  for (const char* text : {"1.1.1.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "2606:4700::1",
                           "64:ff9b::101:101", "2002:101:101::1"}) {
    EXPECT_TRUE(may_connect(Scope::global, ip(text))) << text;
  }
}

TEST(AddressPolicy, HostsThatSpellOutLocalPlacesAreLocal) {
  for (const char* host :
       {"127.0.0.1", "192.168.0.7", "::1", "fd00::1", "localhost", "nas", "tracker.local",
        "a.b.lan", "x.localhost", "db.internal.", "h.home.arpa"})
    EXPECT_EQ(scope_of_host(host), Scope::local) << host;
  for (const char* host : {"8.8.8.8", "2606:4700::1", "tracker.example.org", "local.example",
                           "127.1", "2130706433", "0x7f.1", "0x7f000001", ""})
    EXPECT_EQ(scope_of_host(host), Scope::global) << host;
}

TEST(AddressPolicy, ScopeOnlyEverNarrowsAlongRedirects) {
  EXPECT_EQ(scope_after(Scope::local, ip("10.0.0.1")), Scope::local);
  EXPECT_EQ(scope_after(Scope::local, ip("1.1.1.1")), Scope::global);
  EXPECT_EQ(scope_after(Scope::global, ip("1.1.1.1")), Scope::global);
  EXPECT_EQ(scope_after(Scope::global, ip("10.0.0.1")), Scope::global);
}

}  // namespace
}  // namespace swarmfs::engine
