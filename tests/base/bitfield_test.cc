#include "swarm/base/bitfield.h"

#include <gtest/gtest.h>

#include <random>

namespace swarmfs {
namespace {

TEST(Bitfield, CountsWhatIsSetAndCleared) {
  std::mt19937 rng(1);
  for (const std::uint32_t size : {1U, 7U, 8U, 63U, 64U, 65U, 1000U}) {
    Bitfield bits(size);
    std::vector<bool> model(size);
    for (int i = 0; i < 2000; ++i) {
      const std::uint32_t at = rng() % size;
      const bool on = rng() % 2 == 0;
      const bool changed = on ? bits.set(PieceIndex(at)) : bits.clear(PieceIndex(at));
      EXPECT_EQ(changed, model[at] != on);
      model[at] = on;
      const auto count = static_cast<std::uint32_t>(std::count(model.begin(), model.end(), true));
      ASSERT_EQ(bits.count(), count);
      ASSERT_EQ(bits.all(), count == size);
      ASSERT_EQ(bits.test(PieceIndex(at)), on);
    }
  }
}

TEST(Bitfield, TheWireFormHasPieceZeroInTheHighBit) {
  Bitfield bits(10);
  bits.set(PieceIndex(0));
  bits.set(PieceIndex(9));
  EXPECT_EQ(bits.to_wire(), (Bytes{0x80, 0x40}));
}

TEST(Bitfield, EveryWireFormReadsBack) {
  std::mt19937 rng(2);
  for (std::uint32_t size = 0; size < 200; ++size) {
    Bitfield bits(size);
    for (std::uint32_t i = 0; i < size; ++i)
      if (rng() % 2) bits.set(PieceIndex(i));
    Bitfield back(size);
    ASSERT_TRUE(back.from_wire(bits.to_wire()));
    EXPECT_EQ(back.count(), bits.count());
    for (std::uint32_t i = 0; i < size; ++i)
      EXPECT_EQ(back.test(PieceIndex(i)), bits.test(PieceIndex(i)));
  }
}

TEST(Bitfield, AWrongLengthOrASpareBitIsRefusedAndChangesNothing) {
  Bitfield bits(10);
  bits.set(PieceIndex(3));
  EXPECT_FALSE(bits.from_wire(Bytes{0xff}));
  EXPECT_FALSE(bits.from_wire(Bytes{0xff, 0xc0, 0x00}));
  EXPECT_FALSE(bits.from_wire(Bytes{}));
  for (int spare = 0; spare < 6; ++spare)
    EXPECT_FALSE(bits.from_wire(Bytes{0xff, static_cast<std::uint8_t>(0xc0 | 1 << spare)}));
  EXPECT_EQ(bits.count(), 1U);
  EXPECT_TRUE(bits.test(PieceIndex(3)));
  EXPECT_TRUE(bits.from_wire(Bytes{0xff, 0xc0}));
  EXPECT_TRUE(bits.all());
}

TEST(Bitfield, SetAllSetsNoSpareBits) {
  for (const std::uint32_t size : {0U, 1U, 63U, 64U, 65U, 130U}) {
    Bitfield bits(size);
    bits.set_all();
    EXPECT_TRUE(bits.all());
    EXPECT_EQ(bits.count(), size);
    Bitfield again(size);
    EXPECT_TRUE(again.from_wire(bits.to_wire()));
    EXPECT_FALSE(bits.has_beyond(again));
  }
}

TEST(Bitfield, HasBeyondFindsTheOneMissingPiece) {
  Bitfield mine(130), theirs(130);
  EXPECT_FALSE(theirs.has_beyond(mine));
  theirs.set(PieceIndex(129));
  EXPECT_TRUE(theirs.has_beyond(mine));
  EXPECT_FALSE(mine.has_beyond(theirs));
  mine.set(PieceIndex(129));
  mine.set(PieceIndex(5));
  EXPECT_FALSE(theirs.has_beyond(mine));
}

}  // namespace
}  // namespace swarmfs
