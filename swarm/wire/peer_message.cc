#include "swarm/wire/peer_message.h"

#include <algorithm>
#include <string>

namespace swarmfs::wire {
namespace {

constexpr std::size_t kHashRefSize = 48;

void append_header(Bytes& out, MessageId id, std::size_t payload) {
  append_be<std::uint32_t>(out, static_cast<std::uint32_t>(payload + 1));
  out.push_back(static_cast<std::uint8_t>(id));
}

void append_ref(Bytes& out, const HashRef& ref) {
  append(out, ref.pieces_root);
  append_be(out, ref.base_layer);
  append_be(out, ref.index);
  append_be(out, ref.length);
  append_be(out, ref.proof_layers);
}

HashRef parse_ref(ByteView p) {
  HashRef ref;
  std::copy_n(p.begin(), 32, ref.pieces_root.begin());
  ref.base_layer = load_be<std::uint32_t>(p.data() + 32);
  ref.index = load_be<std::uint32_t>(p.data() + 36);
  ref.length = load_be<std::uint32_t>(p.data() + 40);
  ref.proof_layers = load_be<std::uint32_t>(p.data() + 44);
  return ref;
}

BlockRef parse_block_ref(ByteView p) {
  return {PieceIndex(load_be<std::uint32_t>(p.data())), load_be<std::uint32_t>(p.data() + 4),
          load_be<std::uint32_t>(p.data() + 8)};
}

PieceIndex parse_index(ByteView p) { return PieceIndex(load_be<std::uint32_t>(p.data())); }

Error bad_size(MessageId id, std::size_t size) {
  return fail(ErrorKind::protocol, "message " + std::to_string(static_cast<int>(id)) + " of " +
                                       std::to_string(size) + " bytes has the wrong size");
}

Result<Message> parse_hashes(ByteView p) {
  const std::size_t bytes = p.size() - kHashRefSize;
  if (bytes % 32 != 0) return bad_size(MessageId::hashes, p.size());
  Hashes message{parse_ref(p), {}};
  message.hashes.resize(bytes / 32);
  for (std::size_t i = 0; i < message.hashes.size(); ++i)
    std::copy_n(p.begin() + static_cast<std::ptrdiff_t>(kHashRefSize + 32 * i), 32,
                message.hashes[i].begin());
  return Message(std::move(message));
}

}  // namespace

Result<Message> parse_message(ByteView body) {
  if (body.empty()) return Message(KeepAlive{});
  const auto id = static_cast<MessageId>(body[0]);
  const ByteView p = body.subspan(1);
  const auto exactly = [&](std::size_t n) { return p.size() == n; };
  switch (id) {
    case MessageId::choke:
      if (exactly(0)) return Message(Choke{});
      break;
    case MessageId::unchoke:
      if (exactly(0)) return Message(Unchoke{});
      break;
    case MessageId::interested:
      if (exactly(0)) return Message(Interested{});
      break;
    case MessageId::not_interested:
      if (exactly(0)) return Message(NotInterested{});
      break;
    case MessageId::have:
      if (exactly(4)) return Message(Have{parse_index(p)});
      break;
    case MessageId::bitfield:
      return Message(Bitfield{p});
    case MessageId::request:
      if (exactly(12)) return Message(Request{parse_block_ref(p)});
      break;
    case MessageId::piece:
      if (p.size() >= 8)
        return Message(Piece{parse_index(p), load_be<std::uint32_t>(p.data() + 4), p.subspan(8)});
      break;
    case MessageId::cancel:
      if (exactly(12)) return Message(Cancel{parse_block_ref(p)});
      break;
    case MessageId::port:
      if (exactly(2)) return Message(Port{load_be<std::uint16_t>(p.data())});
      break;
    case MessageId::suggest:
      if (exactly(4)) return Message(Suggest{parse_index(p)});
      break;
    case MessageId::have_all:
      if (exactly(0)) return Message(HaveAll{});
      break;
    case MessageId::have_none:
      if (exactly(0)) return Message(HaveNone{});
      break;
    case MessageId::reject:
      if (exactly(12)) return Message(Reject{parse_block_ref(p)});
      break;
    case MessageId::allowed_fast:
      if (exactly(4)) return Message(AllowedFast{parse_index(p)});
      break;
    case MessageId::extended:
      if (!p.empty()) return Message(Extended{p[0], p.subspan(1)});
      break;
    case MessageId::hash_request:
      if (exactly(kHashRefSize)) return Message(HashRequest{parse_ref(p)});
      break;
    case MessageId::hashes:
      if (p.size() >= kHashRefSize) return parse_hashes(p);
      break;
    case MessageId::hash_reject:
      if (exactly(kHashRefSize)) return Message(HashReject{parse_ref(p)});
      break;
    default:
      return Message(Unknown{body[0]});
  }
  return bad_size(id, p.size());
}

void append_keep_alive(Bytes& out) { append_be<std::uint32_t>(out, 0); }

void append_plain(Bytes& out, MessageId id) { append_header(out, id, 0); }

void append_indexed(Bytes& out, MessageId id, PieceIndex piece) {
  append_header(out, id, 4);
  append_be(out, piece.value);
}

void append_port(Bytes& out, std::uint16_t port) {
  append_header(out, MessageId::port, 2);
  append_be(out, port);
}

void append_block_ref(Bytes& out, MessageId id, const BlockRef& block) {
  append_header(out, id, 12);
  append_be(out, block.piece.value);
  append_be(out, block.begin);
  append_be(out, block.length);
}

void append_bitfield(Bytes& out, ByteView bits) {
  append_header(out, MessageId::bitfield, bits.size());
  append(out, bits);
}

void append_piece_header(Bytes& out, const BlockRef& block) {
  append_header(out, MessageId::piece, 8 + std::size_t{block.length});
  append_be(out, block.piece.value);
  append_be(out, block.begin);
}

void append_extended(Bytes& out, std::uint8_t id, ByteView payload) {
  append_header(out, MessageId::extended, 1 + payload.size());
  out.push_back(id);
  append(out, payload);
}

void append_hash_ref(Bytes& out, MessageId id, const HashRef& ref) {
  append_header(out, id, kHashRefSize);
  append_ref(out, ref);
}

void append_hashes(Bytes& out, const HashRef& ref, std::span<const Sha256Hash> hashes) {
  append_header(out, MessageId::hashes, kHashRefSize + 32 * hashes.size());
  append_ref(out, ref);
  for (const Sha256Hash& h : hashes) append(out, h);
}

}  // namespace swarmfs::wire
