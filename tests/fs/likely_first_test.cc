#include "fs/likely_first.h"

#include <gtest/gtest.h>

namespace swarmfs::fs {
namespace {

constexpr std::uint64_t kKiB = 1024;

TEST(LikelyFirst, HeadAndTailOfFilmsAndArchivesTheLargestFirst) {
  const std::vector<NamedFile> files{{FileIndex(0), "notes.txt", 900 * kKiB},
                                     {FileIndex(1), "small.zip", 200 * kKiB},
                                     {FileIndex(2), "film.part1.MKV", 5000 * kKiB},
                                     {FileIndex(3), "mkv", 5000 * kKiB}};
  const std::vector<FileRange> expected{{FileIndex(2), 0, 64 * kKiB},
                                        {FileIndex(2), 4936 * kKiB, 5000 * kKiB},
                                        {FileIndex(1), 0, 64 * kKiB},
                                        {FileIndex(1), 136 * kKiB, 200 * kKiB}};
  EXPECT_EQ(likely_first(files), expected);
}

TEST(LikelyFirst, RangesOfShortFilesDoNotOverlapAndEmptyOnesHaveNone) {
  const std::vector<NamedFile> files{{FileIndex(0), "a.mp4", 100 * kKiB},
                                     {FileIndex(1), "b.mp4", 10 * kKiB},
                                     {FileIndex(2), "c.mp4", 0}};
  const std::vector<FileRange> expected{{FileIndex(0), 0, 64 * kKiB},
                                        {FileIndex(0), 64 * kKiB, 100 * kKiB},
                                        {FileIndex(1), 0, 10 * kKiB}};
  EXPECT_EQ(likely_first(files), expected);
}

TEST(LikelyFirst, AreFewHoweverManyFilesThereAre) {
  std::vector<NamedFile> files(3000, {FileIndex(0), "x.mp3", 4000 * kKiB});
  EXPECT_EQ(likely_first(files).size(), 16U);
}

}  // namespace
}  // namespace swarmfs::fs
