#include "mount/format.h"

#include <gtest/gtest.h>

#include "mount/progress.h"

namespace swarmfs::mount {
namespace {

TEST(Format, SizesHaveThreeDigits) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1024), "1 KiB");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(human_size(10 << 20), "10 MiB");
  EXPECT_EQ(human_size((std::uint64_t{1} << 30) - 1), "1 GiB");
  EXPECT_EQ(human_size(UINT64_MAX), "16 EiB");
  EXPECT_EQ(human_rate(2048), "2 KiB/s");
  EXPECT_EQ(human_rate(-1), "0 B/s");
}

TEST(Format, DurationsRoundUp) {
  EXPECT_EQ(human_duration(0), "0 s");
  EXPECT_EQ(human_duration(3.2), "4 s");
  EXPECT_EQ(human_duration(125), "2 min 05 s");
  EXPECT_EQ(human_duration(3 * 3600 + 7 * 60), "3 h 07 min");
  EXPECT_EQ(human_duration(5 * 86400 + 2 * 3600), "5 d 02 h");
  EXPECT_EQ(human_duration(1e300), "?");
}

TEST(Format, ParsesSizes) {
  EXPECT_EQ(parse_size("65536"), 65536u);
  EXPECT_EQ(parse_size("64K"), 65536u);
  EXPECT_EQ(parse_size("64kib"), 65536u);
  EXPECT_EQ(parse_size("1.5GiB"), 3u << 29);
  for (const char* bad : {"", "K", "-1", "1X", "1KK", "1Bi", "nan", "inf", "99999999E", "1 K"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Format, PrintableTextCannotDriveATerminal) {
  EXPECT_EQ(printable("a\x1b]52;c;x\a\r\nb\x7f"), "a?]52;c;x???b?");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m");
  EXPECT_EQ(printable("é 日本"), "é 日本");
}

TEST(Progress, SaysHowFarHowFastAndHowLong) {
  EXPECT_EQ(progress_text("hashing", 1 << 20, 4 << 20, 1 << 20, "3 peers", 100),
            "hashing  25%  1 MiB of 4 MiB  1 MiB/s  3 s left  3 peers");
  EXPECT_EQ(progress_text("x", 0, 0, 0, "", 100), "x  100%  0 B of 0 B");
  EXPECT_EQ(progress_text("hashing", 1, 2, 0, "", 10), "hashing  ");
}

TEST(Format, SaysWaitsShortly) {
  EXPECT_EQ(human_wait(0.0514), "51 ms");
  EXPECT_EQ(human_wait(0.9996), "1.0 s");
  EXPECT_EQ(human_wait(3.21), "3.2 s");
  EXPECT_EQ(human_wait(59.9), "1 min 00 s");
  EXPECT_EQ(human_wait(-1), "?");
}

}  // namespace
}  // namespace swarmfs::mount
