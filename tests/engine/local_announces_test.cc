#include "swarm/engine/local_announces.h"

#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;

Sha1Hash hash_of(std::uint8_t byte) {
  Sha1Hash hash;
  hash.fill(byte);
  return hash;
}

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

TEST(LocalAnnounces, TorrentsThatComeTogetherAreAnnouncedTogetherAndAgain) {
  LocalAnnounces announces;
  TimePoint now = TimePoint{} + 1h;
  EXPECT_FALSE(announces.deadline());
  announces.add(hash_of(1), now);
  announces.add(hash_of(2), now + 50ms);
  EXPECT_EQ(announces.deadline(), now + LocalAnnounces::kGather);
  EXPECT_TRUE(announces.take_due(now).empty());
  now += 300ms;
  EXPECT_EQ(announces.take_due(now).size(), 2U);
  EXPECT_TRUE(announces.take_due(now).empty());
  EXPECT_EQ(announces.deadline(), now + LocalAnnounces::kEvery);
  EXPECT_EQ(announces.take_due(now + LocalAnnounces::kEvery).size(), 2U);
}

TEST(LocalAnnounces, WhoWantsPeersIsAnnouncedSoonerButOnceAMinute) {
  LocalAnnounces announces;
  TimePoint now = TimePoint{} + 1h;
  announces.add(hash_of(1), now);
  announces.want_peers(hash_of(1), now);
  EXPECT_EQ(announces.deadline(), now + LocalAnnounces::kGather) << "it has not begun";
  now += 1s;
  announces.take_due(now);
  announces.want_peers(hash_of(1), now + 5s);
  EXPECT_EQ(announces.deadline(), now + 1min);
  announces.want_peers(hash_of(1), now + 2min);
  EXPECT_EQ(announces.deadline(), now + 1min);
  announces.want_peers(hash_of(9), now);
}

TEST(LocalAnnounces, LeavingAndComingBackDoesNotMakeItMoreOften) {
  LocalAnnounces announces;
  TimePoint now = TimePoint{} + 1h;
  announces.add(hash_of(1), now);
  now += 1s;
  announces.take_due(now);
  announces.remove(hash_of(1), now + 1s);
  EXPECT_FALSE(announces.deadline());
  EXPECT_TRUE(announces.take_due(now + 10min).empty());
  announces.add(hash_of(1), now + 2s);
  EXPECT_EQ(announces.deadline(), now + 1min);
  announces.remove(hash_of(1), now + 10min);
  announces.add(hash_of(1), now + 10min);
  EXPECT_EQ(announces.deadline(), now + 10min + LocalAnnounces::kGather);
}

TEST(OnNetwork, IsWhatSharesAnInterfacesPrefix) {
  const LocalNetwork networks[] = {
      {ip("192.168.4.20"), 22}, {ip("2001:db8:1:2::5"), 64}, {ip("203.0.113.9"), 29}};
  for (const char* local : {"192.168.4.1", "192.168.7.255", "2001:db8:1:2:ffff::1", "203.0.113.14"})
    EXPECT_TRUE(on_network(ip(local), networks)) << local;
  for (const char* foreign :
       {"192.168.8.1", "10.0.0.1", "203.0.113.16", "2001:db8:1:3::1", "fe80::1", "127.0.0.1", "::1",
        "0.0.0.0", "239.192.152.143", "ff15::efc0:988f"})
    EXPECT_FALSE(on_network(ip(foreign), networks)) << foreign;
  const LocalNetwork everything[] = {{ip("0.0.0.0"), 0}, {ip("::"), 0}};
  EXPECT_TRUE(on_network(ip("8.8.8.8"), everything));
  EXPECT_FALSE(on_network(ip("224.0.0.1"), everything));
  EXPECT_FALSE(on_network(ip("fe80::1"), everything));
}

}  // namespace
}  // namespace swarmfs::engine
