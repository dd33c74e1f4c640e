// The codecs of the peer wire: every message reads back, and nothing malformed is taken.
#include "swarm/wire/peer_message.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "swarm/wire/handshake.h"

namespace swarmfs::wire {
namespace {

/// What follows the length prefix, which must be right.
ByteView body(const Bytes& message) {
  EXPECT_GE(message.size(), 4U);
  EXPECT_EQ(load_be<std::uint32_t>(message.data()), message.size() - 4);
  return ByteView(message).subspan(4);
}

template <class T>
T parsed(ByteView bytes) {
  const auto message = parse_message(bytes);
  EXPECT_TRUE(message) << (message ? "" : message.error().message);
  EXPECT_TRUE(std::holds_alternative<T>(*message)) << "holds " << message->index();
  return std::get<T>(*message);
}

TEST(PeerMessage, PlainMessagesReadBack) {
  const auto plain = [](MessageId id) {
    Bytes out;
    append_plain(out, id);
    return out;
  };
  Bytes alive;
  append_keep_alive(alive);
  EXPECT_EQ(alive, Bytes(4));
  parsed<KeepAlive>(body(alive));
  parsed<Choke>(body(plain(MessageId::choke)));
  parsed<Unchoke>(body(plain(MessageId::unchoke)));
  parsed<Interested>(body(plain(MessageId::interested)));
  parsed<NotInterested>(body(plain(MessageId::not_interested)));
  parsed<HaveAll>(body(plain(MessageId::have_all)));
  parsed<HaveNone>(body(plain(MessageId::have_none)));
}

TEST(PeerMessage, IndexedMessagesReadBackAtTheExtremes) {
  for (const std::uint32_t value : {0U, 1U, 0x80000000U, 0xffffffffU}) {
    const PieceIndex piece(value);
    Bytes have, suggest, allowed;
    append_indexed(have, MessageId::have, piece);
    append_indexed(suggest, MessageId::suggest, piece);
    append_indexed(allowed, MessageId::allowed_fast, piece);
    EXPECT_EQ(parsed<Have>(body(have)).piece, piece);
    EXPECT_EQ(parsed<Suggest>(body(suggest)).piece, piece);
    EXPECT_EQ(parsed<AllowedFast>(body(allowed)).piece, piece);
  }
}

TEST(PeerMessage, BlockMessagesReadBackAtTheExtremes) {
  for (const BlockRef block : {BlockRef{PieceIndex(0), 0, 0}, BlockRef{PieceIndex(7), 16384, 16384},
                               BlockRef{PieceIndex(~0U), ~0U, ~0U}}) {
    Bytes request, cancel, reject;
    append_block_ref(request, MessageId::request, block);
    append_block_ref(cancel, MessageId::cancel, block);
    append_block_ref(reject, MessageId::reject, block);
    EXPECT_EQ(parsed<Request>(body(request)).block, block);
    EXPECT_EQ(parsed<Cancel>(body(cancel)).block, block);
    EXPECT_EQ(parsed<Reject>(body(reject)).block, block);
  }
}

TEST(PeerMessage, DataMessagesReadBack) {
  Bytes bits;
  append_bitfield(bits, Bytes{0xaa, 0x80});
  const auto field = parsed<Bitfield>(body(bits));
  EXPECT_EQ(Bytes(field.bits.begin(), field.bits.end()), (Bytes{0xaa, 0x80}));

  const Bytes payload{9, 8, 7};
  Bytes piece;
  append_piece_header(piece, {PieceIndex(5), 32768, 3});
  append(piece, payload);
  const Bytes piece_copy(piece);
  const auto block = parsed<Piece>(body(piece_copy));
  EXPECT_EQ(block.piece, PieceIndex(5));
  EXPECT_EQ(block.begin, 32768U);
  EXPECT_EQ(Bytes(block.data.begin(), block.data.end()), payload);

  Bytes extended;
  append_extended(extended, 3, payload);
  const auto ext = parsed<Extended>(body(extended));
  EXPECT_EQ(ext.id, 3);
  EXPECT_EQ(Bytes(ext.payload.begin(), ext.payload.end()), payload);
}

TEST(PeerMessage, HashMessagesReadBack) {
  HashRef ref;
  ref.pieces_root.fill(0x5a);
  ref.base_layer = 1;
  ref.index = ~0U;
  ref.length = 512;
  ref.proof_layers = 31;
  Bytes request, reject, hashes;
  append_hash_ref(request, MessageId::hash_request, ref);
  append_hash_ref(reject, MessageId::hash_reject, ref);
  EXPECT_EQ(parsed<HashRequest>(body(request)).ref, ref);
  EXPECT_EQ(parsed<HashReject>(body(reject)).ref, ref);
  std::vector<Sha256Hash> run(3);
  run[0].fill(1);
  run[2].fill(3);
  append_hashes(hashes, ref, run);
  const auto back = parsed<Hashes>(body(hashes));
  EXPECT_EQ(back.ref, ref);
  EXPECT_EQ(back.hashes, run);
}

TEST(PeerMessage, EverySizeButTheRightOneIsRefused) {
  const std::map<MessageId, std::size_t> exact = {
      {MessageId::choke, 0},          {MessageId::unchoke, 0},       {MessageId::interested, 0},
      {MessageId::not_interested, 0}, {MessageId::have, 4},          {MessageId::request, 12},
      {MessageId::cancel, 12},        {MessageId::port, 2},          {MessageId::suggest, 4},
      {MessageId::have_all, 0},       {MessageId::have_none, 0},     {MessageId::reject, 12},
      {MessageId::allowed_fast, 4},   {MessageId::hash_request, 48}, {MessageId::hash_reject, 48}};
  for (const auto& [id, right] : exact) {
    for (std::size_t size = 0; size < 64; ++size) {
      Bytes message(1 + size);
      message[0] = static_cast<std::uint8_t>(id);
      const auto result = parse_message(message);
      EXPECT_EQ(result.has_value(), size == right) << int{message[0]} << " of " << size;
      if (!result) {
        EXPECT_EQ(result.error().kind, ErrorKind::protocol);
      }
    }
  }
  for (std::size_t size = 0; size < 8; ++size) {
    Bytes piece(1 + size, 0);
    piece[0] = 7;
    EXPECT_FALSE(parse_message(piece));
  }
  EXPECT_FALSE(parse_message(Bytes{20}));
  for (const std::size_t size : {0U, 47U, 49U, 48U + 31U, 48U + 33U}) {
    Bytes hashes(1 + size, 0);
    hashes[0] = 22;
    EXPECT_FALSE(parse_message(hashes)) << size;
  }
}

TEST(PeerMessage, UnknownIdsAreNamedAndIgnorable) {
  for (const int id : {10, 11, 12, 18, 19, 24, 200, 255})
    EXPECT_EQ(parsed<Unknown>(Bytes{static_cast<std::uint8_t>(id), 1, 2}).id, id);
}

TEST(PeerMessage, RandomBytesNeverReadPastTheirEnd) {
  std::mt19937 rng(4);
  for (int i = 0; i < 20'000; ++i) {
    // Exactly sized on the heap, so that AddressSanitizer sees one byte too far.
    Bytes bytes(rng() % 120);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(rng());
    if (!bytes.empty()) bytes[0] = static_cast<std::uint8_t>(rng() % 26);
    const auto message = parse_message(bytes);
    if (message && std::holds_alternative<Piece>(*message)) {
      EXPECT_EQ(std::get<Piece>(*message).data.size(), bytes.size() - 9);
    }
  }
}

TEST(Handshake, ReadsBackWithEveryBit) {
  for (int flags = 0; flags < 16; ++flags) {
    Handshake h;
    h.info_hash.fill(0x11);
    h.peer_id.fill(0x22);
    h.extended = flags & 1;
    h.fast = flags & 2;
    h.v2 = flags & 4;
    h.dht = flags & 8;
    Bytes out;
    append_handshake(out, h);
    ASSERT_EQ(out.size(), kHandshakeSize);
    EXPECT_EQ(out[25] & 0x10, h.extended ? 0x10 : 0);
    EXPECT_EQ(out[27], (h.fast ? 4 : 0) | (h.v2 ? 0x10 : 0) | (h.dht ? 1 : 0));
    EXPECT_EQ(parse_handshake(out), h);
  }
}

TEST(Handshake, AnyOtherProtocolNameIsRefused) {
  Bytes good;
  append_handshake(good, {});
  for (std::size_t i = 0; i < 20; ++i) {
    Bytes bad = good;
    bad[i] ^= 0x20;
    EXPECT_FALSE(parse_handshake(bad)) << i;
  }
  good.pop_back();
  EXPECT_FALSE(parse_handshake(good));
}

}  // namespace
}  // namespace swarmfs::wire
