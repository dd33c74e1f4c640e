// An Ethernet frame as a TAP device with IFF_VNET_HDR hands it over, and its real packets.
//
// A sender's kernel leaves cutting TCP data into packets to the network card, so one frame can
// stand for up to 64 KiB of them (a super-frame). What a link does to packets is counted in real
// ones: packets() and wire_bytes() say what a frame stands for, slice() makes some of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace swarmfs::netlab {

/// struct virtio_net_hdr of <linux/virtio_net.h>, which is no C++; in the order of the machine.
struct Offload {
  static constexpr std::uint8_t kNeedsChecksum = 1;               // flags
  static constexpr std::uint8_t kNone = 0, kTcp4 = 1, kTcp6 = 4;  // gso_type

  std::uint8_t flags = 0;
  std::uint8_t gso_type = kNone;
  std::uint16_t header_bytes = 0;
  std::uint16_t gso_size = 0;    ///< payload of each packet but the last
  std::uint16_t csum_start = 0;  ///< where the TCP or UDP header begins
  std::uint16_t csum_offset = 0;
};
static_assert(sizeof(Offload) == 10);

struct Frame {
  Offload offload;  ///< what the sender's kernel left undone
  std::vector<std::uint8_t> bytes;
};

/// The numbers of a frame, read from its headers once.
struct Shape {
  std::size_t packets = 1;
  std::size_t wire_bytes = 0;  ///< of all packets, with their Ethernet headers; no preamble, no FCS
  std::size_t header_bytes = 0;   ///< of each packet, if there are more than one
  std::size_t segment_bytes = 0;  ///< payload of each but the last, if there are more than one
};

/// A frame whose headers do not add up is taken for one packet.
Shape shape_of(const Frame& frame);

/// `count` packets of a super-frame, from the packet numbered `first`: the frame that a network
/// card would have been given for them alone. Pre: first + count <= shape.packets, count > 0, and
/// shape.packets > 1.
Frame slice(const Frame& frame, const Shape& shape, std::size_t first, std::size_t count);

/// Calls use(Frame&&) for the frame in pieces of at most `most` packets, in order.
template <typename Use>
void for_each_piece(Frame&& frame, std::size_t most, Use use) {
  const Shape shape = shape_of(frame);
  if (shape.packets <= most) return use(std::move(frame));
  for (std::size_t first = 0; first < shape.packets; first += most) {
    use(slice(frame, shape, first, std::min(most, shape.packets - first)));
  }
}

}  // namespace swarmfs::netlab
