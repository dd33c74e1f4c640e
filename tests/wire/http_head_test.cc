#include "swarm/wire/http_head.h"

#include <gtest/gtest.h>

namespace swarmfs::wire {
namespace {

using namespace std::chrono_literals;

TEST(ContentRange, IsParsed) {
  EXPECT_EQ(parse_content_range("bytes 0-99/1234"), (ContentRange{0, 99, 1234}));
  EXPECT_EQ(parse_content_range(" bytes 5-5/* "), (ContentRange{5, 5, std::nullopt}));
  EXPECT_EQ(parse_content_range("bytes 18446744073709551614-18446744073709551614/*")->first,
            18446744073709551614U);
}

TEST(ContentRange, WhatIsNoneIsRefused) {
  for (const char* text : {"", "bytes", "bytes */1234", "bytes 9-5/100", "bytes 0-100/100",
                           "bytes 0-9/", "bytes 0-9", "items 0-9/10", "bytes 0-9/10x",
                           "bytes -9/10", "bytes 0-99999999999999999999/*", "bytes=0-9/10"})
    EXPECT_FALSE(parse_content_range(text)) << text;
}

TEST(RetryAfter, IsANumberOfSecondsOfADayAtMost) {
  EXPECT_EQ(parse_retry_after("120"), 120s);
  EXPECT_EQ(parse_retry_after(" 7\r\n"), 7s);
  EXPECT_EQ(parse_retry_after("99999999999"), 24h);
  for (const char* text : {"", "soon", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"})
    EXPECT_FALSE(parse_retry_after(text)) << text;
}

}  // namespace
}  // namespace swarmfs::wire
