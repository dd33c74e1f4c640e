#include "tests/sim/engine_node.h"

#include <algorithm>
#include <utility>

#include "swarm/metainfo/verify_piece.h"
#include "swarm/wire/handshake.h"
#include "tests/sim/probe.h"

namespace swarmfs::sim {

namespace {
constexpr unsigned kMostTimersAtOnce = 8;
constexpr std::uint64_t kThoroughEvery = 256;

enum Note : std::uint64_t { kReceived, kTimer, kSent, kHashed, kAnswered, kClosed };

Bitfield starting_pieces(const NodeOptions& options, std::uint32_t pieces) {
  Bitfield have(pieces);
  if (options.seed) have.set_all();
  for (const std::uint32_t piece : options.has) have.set(PieceIndex(piece));
  return have;
}
}  // namespace

EngineNode::EngineNode(World& world, unsigned n, NodeOptions options)
    : number(n),
      world_(world),
      options_(std::move(options)),
      metainfo_(options_.metainfo ? options_.metainfo : world.content->metainfo()),
      roots_(std::make_shared<metainfo::PieceRoots>(metainfo_)) {
  store_be(options_.config.client_id.data(), n);
  options_.config.listen_port = address().port;
  const Bitfield have = starting_pieces(options_, metainfo_->layout.piece_count());
  for (std::uint32_t i = 0; i < have.size(); ++i)
    if (have.test(PieceIndex(i))) stored_.insert(PieceIndex(i));
  engine::TorrentHost& host = *this;
  torrent_ = std::make_unique<engine::Torrent>(roots_, options_.config, host, have, world.rng());
  world_.network.join(address(), *this, options_.line);
}

void EngineNode::say(const std::string& what) {
  world_.violation("node " + std::to_string(number) + " at " +
                   std::to_string(to_seconds(world_.now().time_since_epoch()) - 3600) +
                   " s: " + what);
}

template <class Event>
void EngineNode::enter(Event&& event) {
  if (inside_) say("called back into the engine");
  inside_ = true;
  event();
  inside_ = false;
  if (!completed_at_ && torrent_->complete()) completed_at_ = world_.now();
  const bool thorough = ++entered_ % kThoroughEvery == 0;
  const std::string what = engine::TorrentProbe::broken(*torrent_, world_.now(), thorough);
  if (!what.empty()) say(what);
  arm();
}

void EngineNode::arm() {
  const TimePoint deadline = torrent_->deadline();
  if (deadline == armed_) return;
  armed_ = deadline;
  ++arm_;
  if (deadline == TimePoint::max()) return;
  world_.timeline.at(deadline, [this, mine = arm_] {
    if (mine != arm_) return;
    armed_ = TimePoint::max();
    ++timer_events_;
    timers_now_ = last_timer_ == world_.now() ? timers_now_ + 1 : 1;
    last_timer_ = world_.now();
    if (timers_now_ > kMostTimersAtOnce) return say("the timer spins");
    world_.note(kTimer, number);
    enter([&] { torrent_->on_timer(world_.now()); });
  });
}

void EngineNode::meet(std::initializer_list<unsigned> others) {
  std::vector<Endpoint> endpoints;
  for (const unsigned other : others) endpoints.push_back(World::address(other));
  enter([&] { torrent_->add_candidates(endpoints, engine::PeerSource::user, world_.now()); });
}

void EngineNode::hear_of(const std::vector<Endpoint>& others) {
  enter([&] { torrent_->add_candidates(others, engine::PeerSource::tracker, world_.now()); });
}

void EngineNode::leave() {
  world_.network.leave(address());
  for (const auto& [peer, socket] : std::exchange(sockets_, {}))
    enter([&] { torrent_->on_closed(peer, world_.now()); });
  connections_.clear();
  for (const Endpoint& endpoint : std::exchange(dialling_, {}))
    enter([&] { torrent_->on_dial_failed(endpoint, world_.now()); });
}

void EngineNode::come_back() { world_.network.join(address(), *this, options_.line); }

void EngineNode::network_changed() {
  enter([&] { torrent_->network_changed(world_.now()); });
}

// --- network

void EngineNode::on_connected(SocketId socket, const Endpoint& other, bool dialled, Duration rtt) {
  connections_[socket] = Connection{other, std::nullopt, {}};
  if (!dialled) return;
  dialling_.erase(other);
  introduce(socket, other, std::nullopt, rtt);
}

void EngineNode::introduce(SocketId socket, const Endpoint& other,
                           const std::optional<wire::Handshake>& theirs,
                           std::optional<Duration> rtt) {
  introducing_ = socket;
  enter([&] {
    const auto given = torrent_->add_peer(other, theirs, rtt, world_.now());
    introducing_.reset();
    const auto it = connections_.find(socket);
    if (!given) {
      world_.network.close(socket);
      connections_.erase(socket);
    } else if (it != connections_.end()) {
      it->second.peer = *given;
      sockets_[*given] = socket;
    }
  });
}

void EngineNode::on_dial_failed(const Endpoint& other) {
  if (dialling_.erase(other) == 0) return;  // it has left meanwhile
  enter([&] { torrent_->on_dial_failed(other, world_.now()); });
}

void EngineNode::on_bytes(SocketId socket, ByteView bytes) {
  auto it = connections_.find(socket);
  if (it == connections_.end()) return;
  Bytes rest;
  if (!it->second.peer) {
    Bytes& early = it->second.early;
    append(early, bytes);
    if (early.size() < wire::kHandshakeSize) return;
    const auto theirs = wire::parse_handshake(ByteView(early).first(wire::kHandshakeSize));
    if (!theirs || !torrent_->is_our_hash(theirs->info_hash)) {
      connections_.erase(it);
      return world_.network.close(socket);
    }
    rest.assign(early.begin() + wire::kHandshakeSize, early.end());
    introduce(socket, it->second.other, theirs, std::nullopt);
    it = connections_.find(socket);
    if (it == connections_.end() || rest.empty()) return;
    bytes = rest;
  }
  const PeerId peer = *it->second.peer;
  world_.note(kReceived, number, bytes.size());
  enter([&] { torrent_->on_received(peer, bytes, world_.now()); });
}

void EngineNode::on_closed(SocketId socket) {
  const auto node = connections_.extract(socket);
  if (node.empty() || !node.mapped().peer) return;
  sockets_.erase(*node.mapped().peer);
  world_.note(kClosed, number);
  enter([&] { torrent_->on_closed(*node.mapped().peer, world_.now()); });
}

SocketId* EngineNode::socket_of(PeerId peer) {
  if (const auto it = sockets_.find(peer); it != sockets_.end()) return &it->second;
  // First word to a peer that add_peer() is introducing right now.
  if (!introducing_) return nullptr;
  return &(sockets_[peer] = *introducing_);
}

void EngineNode::send(PeerId peer, Bytes bytes, SendOrder order) {
  const SocketId* socket = socket_of(peer);
  if (socket == nullptr) return;
  if (order == SendOrder::behind_blocks) return world_.network.send(*socket, std::move(bytes));
  world_.network.send_first(*socket, std::move(bytes));
}

void EngineNode::send_block(PeerId peer, const wire::BlockRef& block) {
  const SocketId* socket = socket_of(peer);
  if (socket == nullptr) return say("sends a block to nobody");
  if (!readable(block.piece, block.begin, block.length))
    return say("serves what it has not verified");
  Bytes out;
  wire::append_piece_header(out, block);
  append(out, world_.content->at(block.piece, block.begin, block.length));
  const unsigned to = World::number(connections_.at(*socket).other);
  world_.network.send(*socket, std::move(out), [this, peer, block, to] {
    world_.note(kSent, number, to);
    world_.sent.push_back({world_.now(), number, to, block.piece, block.begin});
    enter([&] { torrent_->on_block_sent(peer, block, true, world_.now()); });
  });
}

void EngineNode::disconnect(PeerId peer, std::string_view) {
  const SocketId* socket = socket_of(peer);
  if (socket == nullptr) return;
  world_.network.close(*socket);
  connections_.erase(*socket);
  sockets_.erase(peer);
}

std::optional<PathRtt> EngineNode::path_rtt(PeerId peer) {
  const SocketId* socket = socket_of(peer);
  const auto rtt = socket != nullptr ? world_.network.rtt(*socket) : std::nullopt;
  if (!rtt) return std::nullopt;
  return PathRtt{*rtt, *rtt};
}

void EngineNode::dial(const Endpoint& endpoint) {
  ++dials_;
  dialling_.insert(endpoint);
  if (world_.network.present(address())) return world_.network.dial(address(), endpoint);
  // Without a line there is nothing to wait for.
  world_.timeline.after(std::chrono::milliseconds(1),
                        [this, endpoint] { on_dial_failed(endpoint); });
}

// --- content

bool EngineNode::readable(PieceIndex piece, std::uint32_t begin, std::uint32_t length) const {
  if (stored_.contains(piece)) return true;
  const auto it = kept_.find(piece);
  if (it == kept_.end() || length == 0) return false;
  for (std::uint32_t b = begin / kBlockSize; b <= (begin + length - 1) / kBlockSize; ++b)
    if (!it->second.contains(b)) return false;
  return true;
}

bool EngineNode::right(PieceIndex piece, std::uint32_t block, const BlockPtr& data) const {
  const ByteView source = world_.content->at(piece, block * kBlockSize, data->size);
  return std::equal(source.begin(), source.end(), data->view().begin(), data->view().end());
}

void EngineNode::hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) {
  world_.timeline.after(options_.hash_time, [this, piece, blocks = std::move(blocks)] {
    std::vector<ByteView> views;
    for (const BlockPtr& block : blocks) views.push_back(block->view());
    const auto check = metainfo::verify_piece(*roots_, piece, views);
    world_.note(kHashed, number, piece.value, static_cast<std::uint64_t>(check));
    enter([&] { torrent_->on_piece_hashed(piece, check, world_.now()); });
  });
}

