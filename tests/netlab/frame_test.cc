#include "tests/netlab/switch/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/netlab/frames.h"

namespace swarmfs::netlab {
namespace {

using ::testing::ElementsAre;

unsigned get16(const Frame& f, std::size_t at) { return f.bytes[at] * 256u + f.bytes[at + 1]; }
unsigned get32(const Frame& f, std::size_t at) { return get16(f, at) * 65536 + get16(f, at + 2); }

/// The Internet checksum's sum of a range, folded: 0xFFFF over what contains its own checksum.
unsigned sum(const Frame& f, std::size_t from, std::size_t to, unsigned start = 0) {
  for (std::size_t i = from; i < to; i += 2) {
    start += f.bytes[i] * 256u + (i + 1 < to ? f.bytes[i + 1] : 0u);
  }
  while (start > 0xFFFF) start = (start & 0xFFFF) + (start >> 16);
  return start;
}

std::vector<Frame> cut(Frame frame, std::size_t most) {
  std::vector<Frame> pieces;
  for_each_piece(std::move(frame), most,
                 [&](Frame&& piece) { pieces.push_back(std::move(piece)); });
  return pieces;
}

TEST(NetlabFrame, CountsTheRealPacketsOfASuperFrame) {
  const Shape four = shape_of(tcp_frame(3 * 1448 + 1));
  EXPECT_EQ(four.packets, 4u);
  EXPECT_EQ(four.wire_bytes, 3 * 1448 + 1 + 4 * kHeaders4);
  const Shape three = shape_of(tcp_frame(3 * 1448, 1448, true));
  EXPECT_EQ(three.packets, 3u);
  EXPECT_EQ(three.wire_bytes, 3 * (1448 + kHeaders6));
  EXPECT_EQ(shape_of(tcp_frame(1448)).packets, 1u);
  EXPECT_EQ(shape_of(small_frame(60)).wire_bytes, 60u);
}

TEST(NetlabFrame, TakesForOnePacketWhatDoesNotAddUp) {
  const Frame good = tcp_frame(3000);
  ASSERT_EQ(shape_of(good).packets, 3u);
  const auto packets = [&](auto change) {
    Frame bad = good;
    change(bad);
    return shape_of(bad).packets;
  };
  EXPECT_EQ(packets([](Frame& f) { f.offload.flags = 0; }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.offload.gso_size = 0; }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.offload.gso_type = 3; }), 1u);  // UDP
  EXPECT_EQ(packets([](Frame& f) { f.offload.gso_type = Offload::kTcp6; }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.offload.csum_start = 20; }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.offload.csum_start = 0xFFFF; }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.bytes.resize(50); }), 1u);
  EXPECT_EQ(packets([](Frame& f) { f.bytes[14] = 0x46; }), 1u);  // IP options that are not there
  EXPECT_EQ(packets([](Frame& f) { f.bytes[46] = 0x10; }), 1u);  // a TCP header of 4 bytes
}

TEST(NetlabFrame, PiecesAreWhatASenderWouldHaveSentOneByOne) {
  for (const bool ipv6 : {false, true}) {
    const std::size_t headers = ipv6 ? kHeaders6 : kHeaders4, tcp = headers - 32;
    const auto pieces = cut(tcp_frame(2500, 1000, ipv6), 1);
    ASSERT_EQ(pieces.size(), 3u);
    std::vector<std::uint8_t> payload;
    for (std::size_t i = 0; i < 3; ++i) {
      const Frame& p = pieces[i];
      payload.insert(payload.end(), p.bytes.begin() + static_cast<long>(headers), p.bytes.end());
      EXPECT_EQ(p.bytes.size(), headers + (i < 2 ? 1000 : 500));
      EXPECT_EQ(get32(p, tcp + 4), 1000 + 1000 * i);
      EXPECT_EQ(p.offload.gso_type, Offload::kNone);
      EXPECT_EQ(p.offload.gso_size, 0);
      EXPECT_EQ(p.offload.flags, Offload::kNeedsChecksum);
      EXPECT_EQ(p.offload.header_bytes, headers);
      // What the network card would complete: the sum over addresses, protocol and length.
      const unsigned length = static_cast<unsigned>(p.bytes.size() - tcp);
      EXPECT_EQ(get16(p, tcp + 16), sum(p, ipv6 ? 22 : 26, tcp, 6 + length));
      if (ipv6) {
        EXPECT_EQ(get16(p, 18), length);
      } else {
        EXPECT_EQ(get16(p, 16), length + 20);
        EXPECT_EQ(get16(p, 18), 7 + i);
        EXPECT_EQ(sum(p, 14, 34), 0xFFFFu);
      }
    }
    EXPECT_EQ(payload.size(), 2500u);
    for (std::size_t i = 0; i < payload.size(); ++i) ASSERT_EQ(payload[i], i % 256);
    // CWR belongs to the first, PSH and FIN to the last, ACK to all.
    EXPECT_THAT((std::vector<int>{pieces[0].bytes[tcp + 13], pieces[1].bytes[tcp + 13],
                                  pieces[2].bytes[tcp + 13]}),
                ElementsAre(0x90, 0x10, 0x19));
  }
}

TEST(NetlabFrame, CuttingTwiceIsCuttingOnce) {
  std::vector<Frame> twice;
  for (Frame& piece : cut(tcp_frame(10'000, 1000), 4)) {
    EXPECT_LE(shape_of(piece).packets, 4u);
    for (Frame& part : cut(std::move(piece), 1)) twice.push_back(std::move(part));
  }
  const auto once = cut(tcp_frame(10'000, 1000), 1);
  ASSERT_EQ(twice.size(), once.size());
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(twice[i].bytes, once[i].bytes) << i;
}

TEST(NetlabFrame, LeavesWholeWhatIsSmallEnough) {
  const Frame frame = tcp_frame(2500, 1000);
  const auto pieces = cut(frame, 3);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].bytes, frame.bytes);
  EXPECT_EQ(pieces[0].offload.gso_size, 1000);
}

}  // namespace
}  // namespace swarmfs::netlab
