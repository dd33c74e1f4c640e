// Torrent: connections, handshakes and the messages that change what we know of a peer.
#include <algorithm>
#include <string>
#include <utility>

#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"

namespace swarmfs::engine {

namespace {
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// Under which id we want lt_donthave messages.
constexpr std::uint8_t kDontHaveId = 1;
/// Under which id we want sf_reading messages.
constexpr std::uint8_t kReadingId = 5;
}  // namespace

Torrent::Peer::Peer(PeerId id_, const Endpoint& endpoint_, std::uint32_t pieces, bool accepted)
    : id(id_),
      endpoint(endpoint_),
      dialled(!accepted),
      framer(!accepted, std::max(limits::kMaxMessage, (pieces + 7) / 8 + 1)),
      bits(pieces),
      patience(limits::kPatience) {}

std::optional<PeerId> Torrent::add_peer(const Endpoint& endpoint,
                                        std::optional<wire::Handshake> theirs,
                                        std::optional<Duration> rtt, TimePoint now) {
  Peer* const peer = admit(endpoint, !theirs, theirs, rtt, now);
  if (peer == nullptr) return std::nullopt;
  const PeerId id = peer->id;
  greet(*peer, theirs ? &*theirs : nullptr);
  if (theirs) accept_handshake(*peer, *theirs, now);
  flush(now);
  return id;
}

/// A place among the peers, or none: then the host closes the connection.
Torrent::Peer* Torrent::admit(const Endpoint& endpoint, bool dialled,
                              const std::optional<wire::Handshake>& theirs,
                              std::optional<Duration> rtt, TimePoint now) {
  half_open_.erase(endpoint);
  Peer* const leaves = full() ? gives_way_to(endpoint, now) : nullptr;
  if (contradicted_ || paused_ || book_.refuses(endpoint.address) ||
      (theirs && theirs->peer_id == config_.client_id) ||
      (!dialled && full() && leaves == nullptr)) {
    if (dialled)
      book_.on_closed(endpoint, now, paused_ ? CloseReason::paused : CloseReason::useless);
    return nullptr;
  }
  const PeerId id(next_peer_++);
  auto& peer = *peers_
                    .emplace(id, std::make_unique<Peer>(id, endpoint, layout_.piece_count(),
                                                        theirs.has_value()))
                    .first->second;
  peer.dialled = dialled;
  peer.connected_at = peer.last_received = peer.last_sent = peer.patience_at = now;
  if (rtt) peer.pace.set_connect_rtt(*rtt);
  if (leaves != nullptr) {  // only now, or its place would look free to dial for
    made_room_at_ = now;
    drop(*leaves, "makes room for a newcomer", CloseReason::useless, now);
  }
  count_connections();
  wake_at(now + limits::kHandshakeTimeout);
  wake_at(choker_.next_round());
  return &peer;
}

/// Everything that can be said before they answer goes in one flight: handshake, bitfield and,
/// while we want anything, interested. `theirs`: the handshake being answered. A peer that hung up
/// on that before (aria2 takes nothing after a handshake it has not answered) gets the handshake
/// alone, and the rest when its own has come.
void Torrent::greet(Peer& peer, const wire::Handshake* theirs) {
  wire::Handshake ours;
  ours.info_hash = metainfo_->hashes.primary();
  ours.peer_id = config_.client_id;
  ours.extended = ours.fast = true;
  ours.v2 = metainfo_->has_v2();
  ours.dht = config_.dht_port != 0;
  if (theirs != nullptr) {
    ours.info_hash = theirs->info_hash;
    // BEP 52: answering with the truncated v2 hash makes a hybrid's connection a v2 one.
    if (metainfo_->has_v2() && theirs->v2) ours.info_hash = *metainfo_->hashes.v2_truncated();
    peer.v2 = metainfo_->has_v2() && ours.info_hash == *metainfo_->hashes.v2_truncated();
  }
  wire::append_handshake(to(peer), ours);
  if (theirs != nullptr || !shy_.contains(peer.endpoint))
    introduce(peer, theirs != nullptr && theirs->fast);
}

void Torrent::introduce(Peer& peer, bool fast) {
  peer.introduced = true;
  Bytes& out = to(peer);
  if (fast && complete()) {
    wire::append_plain(out, wire::MessageId::have_all);
  } else if (fast && have().count() == 0) {
    wire::append_plain(out, wire::MessageId::have_none);
  } else {
    wire::append_bitfield(out, have().to_wire());
  }
  if (!complete()) {
    peer.am_interested = true;
    wire::append_plain(out, wire::MessageId::interested);
  }
}

bool Torrent::is_our_hash(const Sha1Hash& hash) const {
  return metainfo_->hashes.v1 == hash || metainfo_->hashes.v2_truncated() == hash;
}

void Torrent::accept_handshake(Peer& peer, const wire::Handshake& theirs, TimePoint now) {
  peer.ready = true;
  peer.fast = theirs.fast;
  peer.extended = theirs.extended;
  peer.has_node = theirs.dht;
  peer.client_id = theirs.peer_id;
  drop_second_connection(peer, now);
  if (peer.closing) return;
  if (peer.dialled) {
    peer.v2 = metainfo_->has_v2() && theirs.info_hash == metainfo_->hashes.v2_truncated();
    book_.on_connected(peer.endpoint, now);
    peer.booked = peer.endpoint;
  }
  count_connections();
  if (peer.dialled && places_.over()) settle(peer, now);
  if (peer.closing) return;
  if (!peer.introduced) introduce(peer, peer.fast);
  if (peer.extended) extend(peer);
  note_member(peer, now);
  if (peer.has_node && config_.dht_port != 0) wire::append_port(to(peer), config_.dht_port);
  wake_at(now + limits::kKeepAlive);
}

/// Says what we take and are (BEP 10); again when that has changed.
void Torrent::extend(Peer& peer) {
  wire::ExtensionHandshake mine;
  mine.ids.lt_donthave = kDontHaveId;
  mine.ids.sf_reading = kReadingId;
  if (config_.holepunch) mine.ids.ut_holepunch = limits::kHolepunchId;
  if (serves_metadata()) {
    mine.ids.ut_metadata = limits::kMetadataId;
    mine.metadata_size = static_cast<std::uint32_t>(metainfo_->info.size());
  }
  if (config_.exchange_peers) mine.ids.ut_pex = limits::kPexId;
  mine.version = config_.client_name;
  if (config_.listen_port != 0) mine.port = config_.listen_port;
  mine.reqq = static_cast<std::uint32_t>(limits::kMaxQueuedRequests);
  mine.upload_only = complete();
  mine.yourip = peer.endpoint.address;
  wire::append_extended(to(peer), wire::kExtensionHandshakeId, wire::encode(mine));
}

/// Two peers that dial each other at once need one connection. Both ends must drop the same one:
/// what the one with the smaller id dialled stays. A peer that dialled us again has lost the old
/// connection. Only on one address, so that nobody can end another's connection with its id.
void Torrent::drop_second_connection(Peer& peer, TimePoint now) {
  for (auto& [id, other] : peers_) {
    if (id == peer.id || other->closing || !other->ready || other->client_id != peer.client_id ||
        other->endpoint.address != peer.endpoint.address)
      continue;
    const bool keep_dialled = config_.client_id < peer.client_id;
    const bool keep_new = other->dialled == peer.dialled || peer.dialled == keep_dialled;
    return drop(keep_new ? *other : peer, "connected already", CloseReason::duplicate, now);
  }
}

bool Torrent::on_handshake(Peer& peer, ByteView frame, TimePoint now) {
  const auto theirs = wire::parse_handshake(frame);
  const auto refuse = [&](std::string_view why, CloseReason kind) {
    drop(peer, why, kind, now);
    return false;
  };
  if (!theirs) return refuse("not a BitTorrent peer", CloseReason::misbehaved);
  if (!is_our_hash(theirs->info_hash)) return refuse("another torrent", CloseReason::misbehaved);
  if (theirs->peer_id == config_.client_id) return refuse("ourselves", CloseReason::self);
  accept_handshake(peer, *theirs, now);
  return !peer.closing;
}

void Torrent::on_received(PeerId id, ByteView bytes, TimePoint now) {
  Peer* peer = find(id);
  if (peer == nullptr) return;
  peer->last_received = now;
  if (!peer->web_seed) book_.heard(now);  // which is ours, and answers also without a line
  const auto fed = peer->framer.feed(bytes, [&](ByteView frame, bool is_handshake) {
    return is_handshake ? on_handshake(*peer, frame, now) : on_message(*peer, frame, now);
  });
  if (!fed && !peer->closing) drop(*peer, fed.error().message, CloseReason::misbehaved, now);
  ask_hashes(now);
  if (!peer->closing) {
    fill(*peer, now);
    send_blocks(*peer, now);
  }
  flush(now);
}

bool Torrent::on_message(Peer& peer, ByteView frame, TimePoint now) {
  peer.heard = true;
  const auto parsed = wire::parse_message(frame);
  if (!parsed) {
    drop(peer, parsed.error().message, CloseReason::misbehaved, now);
    return false;
  }
  const auto out_of_range = [&](PieceIndex piece) {
    if (piece.value < layout_.piece_count()) return false;
    drop(peer, "named a piece that does not exist", CloseReason::misbehaved, now);
    return true;
  };
  std::visit(Overloaded{
                 [](const wire::KeepAlive&) {},
                 [&](const wire::Port& m) {
                   if (config_.dht_port != 0 && !std::exchange(peer.told_node, true))
                     host_.dht_node({peer.endpoint.address, m.port});
                 },
                 [](const wire::Unknown&) {},
                 [&](const wire::Choke&) {
                   if (std::exchange(peer.peer_choking, true)) return;
                   if (!patient(peer, now))
                     return drop(peer, "keeps choking us", CloseReason::misbehaved, now);
                   release_all(peer, now);
                   refill_ = true;
                 },
                 [&](const wire::Unchoke&) {
                   peer.peer_choking = false;
                   peer.snubbed = false;
                 },
                 [&](const wire::Interested&) { on_interest(peer, true, now); },
                 [&](const wire::NotInterested&) { on_interest(peer, false, now); },
                 [&](const wire::Have& m) {
                   if (!out_of_range(m.piece)) on_have(peer, m.piece, now);
                 },
                 [&](const wire::Bitfield& m) {
                   Bitfield bits(layout_.piece_count());
                   if (!bits.from_wire(m.bits))
                     return drop(peer, "bad bitfield", CloseReason::misbehaved, now);
                   if (!peer.greeted) return set_bits(peer, std::move(bits), now);
                   // aria2 sends another one instead of many HAVEs.
                   for (std::uint32_t i = 0; i < bits.size() && !peer.closing; ++i)
                     if (bits.test(PieceIndex(i))) on_have(peer, PieceIndex(i), now);
                 },
                 [&](const wire::HaveAll&) {
                   Bitfield bits(layout_.piece_count());
                   bits.set_all();
                   if (peer.greeted)
                     return drop(peer, "second bitfield", CloseReason::misbehaved, now);
                   set_bits(peer, std::move(bits), now);
                 },
                 [&](const wire::HaveNone&) {
                   if (peer.greeted)
                     return drop(peer, "second bitfield", CloseReason::misbehaved, now);
                   set_bits(peer, Bitfield(layout_.piece_count()), now);
                 },
                 [&](const wire::Request& m) { on_request(peer, m.block, now); },
                 [&](const wire::Piece& m) { on_block(peer, m, now); },
                 [&](const wire::Cancel& m) { on_cancel(peer, m.block); },
                 [&](const wire::Suggest& m) {
                   if (out_of_range(m.piece)) return;
                   peer.suggested.push_front(m.piece);
                   if (peer.suggested.size() > limits::kMaxSuggested) peer.suggested.pop_back();
                 },
                 [&](const wire::Reject& m) { on_reject(peer, m.block, now); },
                 [&](const wire::AllowedFast& m) {
                   if (!out_of_range(m.piece) && peer.allowed_fast.size() < limits::kMaxSuggested)
                     peer.allowed_fast.insert(m.piece);
                 },
                 [&](const wire::Extended& m) { on_extended(peer, m, now); },
                 [&](const wire::HashRequest& m) { on_hash_request(peer, m.ref, now); },
                 [&](const wire::Hashes& m) { on_hashes(peer, m, now); },
                 [&](const wire::HashReject& m) { give_up_fetch(peer, m.ref, true, now); },
             },
             *parsed);
  return !peer.closing;
}

void Torrent::set_bits(Peer& peer, Bitfield bits, TimePoint now) {
  peer.greeted = true;
  // A HAVE that came before its bitfield was wrong of the peer, but does no harm.
  if (!peer.counted_seed) picker_.remove_peer(peer.bits);
  peer.bits = std::move(bits);
  if (peer.bits.all()) {
    became_seed(peer, now);
  } else {
    picker_.add_peer(peer.bits);
  }
  update_interest(peer);
  want_hashes_ = true;
  trace_waits(now);
}

void Torrent::on_have(Peer& peer, PieceIndex piece, TimePoint now) {
  peer.greeted = true;
  if (!peer.bits.set(piece)) return;
  picker_.peer_has(piece);
  if (peer.bits.all()) {
    picker_.remove_peer(peer.bits);
    became_seed(peer, now);
  }
  if (!peer.am_interested && !have().test(piece)) update_interest(peer);
  if (!lacking_.empty() && may_ask_layers(peer, now)) want_hashes_ = true;
}

void Torrent::became_seed(Peer& peer, TimePoint now) {
  peer.counted_seed = true;
  picker_.add_seed();
  if (peer.booked) book_.set_seed(*peer.booked, true);
  note_member(peer, now);
  // Two seeds have nothing for each other; a slot may go to someone who does.
  if (complete()) drop(peer, "both complete", CloseReason::useless, now);
}

/// A piece the peer said it has but does not deliver is no longer counted as its.
void Torrent::disbelieve(Peer& peer, PieceIndex piece) {
  if (!peer.bits.test(piece)) return;
  if (peer.counted_seed) {
    peer.counted_seed = false;
    picker_.remove_seed();
    picker_.add_peer(peer.bits);
    if (peer.booked) book_.set_seed(*peer.booked, false);
  }
  picker_.peer_lost(piece);
  peer.bits.clear(piece);
}

void Torrent::update_interest(Peer& peer) {
  const bool want = peer.bits.has_beyond(have());
  if (want == peer.am_interested || (!peer.greeted && want)) return;
  peer.am_interested = want;
  wire::append_plain(to(peer),
                     want ? wire::MessageId::interested : wire::MessageId::not_interested);
}

void Torrent::on_extended(Peer& peer, const wire::Extended& message, TimePoint now) {
  if (message.id == wire::kExtensionHandshakeId)
    return on_extension_handshake(peer, message.payload, now);
  if (message.id == kDontHaveId) return on_dont_have(peer, message.payload, now);
  if (message.id == kReadingId) return on_reading(peer, message.payload, now);
  if (message.id == limits::kPexId) return on_exchange_message(peer, message.payload, now);
  if (message.id == limits::kMetadataId) return on_metadata_message(peer, message.payload, now);
  if (message.id == limits::kHolepunchId && config_.holepunch)
    return on_holepunch(peer, message.payload, now);
}

void Torrent::on_extension_handshake(Peer& peer, ByteView payload, TimePoint now) {
  const auto theirs = wire::parse_extension_handshake(payload);
  if (!theirs) return drop(peer, theirs.error().message, CloseReason::misbehaved, now);
  if (theirs->ids.lt_donthave) peer.dont_have_id = *theirs->ids.lt_donthave;
  if (theirs->ids.sf_reading) peer.reading_id = *theirs->ids.sf_reading;
  if (theirs->ids.ut_holepunch) peer.holepunch_id = *theirs->ids.ut_holepunch;
  if (theirs->ids.ut_metadata) peer.metadata_id = *theirs->ids.ut_metadata;
  if (theirs->ids.ut_pex && config_.exchange_peers) {
    peer.pex_id = *theirs->ids.ut_pex;
    exchange_.subscribe(peer.id, peer.endpoint.address, peer.pex_id != 0, now);
  }
  if (theirs->reqq) peer.reqq = std::clamp(*theirs->reqq, 1U, limits::kMaxDepth);
  if (theirs->upload_only) peer.upload_only = *theirs->upload_only;
  if (theirs->version) peer.client_name = *theirs->version;
  if (!peer.dialled && theirs->port) book_at(peer, *theirs->port, now);
  note_member(peer, now);
}

/// An accepted peer's listening port makes it someone we can dial later. The port may move, but
/// each move leaves an address in the book.
void Torrent::book_at(Peer& peer, std::uint16_t port, TimePoint now) {
  static constexpr unsigned kMostMoves = 8;
  const Endpoint listening{peer.endpoint.address, port};
  if (peer.booked == listening || peer.moves > kMostMoves || !book_.on_incoming(listening, now))
    return;
  ++peer.moves;
  if (peer.booked) book_.on_closed(*peer.booked, now, CloseReason::duplicate);
  peer.booked = listening;
  if (peer.counted_seed) book_.set_seed(listening, true);
}

/// BEP 54: taken at its word; what it was asked of the piece is asked of others.
void Torrent::on_dont_have(Peer& peer, ByteView payload, TimePoint now) {
  const auto piece = wire::parse_piece(payload);
  if (!piece || piece->value >= layout_.piece_count())
    return drop(peer, "lost a piece that does not exist", CloseReason::misbehaved, now);
  if (!patient(peer, now))
    return drop(peer, "keeps losing what it offers", CloseReason::misbehaved, now);
  disbelieve(peer, *piece);
  peer.upload_only = false;  // it may want the piece again
  peer.allowed_fast.erase(*piece);
  std::erase(peer.suggested, *piece);
  release_piece(peer, *piece, now);
  update_interest(peer);
  refill_ = true;
}

bool Torrent::patient(Peer& peer, TimePoint now) const {
  if (peer.web_seed) return true;  // ours
  const double earned = to_seconds(now - peer.patience_at) * limits::kPatiencePerSecond;
  peer.patience = std::min(limits::kPatience, peer.patience + earned) - 1;
  peer.patience_at = now;
  if (peer.patience >= 0) return true;
  peer.patience = 0;
  return false;
}

void Torrent::drop(Peer& peer, std::string_view reason, CloseReason kind, TimePoint now) {
  if (peer.closing) return;
  host_.log(0, peer.endpoint.to_string() + ": closing: " + std::string(reason));
  hand_over(peer);
  host_.disconnect(peer.id, reason);
  forget(peer, kind, now);
}

void Torrent::on_closed(PeerId id, TimePoint now) {
  Peer* peer = find(id);
  if (peer == nullptr) return;
  forget(*peer, CloseReason::lost, now);
  if (peers_.size() == closing_ && !reads_.empty()) host_.need_peers();
  flush(now);
}

void Torrent::forget(Peer& peer, CloseReason kind, TimePoint now) {
  peer.closing = true;
  ++closing_;
  exchange_.left(peer.id);
  wake_to_exchange(now);
  if (peer.counted_seed) {
    picker_.remove_seed();
  } else {
    picker_.remove_peer(peer.bits);
  }
  peer.peer_choking = true;
  release_all(peer, now);
  for (auto& [piece, requests] : leaf_requests_)
    std::erase_if(requests, [&](const auto& r) { return r.first == peer.id; });
  // Who hung up on all that came with our handshake is greeted with the handshake alone next time:
  // at once if it never answered, else when the book says.
  const bool shy = peer.dialled && !peer.heard && kind == CloseReason::lost && peer.introduced &&
                   shy_.size() < config_.peer_book.max_peers && shy_.insert(peer.endpoint).second;
  if (shy && !peer.ready) {
    half_open_.insert(peer.endpoint);
    host_.dial(peer.endpoint);
  } else if (peer.dialled) {
    book_.on_closed(peer.endpoint, now, kind);
  } else if (peer.booked) {
    book_.on_closed(*peer.booked, now, kind);
  }
  if (!peer.am_choking) slot_freed_ = true;
  if (!std::exchange(peer.hash_fetches, {}).empty()) want_hashes_ = true;
  std::erase_if(first_copies_, [&](const auto& copy) { return copy.second.to == peer.id; });
  refill_ = true;
  dial_more(now);
}

void Torrent::ban_address(const IpAddress& address, TimePoint now) {
  // Everybody on this machine shares loopback: there only the connection goes. A web seed is not
  // its address either.
  if (!address.is_loopback() && !address.is_unspecified()) book_.ban(address, now);
}

void Torrent::ban(Peer& peer, std::string_view why, TimePoint now) {
  if (peer.closing) return;
  ++banned_;
  host_.log(2, (peer.web_seed ? peer.client_name : peer.endpoint.to_string()) +
                   " is out: " + std::string(why));
  if (peer.web_seed) {
    host_.distrust(peer.id);
  } else {
    ban_address(peer.endpoint.address, now);
  }
  const PeerId id = peer.id;
  // What it sent and nobody has checked yet is not worth keeping.
  for (auto& [piece, partial] : partials_) {
    if (picker_.state(piece) != PieceState::in_flight) continue;
    for (std::uint32_t b = 0; b < partial.slots.size(); ++b) {
      const BlockSlot& slot = partial.slots[b];
      if (slot.state == BlockSlot::State::received && slot.from == id) partial.discard(b);
    }
  }
  rewind_windows();
  drop(peer, why, CloseReason::misbehaved, now);
}

}  // namespace swarmfs::engine
