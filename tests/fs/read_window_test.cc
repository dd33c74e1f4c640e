#include "fs/read_window.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace swarmfs::fs {
namespace {

using std::chrono::milliseconds;
constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kLength = 1024 * kMiB;

/// Feeds reads 1 ms apart and remembers what each stream's window is.
struct Harness {
  explicit Harness(std::uint64_t length = kLength) : window(length) {}

  std::uint32_t read(std::uint64_t offset, std::uint64_t length = 128 * kKiB,
                     std::uint32_t reader = 1) {
    now += milliseconds(1);
    const auto outcome = window.on_read(offset, length, reader, now);
    note(outcome.changes);
    return outcome.stream;
  }
  std::uint64_t sequential(std::uint64_t from, std::uint64_t to, std::uint32_t reader = 1) {
    for (; from < to; from += 128 * kKiB) read(from, 128 * kKiB, reader);
    return from;
  }
  void pass(Duration time) {
    now += time;
    note(window.on_timer(now));
  }
  void note(const std::vector<WindowChange>& changes) {
    for (const auto& c : changes) {
      ++told;
      std::erase_if(shown, [&](const auto& s) { return s.stream == c.stream; });
      if (c.begin != c.end) shown.push_back(c);
    }
  }
  ReadWindow window;
  TimePoint now{};
  std::vector<WindowChange> shown;
  int told = 0;
};

TEST(ReadWindow, StaysShutForProbesOfHeadAndTail) {
  Harness h;
  h.read(0, 16 * kKiB);
  h.read(16 * kKiB, 32 * kKiB);
  h.read(kLength - 64 * kKiB, 64 * kKiB);
  EXPECT_TRUE(h.shown.empty());
}

TEST(ReadWindow, StaysShutForWhatTheKernelReadsAheadOnItsOwn) {
  Harness h;
  h.read(0);
  EXPECT_TRUE(h.shown.empty());
  h.read(128 * kKiB, 64 * kKiB);
  EXPECT_TRUE(h.shown.empty());
}

TEST(ReadWindow, OpensAheadOfSequentialReadsAndDoublesToTheCap) {
  Harness h;
  std::uint64_t at = h.sequential(0, 256 * kKiB);
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_EQ(h.shown[0].begin, at);
  EXPECT_EQ(h.shown[0].end - h.shown[0].begin, kMiB);
  std::uint64_t last = kMiB;
  while (at < 300 * kMiB) {
    at = h.sequential(at, at + kMiB);
    ASSERT_EQ(h.shown.size(), 1U);
    EXPECT_LE(h.shown[0].begin, at);
    EXPECT_GT(h.shown[0].end, at);
    const std::uint64_t size = h.shown[0].end - h.shown[0].begin;
    EXPECT_GE(size, last);
    EXPECT_LE(size, 64 * kMiB);
    last = size;
  }
  EXPECT_EQ(last, 64 * kMiB);
  EXPECT_LT(h.told, 200);
}

TEST(ReadWindow, TakesOutOfOrderReadsForTheSameStream) {
  Harness h;
  const std::uint64_t kKib128 = 128 * kKiB;
  for (std::uint64_t at = 0; at < 4 * kMiB; at += 2 * kKib128) {
    EXPECT_EQ(h.read(at + kKib128), 0U);
    EXPECT_EQ(h.read(at), 0U);
  }
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_GE(h.shown[0].end, 5 * kMiB);
}

TEST(ReadWindow, SmallForwardSkipIsNoSeek) {
  Harness h;
  h.sequential(0, 16 * kMiB);
  const std::uint64_t size = h.shown[0].end - h.shown[0].begin;
  ASSERT_GE(size, 8 * kMiB);
  EXPECT_EQ(h.read(20 * kMiB), 0U);
  h.pass(milliseconds(100));
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_GE(h.shown[0].end - h.shown[0].begin, size);
  EXPECT_EQ(h.shown[0].begin, 20 * kMiB + 128 * kKiB);
}

TEST(ReadWindow, SeekCollapsesTheOldWindowAfterTheWait) {
  Harness h;
  h.sequential(0, 16 * kMiB);
  EXPECT_EQ(h.window.deadline(), std::nullopt);
  EXPECT_NE(h.read(500 * kMiB), 0U);
  ASSERT_TRUE(h.window.deadline());
  h.pass(milliseconds(10));
  EXPECT_EQ(h.shown.size(), 1U) << "too early to call it a seek";
  h.pass(milliseconds(15));
  EXPECT_TRUE(h.shown.empty());
  EXPECT_EQ(h.window.deadline(), std::nullopt);
  // Coming back starts small.
  h.sequential(16 * kMiB, 16 * kMiB + 256 * kKiB);
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_EQ(h.shown[0].end - h.shown[0].begin, kMiB);
}

TEST(ReadWindow, ReadThatComesBackInTimeIsNoSeek) {
  Harness h;
  std::uint64_t at = h.sequential(0, 16 * kMiB);
  h.read(500 * kMiB);
  h.pass(milliseconds(15));
  h.read(at);
  h.pass(milliseconds(15));
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_GT(h.shown[0].end, at + 4 * kMiB);
}

TEST(ReadWindow, SeveralReadersHaveAWindowEach) {
  Harness h;
  for (std::uint64_t step = 0; step < 64; ++step) {
    for (std::uint32_t reader = 1; reader <= 3; ++reader)
      h.read(reader * 200 * kMiB + step * 128 * kKiB, 128 * kKiB, reader);
    h.pass(milliseconds(30));
  }
  EXPECT_EQ(h.shown.size(), 3U);
}

TEST(ReadWindow, RandomReadsNeverOpenAWindow) {
  Harness h;
  std::uint64_t x = 88172645463325252ULL;
  for (int i = 0; i < 2000; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    h.read(x % (kLength - 4096), 4096);
    h.pass(milliseconds(25));
  }
  EXPECT_TRUE(h.shown.empty());
}

TEST(ReadWindow, NeverReachesBeyondTheFileAndEndsWithIt) {
  Harness h(3 * kMiB);
  h.sequential(0, 2 * kMiB);
  ASSERT_EQ(h.shown.size(), 1U);
  EXPECT_EQ(h.shown[0].end, 3 * kMiB);
  h.sequential(2 * kMiB, 3 * kMiB);
  EXPECT_TRUE(h.shown.empty());
}

TEST(ReadWindow, ForgetsTheStreamLeastRecentlyReadWhenThereAreTooMany) {
  Harness h;
  h.sequential(0, kMiB, 99);
  ASSERT_EQ(h.shown.size(), 1U);
  for (std::uint32_t i = 1; i <= 8; ++i) EXPECT_LT(h.read(i * 100 * kMiB, 4096, i), 8U);
  EXPECT_TRUE(h.shown.empty());
}

/// Reads 128 KiB each `every`; the last window told.
WindowChange paced(Harness& h, std::uint64_t from, std::uint64_t to, Duration every, bool waits) {
  for (; from < to; from += 128 * kKiB) {
    h.now += every;
    const std::uint32_t stream = h.read(from);
    if (waits) h.window.on_wait(stream);
  }
  return h.shown.at(0);
}

TEST(ReadWindow, TellsHowFastItsReaderTakesWhatIsHere) {
  Harness h;
  const WindowChange told = paced(h, 0, 64 * kMiB, milliseconds(99), false);
  EXPECT_NEAR(told.bps, 1310720.0, 20000.0);
  // Half a minute of it, not the whole cap.
  EXPECT_NEAR(static_cast<double>(told.end - told.begin), told.bps * 30, 1.0 * kMiB);
}

TEST(ReadWindow, KnowsNoRateOfAReaderThatAlwaysWaits) {
  Harness h;
  const WindowChange told = paced(h, 0, 64 * kMiB, milliseconds(99), true);
  EXPECT_EQ(told.bps, 0.0);
  EXPECT_EQ(told.end - told.begin, 64 * kMiB);
}

TEST(ReadWindow, APauseIsNoSlowReader) {
  Harness h;
  paced(h, 0, 16 * kMiB, milliseconds(99), false);
  h.pass(std::chrono::minutes(10));
  const WindowChange told = paced(h, 16 * kMiB, 32 * kMiB, milliseconds(99), false);
  EXPECT_NEAR(told.bps, 1310720.0, 20000.0);
}

TEST(ReadWindow, TheRateFollowsItsReader) {
  Harness h;
  paced(h, 0, 32 * kMiB, milliseconds(99), false);
  const WindowChange told = paced(h, 32 * kMiB, 96 * kMiB, milliseconds(24), false);
  EXPECT_NEAR(told.bps, 5242880.0, 100000.0);
}

}  // namespace
}  // namespace swarmfs::fs
