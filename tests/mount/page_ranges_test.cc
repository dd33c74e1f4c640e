#include "mount/page_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace swarmfs::mount {
namespace {

TEST(PageRanges, AgreesWithAListOfBits) {
  std::mt19937 rng(5);
  PageRanges ranges;
  std::vector<bool> bits(64);
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t begin = rng() % 64;
    const std::size_t end = begin + 1 + rng() % (64 - begin);
    bool any = false;
    for (std::size_t b = begin; b < end; ++b) any = any || bits[b];
    ASSERT_EQ(ranges.overlaps(begin, end), any);
    const bool set = rng() % 2 == 0;
    set ? ranges.insert(begin, end) : ranges.erase(begin, end);
    for (std::size_t b = begin; b < end; ++b) bits[b] = set;
    bool none = true;
    for (const bool bit : bits) none = none && !bit;
    ASSERT_EQ(ranges.empty(), none);
  }
}

}  // namespace
}  // namespace swarmfs::mount
