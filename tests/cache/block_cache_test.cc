#include "cache/block_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

namespace swarmfs::cache {
namespace {

BlockPtr block_of(std::uint32_t piece, std::uint32_t block, std::uint32_t size = kBlockSize) {
  auto made = std::make_shared<Block>();
  made->size = size;
  made->data.fill(static_cast<std::uint8_t>(piece * 31 + block));
  return made;
}

bool is_right(const BlockPtr& content, std::uint32_t piece, std::uint32_t block) {
  return content->data[0] == static_cast<std::uint8_t>(piece * 31 + block) &&
         content->data[kBlockSize - 1] == content->data[0];
}

TEST(BlockCache, ReturnsWhatWasPutAndNullForTheRest) {
  BlockCache cache(1 << 20);
  const BlockPtr content = block_of(3, 1);
  cache.put(PieceIndex(3), 1, content, false);
  EXPECT_EQ(cache.get(PieceIndex(3), 1), content);
  EXPECT_EQ(cache.get(PieceIndex(1), 3), nullptr);
  EXPECT_EQ(cache.stats().hits, 1U);
  EXPECT_EQ(cache.stats().misses, 1U);
  cache.erase(PieceIndex(3), 2);
  EXPECT_EQ(cache.get(PieceIndex(3), 1), nullptr);
  EXPECT_EQ(cache.stats().bytes, 0U);
}

TEST(BlockCache, StaysWithinItsCapacity) {
  constexpr std::uint64_t kCapacity = 4 << 20;
  BlockCache cache(kCapacity);
  for (std::uint32_t piece = 0; piece < 100; ++piece)
    for (std::uint32_t block = 0; block < 64; ++block) {
      cache.put(PieceIndex(piece), block, block_of(piece, block), false);
      ASSERT_LE(cache.stats().bytes, kCapacity);
    }
  EXPECT_GT(cache.stats().bytes, kCapacity * 3 / 4);
  EXPECT_EQ(cache.stats().evicted * kBlockSize + cache.stats().bytes, 6400ULL * kBlockSize);
}

TEST(BlockCache, ShrinksToAnotherCapacityAtOnceButForWhatTheDiskHasYetToTake) {
  BlockCache cache(4 << 20);
  for (std::uint32_t block = 0; block < 256; ++block)
    cache.put(PieceIndex(0), block, block_of(0, block), block < 16);
  cache.set_capacity(1 << 20);
  EXPECT_LE(cache.stats().bytes, (1 << 20) + 16ULL * kBlockSize);
  for (std::uint32_t block = 0; block < 16; ++block)
    EXPECT_TRUE(cache.contains(PieceIndex(0), block));
}

TEST(BlockCache, NeverEvictsUnwrittenBlocksAndCountsThem) {
  BlockCache cache(1 << 20);
  for (std::uint32_t piece = 0; piece < 4; ++piece)
    for (std::uint32_t block = 0; block < 64; ++block)
      cache.put(PieceIndex(piece), block, block_of(piece, block), true);
  EXPECT_EQ(cache.unwritten_bytes(), 4ULL << 20);
  for (std::uint32_t block = 0; block < 640; ++block)
    cache.put(PieceIndex(9), block, block_of(9, block), false);
  for (std::uint32_t piece = 0; piece < 4; ++piece)
    for (std::uint32_t block = 0; block < 64; ++block)
      ASSERT_TRUE(cache.get(PieceIndex(piece), block));
  cache.put(PieceIndex(0), 0, block_of(0, 0), false);  // still not on disk
  EXPECT_EQ(cache.unwritten_bytes(), 4ULL << 20);
  for (std::uint32_t piece = 0; piece < 4; ++piece) cache.written(PieceIndex(piece), 64);
  EXPECT_EQ(cache.unwritten_bytes(), 0U);
  EXPECT_EQ(cache.stats().unwritten_bytes, 0U);
  EXPECT_LE(cache.stats().bytes, 1U << 20);
}

TEST(BlockCache, KeepsWhatIsReadAgainThroughALongSequentialRead) {
  BlockCache cache(2 << 20);
  for (std::uint32_t block = 0; block < 32; ++block)
    cache.put(PieceIndex(0), block, block_of(0, block), false);
  for (std::uint32_t block = 0; block < 2000; ++block) {
    cache.put(PieceIndex(7), block, block_of(7, block), false);
    cache.get(PieceIndex(7), block);  // once each
    for (std::uint32_t hot = 0; hot < 32; ++hot) cache.get(PieceIndex(0), hot);
  }
  for (std::uint32_t block = 0; block < 32; ++block)
    EXPECT_TRUE(cache.contains(PieceIndex(0), block)) << block;
}

TEST(BlockCache, AgreesWithAModelUnderRandomUse) {
  std::mt19937 rng(11);
  BlockCache cache(64 * kBlockSize);
  struct Known {
    BlockPtr content;
    bool pinned;
  };
  std::map<std::pair<std::uint32_t, std::uint32_t>, Known> model;
  for (int step = 0; step < 50000; ++step) {
    const std::uint32_t piece = rng() % 8;
    const std::uint32_t block = rng() % 32;
    switch (rng() % 16) {
      case 0:
        cache.written(PieceIndex(piece), 32);
        for (std::uint32_t b = 0; b < 32; ++b)
          if (const auto it = model.find({piece, b}); it != model.end()) it->second.pinned = false;
        break;
      case 1:
        cache.erase(PieceIndex(piece), 32);
        for (std::uint32_t b = 0; b < 32; ++b) model.erase({piece, b});
        break;
      case 2:
      case 3:
      case 4:
      case 5: {
        const BlockPtr content = block_of(piece, block, 1 + rng() % kBlockSize);
        const bool pinned = rng() % 4 == 0;
        Known& known = model[{piece, block}];
        known = {content, known.pinned || pinned};
        cache.put(PieceIndex(piece), block, content, pinned);
        break;
      }
      default: {
        const BlockPtr got = cache.get(PieceIndex(piece), block);
        const auto it = model.find({piece, block});
        if (got) {
          ASSERT_TRUE(it != model.end());
          ASSERT_EQ(got, it->second.content);
        } else if (it != model.end()) {
          ASSERT_FALSE(it->second.pinned) << "an unwritten block was evicted";
          model.erase(it);
        }
      }
    }
    std::uint64_t pinned = 0;
    if (step % 100 != 0) continue;
    for (const auto& [key, known] : model) pinned += known.pinned ? known.content->size : 0;
    ASSERT_EQ(cache.unwritten_bytes(), pinned);
    ASSERT_EQ(cache.stats().unwritten_bytes, pinned);
  }
}

TEST(BlockCache, ServesManyThreadsAtOnce) {
  BlockCache cache(1 << 20);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (std::uint32_t seed = 0; seed < 8; ++seed)
    threads.emplace_back([&cache, &wrong, seed] {
      std::mt19937 rng(seed);
      for (int i = 0; i < 5000; ++i) {
        const std::uint32_t piece = rng() % 16;
        const std::uint32_t block = rng() % 16;
        const std::uint32_t what = rng() % 8;
        if (what == 0) {
          cache.put(PieceIndex(piece), block, block_of(piece, block), rng() % 2 == 0);
        } else if (what == 1) {
          cache.written(PieceIndex(piece), 16);
        } else if (what == 2 && rng() % 4 == 0) {
          cache.erase(PieceIndex(piece), 16);
        } else if (const BlockPtr got = cache.get(PieceIndex(piece), block);
                   got && !is_right(got, piece, block)) {
          ++wrong;
        }
      }
    });
  threads.clear();
  EXPECT_EQ(wrong, 0);
  for (std::uint32_t piece = 0; piece < 16; ++piece) cache.written(PieceIndex(piece), 16);
  EXPECT_EQ(cache.unwritten_bytes(), 0U);
}

}  // namespace
}  // namespace swarmfs::cache
