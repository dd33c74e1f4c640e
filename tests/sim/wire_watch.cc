#include "tests/sim/wire_watch.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "swarm/engine/torrent_limits.h"

namespace swarmfs::sim {

namespace limits = engine::limits;

WireWatch::WireWatch(World& world, EngineNode& node) : world_(world), number_(node.number) {
  world.network.tap(node.address(), *this);
  node.when_forgotten([this](PieceIndex piece) {
    begun_.erase(piece);
    std::erase_if(here_, [piece](const Part& part) { return part.first == piece; });
  });
}

void WireWatch::say(SocketId socket, const wire::BlockRef& block, const std::string& what) {
  world_.violation("on the wire of node " + std::to_string(number_) + " at " +
                   std::to_string(to_seconds(world_.now().time_since_epoch()) - 3600) +
                   " s: socket " + std::to_string(socket.value) + ": block " +
                   std::to_string(block.piece.value) + ":" +
                   std::to_string(block.begin / kBlockSize) + " " + what);
}

void WireWatch::on_sent(SocketId socket, ByteView bytes) {
  Stream& stream = streams_[socket];
  (void)stream.out.feed(bytes, [&](ByteView frame, bool is_handshake) {
    if (is_handshake) return true;
    const auto message = wire::parse_message(frame);
    if (!message) return true;
    if (const auto* request = std::get_if<wire::Request>(&*message))
      on_request(socket, stream, request->block);
    if (const auto* cancel = std::get_if<wire::Cancel>(&*message))
      on_cancel(socket, stream, cancel->block);
    return true;
  });
}

void WireWatch::on_delivered(SocketId socket, ByteView bytes) {
  Stream& stream = streams_[socket];
  (void)stream.in.feed(bytes, [&](ByteView frame, bool is_handshake) {
    if (is_handshake) return true;
    const auto message = wire::parse_message(frame);
    if (!message) return true;
    if (const auto* piece = std::get_if<wire::Piece>(&*message)) {
      const auto size = static_cast<std::uint32_t>(piece->data.size());
      on_block(stream, {piece->piece, piece->begin, size});
    } else if (const auto* reject = std::get_if<wire::Reject>(&*message)) {
      if (!was_taken_back(stream, reject->block)) settle(stream, reject->block);
    } else if (const auto* fast = std::get_if<wire::AllowedFast>(&*message)) {
      stream.allowed_fast.insert(fast->piece);
    } else if (std::holds_alternative<wire::Unchoke>(*message)) {
      stream.choked = false;
    } else if (std::holds_alternative<wire::Choke>(*message)) {
      stream.choked = true;
      settle_all(stream);
    }
    return true;
  });
}

void WireWatch::on_gone(SocketId socket) {
  const auto it = streams_.find(socket);
  if (it == streams_.end()) return;
  settle_all(it->second);
  streams_.erase(it);
}

void WireWatch::on_request(SocketId socket, Stream& stream, const wire::BlockRef& block) {
  if (stream.choked && !stream.allowed_fast.contains(block.piece))
    say(socket, block, "is asked of a peer that chokes");
  if (is_here(block)) say(socket, block, "is asked for and here");
  if (!stream.asked.insert(block).second) say(socket, block, "is asked twice of one peer");
  count(block, 1);
  std::size_t copies = 0;
  for (const Part& part : parts_of(block)) copies = std::max(copies, copies_[part]);
  if (copies > limits::kMaxUrgentCopies)
    say(socket, block, "has " + std::to_string(copies) + " copies in flight");
  begun_.insert(block.piece);
}

void WireWatch::on_cancel(SocketId socket, Stream& stream, const wire::BlockRef& block) {
  if (!stream.asked.contains(block))
    return say(socket, block, "is cancelled and was not asked for");
  settle(stream, block);
  if (!is_here(block)) ++stream.taken_back[block];
}

void WireWatch::on_block(Stream& stream, const wire::BlockRef& block) {
  totals_.payload += block.length;
  settle(stream, block);
  // Halves are of use together only, and nobody waits for the other of one taken back.
  if (block.length == engine::kHalfBlock && was_taken_back(stream, block)) {
    totals_.crossed += block.length;
    return;
  }
  std::uint64_t useless = 0;
  for (const Part& part : parts_of(block))
    if (!begun_.contains(block.piece) || !here_.insert(part).second)
      useless += std::min(engine::kHalfBlock,
                          block.begin + block.length - part.second * engine::kHalfBlock);
  if (useless < block.length) arrivals_[block.piece] = world_.now();
  if (useless == 0) return;
  (was_taken_back(stream, block) ? totals_.crossed : totals_.useless) += useless;
}

/// Whether what came may answer a request that was taken back; it comes before the answer to a new
/// one for the same block.
bool WireWatch::was_taken_back(Stream& stream, const wire::BlockRef& block) {
  const auto it = stream.taken_back.find(block);
  if (it == stream.taken_back.end()) return false;
  if (--it->second == 0) stream.taken_back.erase(it);
  return true;
}

std::vector<WireWatch::Part> WireWatch::parts_of(const wire::BlockRef& block) {
  std::vector<Part> parts;
  for (std::uint32_t at = block.begin; at < block.begin + block.length; at += engine::kHalfBlock)
    parts.emplace_back(block.piece, at / engine::kHalfBlock);
  return parts;
}

bool WireWatch::is_here(const wire::BlockRef& block) const {
  const auto parts = parts_of(block);
  return std::all_of(parts.begin(), parts.end(),
                     [this](const Part& part) { return here_.contains(part); });
}

void WireWatch::count(const wire::BlockRef& block, int by) {
  for (const Part& part : parts_of(block)) copies_[part] += static_cast<std::size_t>(by);
}

void WireWatch::settle(Stream& stream, const wire::BlockRef& block) {
  if (stream.asked.erase(block) > 0) count(block, -1);
}

void WireWatch::settle_all(Stream& stream) {
  while (!stream.asked.empty()) settle(stream, wire::BlockRef(*stream.asked.begin()));
}

std::set<PieceIndex> WireWatch::in_flight() const {
  std::set<PieceIndex> out;
  for (const auto& [part, copies] : copies_)
    if (copies > 0) out.insert(part.first);
  return out;
}

TimePoint WireWatch::last_arrival(PieceIndex piece) const {
  const auto it = arrivals_.find(piece);
  return it == arrivals_.end() ? TimePoint{} : it->second;
}

}  // namespace swarmfs::sim
