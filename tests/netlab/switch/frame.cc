#include "tests/netlab/switch/frame.h"

#include <span>

namespace swarmfs::netlab {
namespace {

constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kTcpHeader = 20;
constexpr unsigned kEtherTypeIpv4 = 0x0800;
constexpr unsigned kEtherTypeIpv6 = 0x86DD;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kFin = 0x01, kPsh = 0x08, kCwr = 0x80;

using Bytes = std::span<std::uint8_t>;
using ConstBytes = std::span<const std::uint8_t>;

unsigned get16(ConstBytes b, std::size_t at) { return unsigned{b[at]} << 8 | b[at + 1]; }

void put16(Bytes b, std::size_t at, std::size_t value) {
  b[at] = static_cast<std::uint8_t>(value >> 8);
  b[at + 1] = static_cast<std::uint8_t>(value);
}

std::uint32_t get32(ConstBytes b, std::size_t at) {
  return std::uint32_t{get16(b, at)} << 16 | get16(b, at + 2);
}

void put32(Bytes b, std::size_t at, std::uint32_t value) {
  put16(b, at, value >> 16);
  put16(b, at + 2, value & 0xFFFF);
}

/// The Internet checksum's sum (RFC 1071) of an even number of bytes, not folded.
std::uint32_t sum16(ConstBytes b) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < b.size(); i += 2) sum += get16(b, i);
  return sum;
}

std::uint16_t fold(std::uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// Sets length and checksum of the IP header, and the packet's number among its siblings.
void fix_ip(Bytes packet, bool ipv6, std::size_t number) {
  const Bytes ip = packet.subspan(kEthernetHeader);
  if (ipv6) {
    put16(ip, 4, ip.size() - kIpv6Header);
    return;
  }
  const std::size_t header = std::size_t{ip[0] & 0x0Fu} * 4;
  put16(ip, 2, ip.size());
  put16(ip, 4, (get16(ip, 4) + number) & 0xFFFF);
  put16(ip, 10, 0);
  put16(ip, 10, static_cast<std::uint16_t>(~fold(sum16(ip.first(header)))));
}

/// The sum over the addresses, the protocol and the length: what a sender leaves in the checksum
/// field for the network card to complete (kNeedsChecksum).
std::uint16_t pseudo_header(ConstBytes packet, bool ipv6, std::size_t tcp_bytes) {
  const ConstBytes addresses =
      ipv6 ? packet.subspan(kEthernetHeader + 8, 32) : packet.subspan(kEthernetHeader + 12, 8);
  return fold(sum16(addresses) + kTcp + static_cast<std::uint32_t>(tcp_bytes));
}

}  // namespace

Shape shape_of(const Frame& frame) {
  Shape shape;
  shape.wire_bytes = frame.bytes.size();
  const Offload& offload = frame.offload;
  const bool ipv4 = offload.gso_type == Offload::kTcp4;
  const bool ipv6 = offload.gso_type == Offload::kTcp6;
  const std::size_t tcp = offload.csum_start;
  if (!(ipv4 || ipv6) || (offload.flags & Offload::kNeedsChecksum) == 0 || offload.gso_size == 0 ||
      tcp < kEthernetHeader + (ipv4 ? kIpv4Header : kIpv6Header) ||
      frame.bytes.size() < tcp + kTcpHeader ||
      get16(frame.bytes, 12) != (ipv4 ? kEtherTypeIpv4 : kEtherTypeIpv6)) {
    return shape;
  }
  const std::size_t ip_header = ipv4 ? std::size_t{frame.bytes[kEthernetHeader] & 0x0Fu} * 4 : 0;
  const std::size_t tcp_header = std::size_t{frame.bytes[tcp + 12]} / 16 * 4;
  const std::size_t header = tcp + tcp_header;
  if (tcp_header < kTcpHeader || frame.bytes.size() <= header + offload.gso_size ||
      (ipv4 && kEthernetHeader + ip_header != tcp)) {
    return shape;
  }
  const std::size_t payload = frame.bytes.size() - header;
  shape.packets = (payload + offload.gso_size - 1) / offload.gso_size;
  shape.wire_bytes += (shape.packets - 1) * header;
  shape.header_bytes = header;
  shape.segment_bytes = offload.gso_size;
  return shape;
}

Frame slice(const Frame& frame, const Shape& shape, std::size_t first, std::size_t count) {
  const std::size_t header = shape.header_bytes;
  const std::size_t begin = header + first * shape.segment_bytes;
  const std::size_t end = std::min(frame.bytes.size(), begin + count * shape.segment_bytes);
  Frame made{frame.offload, {}};
  made.bytes.reserve(header + end - begin);
  const auto at = [&](std::size_t n) {
    return frame.bytes.begin() + static_cast<std::ptrdiff_t>(n);
  };
  made.bytes.assign(at(0), at(header));
  made.bytes.insert(made.bytes.end(), at(begin), at(end));
  made.offload.header_bytes = static_cast<std::uint16_t>(header);
  if (count == 1) {
    made.offload.gso_type = Offload::kNone;
    made.offload.gso_size = 0;
  }

  const bool ipv6 = frame.offload.gso_type == Offload::kTcp6;
  const Bytes packet(made.bytes);
  const Bytes tcp = packet.subspan(frame.offload.csum_start);
  fix_ip(packet, ipv6, first);
  put32(tcp, 4, get32(tcp, 4) + static_cast<std::uint32_t>(first * shape.segment_bytes));
  // As tcp_gso_segment() of Linux does: the end of the data is in the last packet only, the
  // answer to a congestion mark in the first.
  if (end != frame.bytes.size()) tcp[13] &= static_cast<std::uint8_t>(~(kFin | kPsh));
  if (first != 0) tcp[13] &= static_cast<std::uint8_t>(~kCwr);
  put16(tcp, 16, pseudo_header(packet, ipv6, tcp.size()));
  return made;
}

}  // namespace swarmfs::netlab
