#include "swarm/engine/message_framer.h"

#include <gtest/gtest.h>

#include <random>

namespace swarmfs::engine {
namespace {

struct Frames {
  std::vector<Bytes> seen;
  std::size_t handshakes = 0;
  std::size_t stop_after = ~std::size_t{0};

  bool operator()(ByteView frame, bool is_handshake) {
    seen.emplace_back(frame.begin(), frame.end());
    if (is_handshake) {
      EXPECT_TRUE(seen.size() == 1);
      ++handshakes;
    }
    return seen.size() < stop_after;
  }
};

/// A stream of random messages, among them keep-alives and long ones.
Bytes stream_of(std::mt19937& rng, bool handshake, std::vector<Bytes>& frames) {
  Bytes stream;
  if (handshake) {
    wire::append_handshake(stream, {});
    frames.push_back(stream);
  }
  for (int i = 0; i < 40; ++i) {
    Bytes body(rng() % 4 == 0 ? 0 : rng() % (rng() % 8 == 0 ? 20'000 : 60));
    for (auto& b : body) b = static_cast<std::uint8_t>(rng());
    append_be(stream, static_cast<std::uint32_t>(body.size()));
    append(stream, body);
    frames.push_back(std::move(body));
  }
  return stream;
}

void feed_in_cuts(std::mt19937& rng, std::size_t longest, bool handshake) {
  std::vector<Bytes> expected;
  const Bytes stream = stream_of(rng, handshake, expected);
  MessageFramer framer(handshake);
  Frames frames;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t n = std::min<std::size_t>(1 + rng() % longest, stream.size() - at);
    const Bytes part(stream.begin() + static_cast<std::ptrdiff_t>(at),
                     stream.begin() + static_cast<std::ptrdiff_t>(at + n));
    ASSERT_TRUE(framer.feed(part, frames));
    at += n;
  }
  EXPECT_EQ(frames.seen, expected);
  EXPECT_EQ(frames.handshakes, handshake ? 1U : 0U);
}

TEST(MessageFramer, CutsTheSameFramesHoweverTheBytesCome) {
  std::mt19937 rng(3);
  for (int round = 0; round < 4; ++round) {
    feed_in_cuts(rng, 1, round % 2 == 0);
    feed_in_cuts(rng, 7, round % 2 == 0);
    feed_in_cuts(rng, 5000, round % 2 == 0);
    feed_in_cuts(rng, 1 << 20, round % 2 == 0);
  }
}

TEST(MessageFramer, AnOversizedMessageIsRefusedByItsPrefixAlone) {
  for (const std::uint32_t length : {wire::kMaxMessageSize + 1, 0x7fffffffU, 0xffffffffU}) {
    MessageFramer framer(false);
    Frames frames;
    Bytes prefix;
    append_be(prefix, length);
    EXPECT_TRUE(framer.feed(ByteView(prefix).first(3), frames));
    const auto fed = framer.feed(ByteView(prefix).subspan(3), frames);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().kind, ErrorKind::protocol);
    EXPECT_TRUE(frames.seen.empty());
  }
}

TEST(MessageFramer, TheLimitIsTheOneItWasGiven) {
  MessageFramer framer(false, 1000);
  Frames frames;
  Bytes whole;
  append_be<std::uint32_t>(whole, 1000);
  whole.resize(1004);
  EXPECT_TRUE(framer.feed(whole, frames));
  EXPECT_EQ(frames.seen.size(), 1U);
  Bytes prefix;
  append_be<std::uint32_t>(prefix, 1001);
  EXPECT_FALSE(framer.feed(prefix, frames));
}

TEST(MessageFramer, NothingComesAfterTheReceiverSaidStop) {
  Bytes stream;
  for (int i = 0; i < 5; ++i) append_be<std::uint32_t>(stream, 0);
  MessageFramer framer(false);
  Frames frames;
  frames.stop_after = 2;
  EXPECT_TRUE(framer.feed(stream, frames));
  EXPECT_EQ(frames.seen.size(), 2U);
}

}  // namespace
}  // namespace swarmfs::engine
