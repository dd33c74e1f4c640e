#include "swarm/engine/wanted_pieces.h"

#include <gtest/gtest.h>

#include <vector>

namespace swarmfs::engine {
namespace {

std::vector<std::uint32_t> all(const WantedPieces& wanted) {
  std::vector<std::uint32_t> pieces;
  (void)wanted.first([&](PieceIndex piece) {
    pieces.push_back(piece.value);
    return false;
  });
  return pieces;
}

TEST(WantedPieces, KeepTheOrderInWhichTheyWereAskedFor) {
  WantedPieces wanted(10'000);
  for (const std::uint32_t piece : {7U, 8U, 2U, 3U, 8U, 9U}) wanted.add(PieceIndex(piece));
  EXPECT_EQ(all(wanted), (std::vector<std::uint32_t>{7, 8, 2, 3, 9}));
  EXPECT_EQ(wanted.first([](PieceIndex piece) { return piece.value < 7; }), PieceIndex(2));
}

TEST(WantedPieces, AreForgottenOneByOne) {
  WantedPieces wanted(10'000);
  for (std::uint32_t piece = 0; piece < 6; ++piece) wanted.add(PieceIndex(piece));
  for (const std::uint32_t piece : {3U, 0U, 5U, 9U, 3U}) wanted.remove(PieceIndex(piece));
  EXPECT_EQ(all(wanted), (std::vector<std::uint32_t>{1, 2, 4}));
  EXPECT_FALSE(wanted.contains(PieceIndex(3)));
  for (const std::uint32_t piece : {1U, 2U, 4U}) wanted.remove(PieceIndex(piece));
  EXPECT_TRUE(wanted.empty());
}

TEST(WantedPieces, LooksAtABoundedNumber) {
  WantedPieces wanted(10'000);
  for (std::uint32_t piece = 0; piece < 10'000; ++piece) wanted.add(PieceIndex(piece));
  EXPECT_EQ(all(wanted).size(), WantedPieces::kLookedAt);
}

}  // namespace
}  // namespace swarmfs::engine
