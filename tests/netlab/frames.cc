#include "tests/netlab/frames.h"

namespace swarmfs::netlab {
namespace {

void address(std::vector<std::uint8_t>& bytes, std::uint8_t station) {
  const std::uint8_t first = station == 0xFF ? 0xFF : 0x02;
  const std::uint8_t middle = station == 0xFF ? 0xFF : 0;
  bytes.insert(bytes.end(), {first, middle, middle, middle, middle, station});
}

void append(std::vector<std::uint8_t>& bytes, std::initializer_list<int> values) {
  for (const int value : values) bytes.push_back(static_cast<std::uint8_t>(value));
}

}  // namespace

Frame small_frame(std::size_t size, std::uint8_t from, std::uint8_t to) {
  Frame frame;
  address(frame.bytes, to);
  address(frame.bytes, from);
  append(frame.bytes, {0x08, 0x06});
  frame.bytes.resize(size);
  return frame;
}

Frame tcp_frame(std::size_t payload, std::uint16_t mss, bool ipv6, std::uint8_t from,
                std::uint8_t to) {
  Frame frame;
  std::vector<std::uint8_t>& b = frame.bytes;
  address(b, to);
  address(b, from);
  const int length = static_cast<int>(payload) + 32;
  if (ipv6) {
    append(b, {0x86, 0xDD, 0x60, 0, 0, 0, length >> 8, length, 6, 64});
    for (int i = 0; i < 32; ++i) append(b, {0xF0 + i});
  } else {
    append(b, {0x08, 0x00, 0x45, 0, (length + 20) >> 8, length + 20, 0, 7, 0x40, 0, 64, 6, 0, 0});
    append(b, {10, 77, 0, from, 10, 77, 0, to});
  }
  const std::size_t tcp = b.size();
  append(b, {0x1A, 0xE1, 0x1A, 0xE2, 0, 0, 1000 >> 8, 1000 & 0xFF, 0, 0, 0, 0});
  append(b, {0x80, 0x80 | 0x10 | 0x08 | 0x01, 0xFF, 0xFF, 0xAB, 0xCD, 0, 0});  // CWR ACK PSH FIN
  append(b, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});                            // timestamps
  for (std::size_t i = 0; i < payload; ++i) b.push_back(static_cast<std::uint8_t>(i));
  frame.offload.flags = Offload::kNeedsChecksum;
  frame.offload.csum_start = static_cast<std::uint16_t>(tcp);
  frame.offload.csum_offset = 16;
  if (payload > mss) {
    frame.offload.gso_type = ipv6 ? Offload::kTcp6 : Offload::kTcp4;
    frame.offload.gso_size = mss;
  }
  return frame;
}

}  // namespace swarmfs::netlab
