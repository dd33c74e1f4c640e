// The messages of the peer wire protocol: BEP 3, 6 (fast), 10 (extended), 52 (hashes).
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::wire {

/// Longest message we accept, its 4-byte length prefix not counted. The longest legal one is the
/// bitfield of 2^21 pieces (256 KiB).
inline constexpr std::uint32_t kMaxMessageSize = 1 << 20;

enum class MessageId : std::uint8_t {
  choke = 0,
  unchoke = 1,
  interested = 2,
  not_interested = 3,
  have = 4,
  bitfield = 5,
  request = 6,
  piece = 7,
  cancel = 8,
  port = 9,
  suggest = 13,
  have_all = 14,
  have_none = 15,
  reject = 16,
  allowed_fast = 17,
  extended = 20,
  hash_request = 21,
  hashes = 22,
  hash_reject = 23,
};

/// A block of a piece: begin and length in bytes.
struct BlockRef {
  PieceIndex piece;
  std::uint32_t begin = 0;
  std::uint32_t length = 0;
  auto operator<=>(const BlockRef&) const = default;
};

/// A run of one layer of a file's merkle tree (BEP 52). `base_layer` 0 is the 16 KiB leaves.
struct HashRef {
  Sha256Hash pieces_root{};
  std::uint32_t base_layer = 0;
  std::uint32_t index = 0;
  std::uint32_t length = 0;
  std::uint32_t proof_layers = 0;
  auto operator<=>(const HashRef&) const = default;
};

// What a message says. Views point into the buffer it was parsed from.
struct KeepAlive {};
struct Choke {};
struct Unchoke {};
struct Interested {};
struct NotInterested {};
struct Have {
  PieceIndex piece;
};
struct Bitfield {
  ByteView bits;
};
struct Request {
  BlockRef block;
};
struct Piece {
  PieceIndex piece;
  std::uint32_t begin = 0;
  ByteView data;
};
struct Cancel {
  BlockRef block;
};
struct Port {
  std::uint16_t port = 0;
};
struct Suggest {
  PieceIndex piece;
};
struct HaveAll {};
struct HaveNone {};
struct Reject {
  BlockRef block;
};
struct AllowedFast {
  PieceIndex piece;
};
struct Extended {
  std::uint8_t id = 0;
  ByteView payload;
};
struct HashRequest {
  HashRef ref;
};
struct Hashes {
  HashRef ref;
  std::vector<Sha256Hash> hashes;
};  ///< run, then uncle hashes
struct HashReject {
  HashRef ref;
};
/// An id we do not know; to be ignored.
struct Unknown {
  std::uint8_t id = 0;
};

using Message = std::variant<KeepAlive, Choke, Unchoke, Interested, NotInterested, Have, Bitfield,
                             Request, Piece, Cancel, Port, Suggest, HaveAll, HaveNone, Reject,
                             AllowedFast, Extended, HashRequest, Hashes, HashReject, Unknown>;

/// Parses one message without its length prefix; empty is a keep-alive. Checks only the form
/// (sizes); whether indices fit the torrent is the caller's to judge. Error: protocol.
Result<Message> parse_message(ByteView body);

// Each appends one whole message, length prefix included.
void append_keep_alive(Bytes& out);
/// For the messages without payload: choke .. not_interested, have_all, have_none.
void append_plain(Bytes& out, MessageId id);
/// For have, suggest, allowed_fast.
void append_indexed(Bytes& out, MessageId id, PieceIndex piece);
/// For request, cancel, reject.
void append_block_ref(Bytes& out, MessageId id, const BlockRef& block);
void append_bitfield(Bytes& out, ByteView bits);
/// Header of a piece message; `block.length` payload bytes are to follow.
void append_piece_header(Bytes& out, const BlockRef& block);
/// BEP 5: the port of our node of the hash table.
void append_port(Bytes& out, std::uint16_t port);
void append_extended(Bytes& out, std::uint8_t id, ByteView payload);
/// For hash_request and hash_reject.
void append_hash_ref(Bytes& out, MessageId id, const HashRef& ref);
void append_hashes(Bytes& out, const HashRef& ref, std::span<const Sha256Hash> hashes);

}  // namespace swarmfs::wire