void EngineNode::keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) {
  if (!right(piece, block, data)) say("keeps a wrong block");
  kept_[piece].insert(block);
}

void EngineNode::keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) {
  for (std::uint32_t b = 0; b < blocks.size(); ++b) {
    if (!right(piece, b, blocks[b])) say("keeps a wrong piece");
    kept_[piece].insert(b);
  }
  world_.timeline.after(options_.disk_time, [this, piece] {
    Result<> stored;
    if (disk_full_) stored = fail(ErrorKind::no_space, "the disk is full");
    if (stored) {
      stored_.insert(piece);
      kept_.erase(piece);
    }
    enter([&] { torrent_->on_piece_stored(piece, stored, world_.now()); });
  });
}

void EngineNode::forget_piece(PieceIndex piece) {
  kept_.erase(piece);
  if (forgotten_) forgotten_(piece);
}

void EngineNode::load_leaves(PieceIndex piece) {
  world_.timeline.after(options_.disk_time, [this, piece] {
    enter([&] { torrent_->on_leaves(piece, world_.content->leaves(piece), world_.now()); });
  });
}

void EngineNode::pause() {
  enter([&] { torrent_->pause(world_.now()); });
}

void EngineNode::resume() {
  enter([&] { torrent_->resume(world_.now()); });
}

