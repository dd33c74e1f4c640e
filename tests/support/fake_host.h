// A TorrentHost that writes down what an engine::Torrent asks of it, and reads what peers are sent
// as they would.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "swarm/engine/message_framer.h"
#include "swarm/engine/torrent_host.h"

namespace swarmfs::test {

/// One side of the wire as the peer sees it: bytes cut into messages.
struct Inbox {
  engine::MessageFramer framer{true};
  std::optional<wire::Handshake> handshake;
  std::vector<Bytes> bodies;  ///< of messages, in order
  std::vector<wire::BlockRef> blocks;
  std::size_t bytes = 0;
  unsigned behind_blocks = 0;  ///< how often something was not to overtake blocks
  bool closed = false;
  std::string reason;
};

class FakeHost final : public engine::TorrentHost {
 public:
  std::map<PeerId, Inbox> peers;
  std::vector<Endpoint> dialled;
  std::vector<PeerId> distrusted;
  std::vector<PieceIndex> hashing;
  std::map<PieceIndex, std::vector<BlockPtr>> kept;
  std::map<std::pair<PieceIndex, std::uint32_t>, BlockPtr> kept_blocks;
  std::vector<PieceIndex> forgotten;
  std::vector<PieceIndex> leaves_wanted;
  std::vector<std::pair<ReadId, std::uint32_t>> grown;
  std::vector<ReadId> ready;
  std::map<ReadId, engine::WaitTrace> ended;
  std::map<ReadId, Error> failed;
  std::map<PieceIndex, std::vector<BlockPtr>> to_hash;
  unsigned peers_needed = 0;
  std::optional<PathRtt> rtt;  ///< of every path, as the system would tell
  unsigned layers_learnt = 0;
  std::vector<Endpoint> nodes;  ///< of the hash table
  std::vector<std::string> warnings;

  void distrust(PeerId peer) override { distrusted.push_back(peer); }
  void send(PeerId peer, Bytes bytes, SendOrder order) override {
    Inbox& inbox = peers[peer];
    inbox.behind_blocks += order == SendOrder::behind_blocks;
    EXPECT_FALSE(inbox.closed) << "sent to a closed peer";
    inbox.bytes += bytes.size();
    const auto fed = inbox.framer.feed(bytes, [&](ByteView frame, bool is_handshake) {
      if (is_handshake) {
        inbox.handshake = wire::parse_handshake(frame);
        EXPECT_TRUE(inbox.handshake);
      } else {
        EXPECT_TRUE(wire::parse_message(frame)) << "the engine sent a malformed message";
        inbox.bodies.emplace_back(frame.begin(), frame.end());
      }
      return true;
    });
    EXPECT_TRUE(fed);
  }
  void send_block(PeerId peer, const wire::BlockRef& block) override {
    EXPECT_FALSE(peers[peer].closed);
    peers[peer].blocks.push_back(block);
  }
  void disconnect(PeerId peer, std::string_view reason) override {
    EXPECT_FALSE(peers[peer].closed) << "closed twice";
    peers[peer].closed = true;
    peers[peer].reason = reason;
  }
  std::optional<PathRtt> path_rtt(PeerId) override { return rtt; }
  void dial(const Endpoint& endpoint) override { dialled.push_back(endpoint); }
  void hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override {
    hashing.push_back(piece);
    to_hash[piece] = std::move(blocks);
  }
  void keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) override {
    kept_blocks[{piece, block}] = std::move(data);
  }
  void keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override {
    kept[piece] = std::move(blocks);
  }
  void forget_piece(PieceIndex piece) override { forgotten.push_back(piece); }
  void load_leaves(PieceIndex piece) override { leaves_wanted.push_back(piece); }
  void layer_learnt() override { ++layers_learnt; }
  void dht_node(const Endpoint& node) override { nodes.push_back(node); }
  void read_ended(ReadId read, const engine::WaitTrace& trace) override { ended[read] = trace; }
  void read_grew(ReadId read, std::uint32_t bytes) override { grown.emplace_back(read, bytes); }
  void read_ready(ReadId read) override { ready.push_back(read); }
  void read_failed(ReadId read, Error error) override { failed.emplace(read, std::move(error)); }
  void need_peers() override { ++peers_needed; }
  void log(int level, std::string_view line) override {
    if (level == 2) warnings.emplace_back(line);
  }

  /// All messages of one kind that a peer got, parsed.
  template <class T>
  std::vector<T> got(PeerId peer) {
    std::vector<T> out;
    for (const Bytes& body : peers[peer].bodies) {
      const auto message = wire::parse_message(body);
      if (message && std::holds_alternative<T>(*message)) out.push_back(std::get<T>(*message));
    }
    return out;
  }
};

}  // namespace swarmfs::test
