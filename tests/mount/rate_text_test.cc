#include "mount/rate_text.h"

#include <gtest/gtest.h>

#include <utility>

namespace swarmfs::mount {
namespace {

TEST(RateText, ReadsBytesAndBitsASecond) {
  const std::pair<const char*, std::uint64_t> rates[] = {
      {"500K", 512'000},
      {"2M", 2 << 20},
      {"1.5MiB", 1'572'864},
      {"2MB/s", 2 << 20},
      {"10Mbit", 1'250'000},
      {"10mbit/s", 1'250'000},
      {"8bit", 1},
      {"64kbit", 8000},
      {"1Gbit", 125'000'000},
      {"1", 1},
      {"0", 0},
      {"none", 0},
      {"None", 0},
      {"1024", 1024},
      {"100m", 100 << 20},
  };
  for (const auto& [text, bps] : rates) {
    const auto rate = parse_rate(text);
    ASSERT_TRUE(rate) << text;
    EXPECT_EQ(*rate, bps) << text;
  }
}

TEST(RateText, RefusesWhatIsNoneInOneLine) {
  for (const char* text : {"", "fast", "-1", "0.2", "1bit", "K", "10Mbits", "1e400", "nan", "0x10",
                           "5 M", "1M/h", "bit", "1.5.5M", "9999999999999Gbit", "0K"}) {
    const auto rate = parse_rate(text);
    ASSERT_FALSE(rate) << text;
    EXPECT_EQ(rate.error().kind, ErrorKind::bad_input);
    EXPECT_NE(rate.error().message.find('"' + std::string(text) + '"'), std::string::npos);
  }
}

TEST(RateText, ShowsLimits) {
  EXPECT_EQ(limit_text(0), "none");
  EXPECT_EQ(limit_text(512'000), "500 KiB/s");
}

TEST(ByteRange, IsOfAFileWhateverItsLength) {
  struct Case {
    const char* text;
    std::uint64_t length, begin, end;
  };
  const Case cases[] = {
      {"", 100, 0, 100},
      {"0-1K", 5000, 0, 1024},
      {"0-1K", 100, 0, 100},
      {"10-20", 100, 10, 20},
      {"10-", 100, 10, 100},
      {"-30", 100, 70, 100},
      {"-1K", 100, 0, 100},
      {"1K-2K", 100, 100, 100},
      {"100-", 100, 100, 100},
      {"0-", 0, 0, 0},
      {"-5", 0, 0, 0},
      {"50-200", 100, 50, 100},
      {"1.5K-2K", 9999, 1536, 2048},
  };
  for (const Case& c : cases) {
    const auto range = ByteRange::parse(c.text);
    ASSERT_TRUE(range) << c.text;
    EXPECT_EQ(range->of(c.length).begin, c.begin) << c.text << " of " << c.length;
    EXPECT_EQ(range->of(c.length).end, c.end) << c.text << " of " << c.length;
  }
}

TEST(ByteRange, RefusesWhatIsNoneAndSaysWhy) {
  const std::pair<const char*, const char*> bad[] = {
      {"5", "no -"},        {"-", "no number"},  {"x-5", "\"x\""},      {"5-x", "\"x\""},
      {"5-5", "no bytes"},  {"9-5", "no bytes"}, {"-0", "no bytes"},    {"0-0", "no bytes"},
      {"1-2-3", "\"2-3\""}, {"--5", "\"-5\""},   {"1M-1K", "no bytes"},
  };
  for (const auto& [text, why] : bad) {
    const auto range = ByteRange::parse(text);
    ASSERT_FALSE(range) << text;
    EXPECT_EQ(range.error().kind, ErrorKind::bad_input);
    EXPECT_NE(range.error().message.find(why), std::string::npos) << range.error().message;
  }
}

}  // namespace
}  // namespace swarmfs::mount
