#include "swarm/wire/allowed_fast.h"

#include <gtest/gtest.h>

#include <set>

namespace swarmfs::wire {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

Sha1Hash all_aa() {
  Sha1Hash hash;
  hash.fill(0xaa);
  return hash;
}

std::vector<std::uint32_t> values(const std::vector<PieceIndex>& set) {
  std::vector<std::uint32_t> out;
  for (const PieceIndex piece : set) out.push_back(piece.value);
  return out;
}

TEST(AllowedFast, MatchesTheVectorsOfTheSpecification) {
  using Values = std::vector<std::uint32_t>;
  EXPECT_EQ(values(allowed_fast_set(ip("80.4.4.200"), all_aa(), 1313, 7)),
            (Values{1059, 431, 808, 1217, 287, 376, 1188}));
  EXPECT_EQ(values(allowed_fast_set(ip("80.4.4.200"), all_aa(), 1313, 9)),
            (Values{1059, 431, 808, 1217, 287, 376, 1188, 353, 508}));
}

TEST(AllowedFast, IsSharedByANetworkAndDiffersBetweenNetworks) {
  const auto set = allowed_fast_set(ip("80.4.4.200"), all_aa(), 1313);
  EXPECT_EQ(set, allowed_fast_set(ip("80.4.4.1"), all_aa(), 1313));
  EXPECT_NE(set, allowed_fast_set(ip("80.4.5.200"), all_aa(), 1313));
  const auto set6 = allowed_fast_set(ip("2001:db8:0:1::1"), all_aa(), 1313);
  EXPECT_EQ(set6, allowed_fast_set(ip("2001:db8:0:1:ffff::9"), all_aa(), 1313));
  EXPECT_NE(set6, allowed_fast_set(ip("2001:db8:0:2::1"), all_aa(), 1313));
}

TEST(AllowedFast, GivesEveryPieceOfASmallTorrentOnce) {
  EXPECT_TRUE(allowed_fast_set(ip("1.2.3.4"), all_aa(), 0).empty());
  EXPECT_EQ(values(allowed_fast_set(ip("1.2.3.4"), all_aa(), 3)),
            (std::vector<std::uint32_t>{0, 1, 2}));
  for (std::uint32_t pieces = 1; pieces < 40; ++pieces) {
    const auto set = allowed_fast_set(ip("1.2.3.4"), all_aa(), pieces);
    EXPECT_EQ(set.size(), std::min(pieces, kAllowedFastCount));
    EXPECT_EQ(std::set<PieceIndex>(set.begin(), set.end()).size(), set.size());
    for (const PieceIndex piece : set) EXPECT_LT(piece.value, pieces);
  }
}

}  // namespace
}  // namespace swarmfs::wire
