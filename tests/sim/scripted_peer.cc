#include "tests/sim/scripted_peer.h"

#include <utility>

namespace swarmfs::sim {

ScriptedPeer::ScriptedPeer(World& world, unsigned n, Script script)
    : number(n), world_(world), script_(std::move(script)) {
  world_.network.join(World::address(n), *this, script_.line);
}

void ScriptedPeer::on_connected(SocketId socket, const Endpoint&, bool, Duration) {
  ++connections;
  streams_[socket];
}

void ScriptedPeer::on_bytes(SocketId socket, ByteView bytes) {
  const auto it = streams_.find(socket);
  if (it == streams_.end()) return;
  // Moved out while it works: a message may make the peer close this very stream.
  Stream stream = std::move(it->second);
  (void)stream.framer.feed(bytes, [&](ByteView frame, bool is_handshake) {
    if (is_handshake) {
      greet(socket);
    } else if (const auto message = wire::parse_message(frame)) {
      on_message(socket, *message);
    }
    return streams_.contains(socket);
  });
  if (const auto again = streams_.find(socket); again != streams_.end())
    again->second = std::move(stream);
}

void ScriptedPeer::greet(SocketId socket) {
  const auto& metainfo = *world_.content->metainfo();
  wire::Handshake ours;
  ours.info_hash = metainfo.has_v2() ? *metainfo.hashes.v2_truncated() : metainfo.hashes.primary();
  if (script_.another_torrent) ours.info_hash[0] ^= 1;
  ours.fast = script_.fast;
  ours.v2 = metainfo.has_v2();
  store_be(ours.peer_id.data(), number);
  Bytes out;
  wire::append_handshake(out, ours);
  swarmfs::Bitfield bits(world_.content->layout().piece_count());
  if (script_.claims_all) bits.set_all();
  wire::append_bitfield(out, bits.to_wire());
  send(socket, std::move(out));
  if (script_.on_greeted) script_.on_greeted(*this, socket);
}

void ScriptedPeer::on_message(SocketId socket, const wire::Message& message) {
  if (std::holds_alternative<wire::Interested>(message) && script_.unchokes) {
    world_.timeline.after(script_.unchoke_after,
                          [this, socket] { plain(socket, wire::MessageId::unchoke); });
  } else if (const auto* request = std::get_if<wire::Request>(&message)) {
    ++requests;
    if (script_.on_request) {
      script_.on_request(*this, socket, request->block);
    } else {
      send_block(socket, request->block);
    }
  } else if (const auto* cancel = std::get_if<wire::Cancel>(&message)) {
    if (script_.on_cancel) script_.on_cancel(*this, socket, cancel->block);
  } else if (const auto* hashes = std::get_if<wire::HashRequest>(&message)) {
    if (script_.on_hash_request) return script_.on_hash_request(*this, socket, hashes->ref);
    Bytes out;
    wire::append_hash_ref(out, wire::MessageId::hash_reject, hashes->ref);
    send(socket, std::move(out));
  }
}

void ScriptedPeer::send_block(SocketId socket, const wire::BlockRef& block, bool corrupt) {
  Bytes out;
  wire::append_piece_header(out, block);
  append(out, world_.content->at(block.piece, block.begin, block.length));
  if (corrupt) out.back() = static_cast<std::uint8_t>(out.back() ^ 1);
  send(socket, std::move(out));
}

void ScriptedPeer::plain(SocketId socket, wire::MessageId id) {
  Bytes out;
  wire::append_plain(out, id);
  send(socket, std::move(out));
}

void ScriptedPeer::reject(SocketId socket, const wire::BlockRef& block) {
  Bytes out;
  wire::append_block_ref(out, wire::MessageId::reject, block);
  send(socket, std::move(out));
}

void ScriptedPeer::close(SocketId socket) {
  streams_.erase(socket);
  world_.network.close(socket);
}

void ScriptedPeer::broadcast(wire::MessageId id) {
  for (const auto& [socket, stream] : streams_) plain(socket, id);
}

}  // namespace swarmfs::sim
