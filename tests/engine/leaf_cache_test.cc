// Which trees of leaves stay, and which give way.
#include "swarm/engine/leaf_cache.h"

#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

using metainfo::merkle::Hashes;

Hashes leaves(std::uint8_t fill, std::size_t count = 4) {
  Hashes out(count);
  for (auto& hash : out) hash.fill(fill);
  return out;
}

TEST(LeafCache, TheLeastRecentlyUsedGivesWay) {
  LeafCache cache(8);
  cache.add(PieceIndex(1), leaves(1), 2);
  cache.add(PieceIndex(2), leaves(2), 2);
  ASSERT_NE(cache.find(PieceIndex(1)), nullptr);  // now 2 is the older
  cache.add(PieceIndex(3), leaves(3), 2);
  EXPECT_EQ(cache.find(PieceIndex(2)), nullptr);
  ASSERT_NE(cache.find(PieceIndex(1)), nullptr);
  EXPECT_EQ(cache.find(PieceIndex(1))->node(0, 3), leaves(1).front());
  EXPECT_NE(cache.find(PieceIndex(3)), nullptr);
  EXPECT_EQ(cache.leaves(), 8U);
}

TEST(LeafCache, APieceAddedAgainTakesItsOldPlace) {
  LeafCache cache(8);
  cache.add(PieceIndex(1), leaves(1), 2);
  cache.add(PieceIndex(1), leaves(9), 2);
  EXPECT_EQ(cache.leaves(), 4U);
  EXPECT_EQ(cache.find(PieceIndex(1))->node(0, 0), leaves(9).front());
  cache.erase(PieceIndex(1));
  cache.erase(PieceIndex(1));
  EXPECT_EQ(cache.find(PieceIndex(1)), nullptr);
  EXPECT_EQ(cache.leaves(), 0U);
}

TEST(LeafCache, OneTreeMayBeLargerThanAll) {
  LeafCache cache(8);
  cache.add(PieceIndex(1), leaves(1), 2);
  EXPECT_NE(cache.add(PieceIndex(2), leaves(2, 64), 6), nullptr);
  EXPECT_EQ(cache.find(PieceIndex(1)), nullptr);
  EXPECT_NE(cache.find(PieceIndex(2)), nullptr);
}

}  // namespace
}  // namespace swarmfs::engine
