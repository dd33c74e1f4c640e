#include "swarm/engine/peer_priority.h"

#include <gtest/gtest.h>

#include "swarm/base/crc32c.h"
#include "swarm/base/hex.h"

namespace swarmfs::engine {
namespace {

Endpoint at(std::string_view ip, std::uint16_t port = 6881) {
  return {IpAddress::parse(ip).value(), port};
}

std::uint32_t crc_of_hex(std::string_view hex) { return crc32c(from_hex(hex).value()); }

TEST(Crc32c, MatchesTheCheckValue) { EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u); }

TEST(PeerPriority, MatchesTheVectorsOfTheSpecification) {
  EXPECT_EQ(peer_priority(at("123.213.32.10"), at("98.76.54.32")), 0xec2d7224u);
  EXPECT_EQ(peer_priority(at("123.213.32.10"), at("123.213.32.234")), 0x99568189u);
}

TEST(PeerPriority, IsTheSameFromBothEnds) {
  for (const auto& [a, b] : {std::pair{at("123.213.32.10"), at("98.76.54.32")},
                             std::pair{at("10.0.0.1", 1), at("10.0.0.1", 2)},
                             std::pair{at("2001:db8::1"), at("2001:db9::2")}})
    EXPECT_EQ(peer_priority(a, b), peer_priority(b, a));
}

TEST(PeerPriority, MasksLessTheCloserTheAddressesAre) {
  // Same /16: the third byte counts in full, the fourth in part.
  EXPECT_EQ(peer_priority(at("123.213.32.10"), at("123.213.33.234")),
            crc_of_hex("7bd520007bd52140"));
  // Same /48, then same /56.
  EXPECT_EQ(peer_priority(at("2001:db8:1:ff::"), at("2001:db8:1:1ff::")),
            crc_of_hex("20010db8000100550000000000000000"
                       "20010db8000101550000000000000000"));
  EXPECT_EQ(peer_priority(at("2001:db8:1:fe:ff::"), at("2001:db8:1:ff:ff::")),
            crc_of_hex("20010db8000100fe0055000000000000"
                       "20010db8000100ff0055000000000000"));
}

TEST(PeerPriority, FallsBackToThePortsOfEqualAddresses) {
  EXPECT_EQ(peer_priority(at("1.2.3.4", 0x1ae1), at("1.2.3.4", 0x0050)), crc_of_hex("00501ae1"));
}

TEST(PeerPriority, IsZeroAcrossFamilies) {
  EXPECT_EQ(peer_priority(at("1.2.3.4"), at("2001:db8::1")), 0u);
}

}  // namespace
}  // namespace swarmfs::engine
