// One engine::Torrent and the peers that a test plays by hand.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/metainfo/verify_piece.h"
#include "swarm/wire/extension.h"
#include "tests/support/fake_host.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::engine {
namespace {

using metainfo::Format;
using test::FakeHost;
using test::make_content;
using test::TestContent;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;
using wire::BlockRef;
using wire::MessageId;

constexpr std::uint32_t kPiece = 4 * kBlockSize;

Endpoint address(unsigned n) {
  return {IpAddress::v4({20, 0, static_cast<std::uint8_t>(n / 256), static_cast<std::uint8_t>(n)}),
          6881};
}

wire::ClientId client(unsigned n) {
  wire::ClientId id{};
  id[0] = 'P';
  id[1] = static_cast<std::uint8_t>(n);
  id[2] = static_cast<std::uint8_t>(n / 256);
  return id;
}

/// One torrent and the peers that a test plays.
struct Rig {
  explicit Rig(TestContent c, bool seed = false, TorrentConfig config = {})
      : content(std::move(c)),
        roots(std::make_shared<metainfo::PieceRoots>(content.metainfo)),
        torrent(roots, config, host, seed ? content.all() : content.none(), 42) {}

  wire::Handshake handshake(unsigned n, bool v2 = false) const {
    wire::Handshake h;
    h.info_hash = content.metainfo->hashes.primary();
    h.peer_id = client(n);
    h.fast = h.extended = true;
    h.v2 = v2;
    return h;
  }
  PeerId accept(unsigned n, bool v2 = false) {
    const auto id = torrent.add_peer(address(n), handshake(n, v2), 20ms, now);
    EXPECT_TRUE(id);
    return *id;
  }
  void say(PeerId peer, const Bytes& bytes) { torrent.on_received(peer, bytes, now); }
  void plain(PeerId peer, MessageId id) {
    Bytes out;
    wire::append_plain(out, id);
    say(peer, out);
  }
  void block_ref(PeerId peer, MessageId id, const BlockRef& block) {
    Bytes out;
    wire::append_block_ref(out, id, block);
    say(peer, out);
  }
  void indexed(PeerId peer, MessageId id, PieceIndex piece) {
    Bytes out;
    wire::append_indexed(out, id, piece);
    say(peer, out);
  }
  /// A peer that has everything and lets us ask.
  PeerId seed_peer(unsigned n, bool v2 = false) {
    const PeerId id = accept(n, v2);
    plain(id, MessageId::have_all);
    plain(id, MessageId::unchoke);
    return id;
  }
  /// Sends the blocks a peer was asked for since the last call; `spoil` may change the bytes.
  template <class Spoil>
  std::size_t serve(PeerId peer, Spoil&& spoil) {
    const auto asked = host.got<wire::Request>(peer);
    std::size_t& at = served[peer];
    std::size_t sent = 0;
    for (; at < asked.size() && !host.peers[peer].closed; ++at, ++sent) {
      const BlockRef& block = asked[at].block;
      Bytes out;
      wire::append_piece_header(out, block);
      const BlockPtr right = content.block(block.piece, block.begin / kBlockSize);
      const ByteView part = right->view().subspan(block.begin % kBlockSize, block.length);
      Bytes data(part.begin(), part.end());
      spoil(block, data);
      append(out, data);
      now += 1ms;
      say(peer, out);
    }
    return sent;
  }
  std::size_t serve(PeerId peer) {
    return serve(peer, [](const BlockRef&, Bytes&) {});
  }
  /// Answers all hashing as the manifest has it.
  void hash() {
    while (!host.hashing.empty()) {
      const PieceIndex piece = host.hashing.front();
      host.hashing.erase(host.hashing.begin());
      std::vector<ByteView> views;
      for (const auto& block : host.to_hash[piece]) views.push_back(block->view());
      torrent.on_piece_hashed(piece, metainfo::verify_piece(*roots, piece, views), now);
    }
  }
  /// The right answer to a request for leaves of a piece of the first file, with their proof.
  std::vector<Sha256Hash> leaf_answer(PieceIndex piece, const wire::HashRef& ref) const {
    namespace merkle = metainfo::merkle;
    const auto& layout = content.layout();
    const unsigned height =
        merkle::piece_height(layout.piece_length(), layout.files().front().length);
    const merkle::HashTree tree(content.leaves(piece), 0, height);
    const merkle::HashRun run{ref.base_layer, ref.index, ref.length, ref.proof_layers};
    const auto hashes = merkle::answer(run, [&](unsigned level, std::uint64_t index) {
      return tree.node(level, index - (std::uint64_t{piece.value} << (height - level)));
    });
    EXPECT_TRUE(hashes);
    return hashes.value_or(merkle::Hashes{});
  }
  void tell_leaves(PeerId peer, PieceIndex piece, const wire::HashRef& ref) {
    Bytes out;
    wire::append_hashes(out, ref, leaf_answer(piece, ref));
    say(peer, out);
  }
  bool closed(PeerId peer) { return host.peers[peer].closed; }
  void pass(Duration d) {
    const TimePoint until = now + d;
    while (torrent.deadline() <= until) {
      now = std::max(now, torrent.deadline());
      torrent.on_timer(now);
    }
    now = until;
  }

  TestContent content;
  std::shared_ptr<metainfo::PieceRoots> roots;
  FakeHost host;
  TimePoint now = TimePoint{} + 1h;
  std::map<PeerId, std::size_t> served;
  Torrent torrent;
};

[[maybe_unused]] TestContent v1_content(std::uint32_t pieces = 8) {
  return make_content(Format::v1, kPiece, {std::uint64_t{pieces} * kPiece - 100});
}

}  // namespace
}  // namespace swarmfs::engine