void EngineNode::limit(const engine::RateLimits& limits) {
  enter([&] { torrent_->set_limits(limits, world_.now()); });
}

void EngineNode::pin(std::uint32_t first, std::uint32_t end) {
  const Layout::PieceRange range{PieceIndex(first), PieceIndex(end)};
  enter([&] { torrent_->set_pinned({&range, 1}, world_.now()); });
}

void EngineNode::prefetch(std::uint32_t first, std::uint32_t end) {
  enter([&] { torrent_->prefetch({PieceIndex(first), PieceIndex(end)}, world_.now()); });
}

void EngineNode::set_room(bool room) {
  enter([&] { torrent_->set_room_for_backfill(room, world_.now()); });
}

void EngineNode::lose_piece(PieceIndex piece) {
  stored_.erase(piece);
  enter([&] { torrent_->on_piece_lost(piece, world_.now()); });
}

// --- reads

ReadId EngineNode::read(std::uint64_t offset, std::uint32_t length, engine::ReadOwner owner) {
  const ReadId id(next_read_++);
  const auto spans = metainfo_->layout.spans(FileIndex(0), offset, length);
  reads_[id] = Read{world_.now(), spans, length};
  enter([&] { torrent_->add_read(id, owner, spans, world_.now()); });
  return id;
}

void EngineNode::cancel(ReadId read) {
  reads_.at(read).ended = world_.now();
  reads_.at(read).error = ErrorKind::cancelled;
  enter([&] { torrent_->cancel_read(read, world_.now()); });
}

void EngineNode::close(HandleId handle) {
  enter([&] { torrent_->close_handle(handle, world_.now()); });
}

void EngineNode::window(PieceIndex first, PieceIndex end, HandleId handle, double bps) {
  enter([&] {
    torrent_->set_window(handle, {first, end, PieceIndex(torrent_->have().size()), 0, bps},
                         world_.now());
  });
}

bool EngineNode::all_reads_ended() const {
  return std::all_of(reads_.begin(), reads_.end(),
                     [](const auto& entry) { return entry.second.ended.has_value(); });
}

void EngineNode::read_grew(ReadId id, std::uint32_t bytes) {
  Read& read = reads_.at(id);
  if (read.ended) say("tells of a read that has its answer");
  if (bytes <= read.start || bytes >= read.length) say("tells of no more of a read's start");
  read.start = bytes;
  if (!read.start_came) read.start_came = world_.now();
  for (const Layout::Span& span : read.spans) {
    const std::uint32_t length = std::min(bytes, span.length);
    if (length > 0 && !readable(span.piece, span.begin, length))
      say("tells of bytes that cannot be read");
    bytes -= length;
  }
}

void EngineNode::read_ready(ReadId id) {
  Read& read = reads_.at(id);
  if (read.ended) say("answers a read twice");
  for (const Layout::Span& span : read.spans)
    if (!readable(span.piece, span.begin, span.length)) say("answers a read it cannot serve");
  read.ended = world_.now();
  world_.note(kAnswered, number, id.value);
}

void EngineNode::read_failed(ReadId id, Error error) {
  Read& read = reads_.at(id);
  if (read.ended) say("answers a read twice");
  read.ended = world_.now();
  read.error = error.kind;
  world_.note(kAnswered, number, id.value, 1);
}

void EngineNode::log(int level, std::string_view line) {
  if (level == 2) warnings_.emplace_back(line);
}

}  // namespace swarmfs::sim
