// A peer that speaks the wire protocol by hand, honestly unless its script says otherwise.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <variant>

#include "swarm/base/bitfield.h"
#include "swarm/engine/message_framer.h"
#include "swarm/wire/peer_message.h"
#include "tests/sim/world.h"

namespace swarmfs::sim {

/// Each decides one thing that the peer does otherwise than an honest seed.
struct Script {
  Line line{};
  bool fast = true;
  bool claims_all = true;  ///< else it has nothing
  bool unchokes = true;
  Duration unchoke_after{};
  bool another_torrent = false;  ///< the handshake's hash is not ours
  /// Answers a request. Unset: with the block as it is.
  std::function<void(class ScriptedPeer&, SocketId, const wire::BlockRef&)> on_request{};
  /// Takes back a request. Unset: too late.
  std::function<void(ScriptedPeer&, SocketId, const wire::BlockRef&)> on_cancel{};
  /// Once, after the handshakes.
  std::function<void(ScriptedPeer&, SocketId)> on_greeted{};
  std::function<void(ScriptedPeer&, SocketId, const wire::HashRef&)> on_hash_request{};
};

class ScriptedPeer final : public Party {
 public:
  ScriptedPeer(World& world, unsigned number, Script script);

  const unsigned number;
  World& world() { return world_; }
  unsigned requests = 0;     ///< received
  unsigned connections = 0;  ///< ever
  bool connected() const { return !streams_.empty(); }

  void send(SocketId socket, Bytes bytes) { world_.network.send(socket, std::move(bytes)); }
  void send_block(SocketId socket, const wire::BlockRef& block, bool corrupt = false);
  void plain(SocketId socket, wire::MessageId id);
  void reject(SocketId socket, const wire::BlockRef& block);
  void close(SocketId socket);
  /// Sends the same to everybody connected.
  void broadcast(wire::MessageId id);

 private:
  struct Stream {
    engine::MessageFramer framer{true};
    bool dialled = false;
  };
  void on_connected(SocketId socket, const Endpoint& other, bool dialled, Duration rtt) override;
  void on_dial_failed(const Endpoint&) override {}
  void on_bytes(SocketId socket, ByteView bytes) override;
  void on_closed(SocketId socket) override { streams_.erase(socket); }
  void greet(SocketId socket);
  void on_message(SocketId socket, const wire::Message& message);

  World& world_;
  Script script_;
  std::map<SocketId, Stream> streams_;
};

}  // namespace swarmfs::sim
