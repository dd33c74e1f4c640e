// Answers cut from a connection's bytes, however these are delivered.
#include "swarm/net/http_responses.h"

#include <gtest/gtest.h>

#include <random>

namespace swarmfs::net {
namespace {

struct Heard {
  std::string
      events;  ///< "206[bytes 0-4/9]", the body, "." or "x" where the connection is not kept
  HttpResponses responses{{[this](const wire::HttpHead& head) {
                             events += std::to_string(head.status) + "[" + head.content_range + "]";
                             return true;
                           },
                           [this](ByteView bytes) {
                             events += as_text(bytes);
                             return true;
                           },
                           [this](bool kept) {
                             events += kept ? "." : "x";
                             return true;
                           }}};
  bool feed(std::string_view text) { return responses.feed(as_bytes(text)).has_value(); }
};

constexpr std::string_view kThree =
    "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9\r\n\r\nhello"
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
constexpr std::string_view kHeard = "206[bytes 0-4/9]hello.200[]abcdefg.404[]x";

TEST(HttpResponses, FollowOneAnotherOnAConnection) {
  Heard heard;
  EXPECT_TRUE(heard.feed(kThree));
  EXPECT_EQ(heard.events, kHeard);
}

TEST(HttpResponses, ComeInWhateverParts) {
  std::mt19937 rng(1);
  for (int round = 0; round < 300; ++round) {
    Heard heard;
    for (std::size_t at = 0; at < kThree.size();) {
      const std::size_t n = std::min<std::size_t>(1 + rng() % (round % 40 + 1), kThree.size() - at);
      ASSERT_TRUE(heard.feed(kThree.substr(at, n)));
      at += n;
    }
    EXPECT_EQ(heard.events, kHeard);
  }
}

TEST(HttpResponses, ABodyWithoutLengthEndsWithTheConnection) {
  Heard heard;
  EXPECT_TRUE(heard.feed("HTTP/1.0 200 OK\r\n\r\nall of it"));
  EXPECT_TRUE(heard.responses.ended());
  EXPECT_EQ(heard.events, "200[]all of itx");
}

TEST(HttpResponses, AnEndWithinAnAnswerIsAnError) {
  for (const char* text : {"HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}) {
    Heard heard;
    EXPECT_TRUE(heard.feed(text));
    EXPECT_FALSE(heard.responses.ended()) << text;
  }
  Heard nothing;
  EXPECT_TRUE(nothing.responses.ended());
}

TEST(HttpResponses, WhatIsNoHttpOrTooLongIsRefused) {
  EXPECT_FALSE(Heard().feed("SSH-2.0-OpenSSH\r\n\r\n"));
  EXPECT_FALSE(Heard().feed("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"));
  EXPECT_FALSE(Heard().feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
  Heard endless;
  bool taken = true;
  std::size_t fed = 0;
  for (; taken && fed < 100'000; fed += 1000) taken = endless.feed(std::string(1000, 'H'));
  EXPECT_FALSE(taken);
  EXPECT_LE(fed, 2 * HttpResponses::kMaxHeader);
}

TEST(HttpResponses, MutatedBytesNeverCrash) {
  std::mt19937 rng(2);
  for (int round = 0; round < 3000; ++round) {
    std::string text(kThree);
    for (int change = 0; change < 3; ++change) text[rng() % text.size()] = static_cast<char>(rng());
    Heard heard;
    if (heard.feed(text.substr(0, text.size() / 2)) && heard.feed(text.substr(text.size() / 2)))
      (void)heard.responses.ended();
    EXPECT_LE(heard.events.size(), 4 * text.size());
  }
}

TEST(HttpResponses, StopWhenTheyAreToldTo) {
  int heads = 0;
  HttpResponses responses({[&](const wire::HttpHead&) { return ++heads > 1; },
                           [](ByteView) -> bool {
                             ADD_FAILURE();
                             return false;
                           },
                           [](bool) -> bool {
                             ADD_FAILURE();
                             return false;
                           }});
  EXPECT_TRUE(responses.feed(as_bytes(kThree)));
  EXPECT_TRUE(responses.feed(as_bytes(kThree)));
  EXPECT_EQ(heads, 1);
}

}  // namespace
}  // namespace swarmfs::net
