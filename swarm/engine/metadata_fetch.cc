#include "swarm/engine/metadata_fetch.h"

#include <algorithm>

#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

namespace {

/// Requests kept with a peer at first, and at most: some clients reject what exceeds 64.
constexpr std::size_t kFirstDepth = 8;
constexpr std::size_t kMostDepth = 48;
/// Peers that one piece is asked of at once, when nothing else is left to ask.
constexpr unsigned kMaxCopies = 2;
/// Pieces that nobody asked for, before their sender is dropped.
constexpr unsigned kMaxUnasked = 200;
constexpr std::uint32_t kLongestMessage = 256 * 1024 + 64;

std::uint32_t piece_length(std::uint32_t size, std::uint32_t piece) {
  return std::min(wire::kMetadataPiece, size - piece * wire::kMetadataPiece);
}

}  // namespace

struct MetadataFetch::Peer {
  Peer(PeerId id_, const Endpoint& endpoint_, bool dialled_)
      : id(id_), endpoint(endpoint_), dialled(dialled_), framer(dialled_, kLongestMessage) {}

  PeerId id;
  Endpoint endpoint;
  bool dialled;
  bool ready = false;     ///< their handshake has come
  bool heard = false;     ///< a message came after it
  bool extended = false;  ///< our extension handshake has gone
  bool closing = false;
  bool v2 = false;
  wire::Handshake theirs;
  std::optional<Duration> rtt;
  MessageFramer framer;
  Bytes received;           ///< for the torrent
  bool talks_much = false;  ///< too much of it: not to be kept
  std::uint8_t metadata_id = 0;
  std::uint32_t size = 0;  ///< of the dictionary, as it claims; 0: it has none
  std::vector<Asked> asked;
  std::size_t brought = 0;  ///< pieces
  unsigned unasked = 0;
  bool slow = false;       ///< let its last request lie: nobody counts on it
  TimePoint useful_at;     ///< it brought a piece, or came
  TimePoint rest_until{};  ///< it rejected
};

MetadataFetch::MetadataFetch(MetadataConfig config, MetadataHost& host, std::uint64_t seed)
    : config_(std::move(config)), host_(host), book_(config_.peer_book, seed) {}

MetadataFetch::~MetadataFetch() = default;

bool MetadataFetch::is_our_hash(const Sha1Hash& hash) const {
  return config_.hashes.v1 == hash || config_.hashes.v2_truncated() == hash;
}

MetadataFetch::Peer* MetadataFetch::find(PeerId id) {
  const auto it = peers_.find(id);
  return it == peers_.end() || it->second->closing ? nullptr : it->second.get();
}

// --- who is there

void MetadataFetch::add_candidates(std::span<const Endpoint> endpoints, PeerSource source,
                                   TimePoint now) {
  for (const Endpoint& endpoint : endpoints) {
    book_.add(endpoint, source, now);
    if (book_.refuses(endpoint.address)) continue;
    if (const auto known = candidates_.find(endpoint); known != candidates_.end()) {
      if (more_trusted(source, known->second)) known->second = source;
    } else if (candidates_.size() < config_.peer_book.max_peers) {
      candidates_.emplace(endpoint, source);
    }
  }
  finish_event(now);
}

void MetadataFetch::set_filter(AddressFilterPtr filter, TimePoint now) {
  book_.set_filter(std::move(filter));
  std::erase_if(candidates_, [&](const auto& known) { return book_.refuses(known.first.address); });
  for (auto& [id, peer] : peers_)
    if (!peer->closing && book_.refuses(peer->endpoint.address))
      drop(*peer, "blocked by the IP filter", CloseReason::useless, now);
  finish_event(now);
}

void MetadataFetch::dial_more(TimePoint now) {
  if (metadata_ || failed_) return;
  const auto connected = static_cast<unsigned>(peers_.size());
  if (connected >= kMaxPeers) return;
  while (const auto endpoint =
             book_.next_dial(now, connected, static_cast<unsigned>(half_open_.size()))) {
    half_open_.insert(*endpoint);
    host_.dial(*endpoint);
  }
  if (const auto next = book_.deadline(connected, static_cast<unsigned>(half_open_.size())))
    wake_ = std::min(wake_, *next);
}

void MetadataFetch::on_dial_failed(const Endpoint& endpoint, TimePoint now) {
  half_open_.erase(endpoint);
  book_.on_failed(endpoint, now);
  finish_event(now);
}

void MetadataFetch::network_changed(TimePoint now) {
  book_.forgive(now);
  finish_event(now);
}

std::optional<PeerId> MetadataFetch::add_peer(const Endpoint& endpoint,
                                              std::optional<wire::Handshake> theirs,
                                              std::optional<Duration> rtt, TimePoint now) {
  half_open_.erase(endpoint);
  if (failed_ || book_.refuses(endpoint.address) || peers_.size() >= kMaxPeers ||
      (theirs && theirs->peer_id == config_.client_id)) {
    if (!theirs) book_.on_closed(endpoint, now, CloseReason::useless);
    return std::nullopt;
  }
  const PeerId id(next_peer_++);
  Peer& peer = *peers_.emplace(id, std::make_unique<Peer>(id, endpoint, !theirs)).first->second;
  peer.useful_at = now;
  peer.rtt = rtt;
  greet(peer, theirs ? &*theirs : nullptr);
  if (theirs) accept_handshake(peer, *theirs, now);
  finish_event(now);
  return id;
}

/// As Torrent::greet(): what can be said before they answer goes in one flight, unless they have
/// hung up on that.
void MetadataFetch::greet(Peer& peer, const wire::Handshake* theirs) {
  wire::Handshake ours;
  ours.info_hash = config_.hashes.primary();
  ours.peer_id = config_.client_id;
  ours.extended = ours.fast = true;
  // BEP 52: with the v1 hash, the bit says that we know of the v2 one as well.
  ours.v2 = config_.hashes.v2.has_value();
  const auto v2 = config_.hashes.v2_truncated();
  if (theirs != nullptr) {
    ours.info_hash = v2 && theirs->v2 ? *v2 : theirs->info_hash;
    peer.v2 = ours.info_hash == v2;
  }
  Bytes out;
  wire::append_handshake(out, ours);
  host_.send(peer.id, std::move(out));
  if (theirs == nullptr && !shy_.contains(peer.endpoint)) extend(peer);
}

void MetadataFetch::extend(Peer& peer) {
  if (std::exchange(peer.extended, true)) return;
  wire::ExtensionHandshake mine;
  mine.ids.ut_metadata = limits::kMetadataId;
  mine.version = config_.client_name;
  if (config_.listen_port != 0) mine.port = config_.listen_port;
  mine.reqq = static_cast<std::uint32_t>(limits::kMaxQueuedRequests);
  mine.yourip = peer.endpoint.address;
  Bytes out;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(mine));
  host_.send(peer.id, std::move(out));
}

/// What a Torrent would say as well is said now, so that its peers unchoke us meanwhile.
void MetadataFetch::accept_handshake(Peer& peer, const wire::Handshake& theirs, TimePoint now) {
  peer.ready = true;
  peer.theirs = theirs;
  if (peer.dialled) {
    peer.v2 = theirs.info_hash == config_.hashes.v2_truncated();
    book_.on_connected(peer.endpoint, now);
  }
  if (!theirs.extended) return drop(peer, "cannot give the metadata", CloseReason::useless, now);
  extend(peer);
  Bytes out;
  if (theirs.fast) wire::append_plain(out, wire::MessageId::have_none);
  wire::append_plain(out, wire::MessageId::interested);
  host_.send(peer.id, std::move(out));
}

void MetadataFetch::on_closed(PeerId id, TimePoint now) {
  Peer* const peer = find(id);
  if (peer == nullptr) return;
  forget(*peer, CloseReason::lost, now);
  finish_event(now);
  if (peers_.empty() && !metadata_) host_.need_peers();
}

void MetadataFetch::drop(Peer& peer, std::string_view reason, CloseReason kind, TimePoint now) {
  if (peer.closing) return;
  host_.log(0, peer.endpoint.to_string() + ": closing: " + std::string(reason));
  host_.disconnect(peer.id, reason);
  forget(peer, kind, now);
}

void MetadataFetch::ban(Peer& peer, std::string_view why, TimePoint now) {
  if (peer.closing) return;
  host_.log(2, peer.endpoint.to_string() + " is out: " + std::string(why));
  // Everybody on this machine shares loopback: there only the connection goes.
  if (!peer.endpoint.address.is_loopback()) book_.ban(peer.endpoint.address, now);
  drop(peer, why, CloseReason::misbehaved, now);
}

void MetadataFetch::forget(Peer& peer, CloseReason kind, TimePoint now) {
  peer.closing = true;
  give_back(peer);
  const bool shy = peer.dialled && !peer.ready && kind == CloseReason::lost && peer.extended &&
                   shy_.size() < config_.peer_book.max_peers && shy_.insert(peer.endpoint).second;
  if (shy && !metadata_) {
    half_open_.insert(peer.endpoint);
    host_.dial(peer.endpoint);
  } else if (peer.dialled) {
    book_.on_closed(peer.endpoint, now, kind);
  }
}

std::optional<AdoptedPeer> MetadataFetch::release(PeerId id) {
  Peer* const peer = find(id);
  if (peer == nullptr || !peer->ready || peer->talks_much) return std::nullopt;
  AdoptedPeer out;
  out.endpoint = peer->endpoint;
  if (const auto known = candidates_.find(peer->endpoint); known != candidates_.end())
    out.source = known->second;
  out.dialled = peer->dialled;
  out.v2 = peer->v2;
  out.theirs = peer->theirs;
  out.rtt = peer->rtt;
  out.received = std::move(peer->received);
  append(out.received, peer->framer.pending());
  peers_.erase(id);
  return out;
}

// --- what they say

void MetadataFetch::on_received(PeerId id, ByteView bytes, TimePoint now) {
  Peer* const peer = find(id);
  if (peer == nullptr) return;
  book_.heard(now);
  const auto fed = peer->framer.feed(bytes, [&](ByteView frame, bool is_handshake) {
    return on_frame(*peer, frame, is_handshake, now);
  });
  if (!fed) drop(*peer, fed.error().message, CloseReason::misbehaved, now);
  finish_event(now);
}

/// False once it is dropped.
bool MetadataFetch::on_frame(Peer& peer, ByteView frame, bool is_handshake, TimePoint now) {
  if (is_handshake) {
    const auto theirs = wire::parse_handshake(frame);
    if (!theirs || !is_our_hash(theirs->info_hash)) {
      drop(peer, "no peer of this torrent", CloseReason::misbehaved, now);
    } else if (theirs->peer_id == config_.client_id) {
      drop(peer, "ourselves", CloseReason::self, now);
    } else {
      accept_handshake(peer, *theirs, now);
    }
    return !peer.closing;
  }
  peer.heard = true;
  const auto message = wire::parse_message(frame);
  if (!message) {
    drop(peer, message.error().message, CloseReason::misbehaved, now);
    return false;
  }
  const auto* const extended = std::get_if<wire::Extended>(&*message);
  if (extended != nullptr && extended->id == limits::kMetadataId) {
    on_metadata_message(peer, extended->payload, now);
    return !peer.closing;
  }
  if (extended != nullptr && extended->id == wire::kExtensionHandshakeId)
    on_extension_handshake(peer, extended->payload, now);
  // We have nothing that could be asked for, and have asked for nothing.
  if (std::holds_alternative<wire::Request>(*message) ||
      std::holds_alternative<wire::Cancel>(*message) ||
      std::holds_alternative<wire::Piece>(*message) ||
      std::holds_alternative<wire::KeepAlive>(*message))
    return !peer.closing;
  keep_for_torrent(peer, frame);
  return !peer.closing;
}

void MetadataFetch::keep_for_torrent(Peer& peer, ByteView frame) {
  if (peer.talks_much) return;
  if (peer.received.size() + frame.size() + 4 > kMaxReceived) {
    peer.talks_much = true;
    peer.received = {};
    return;
  }
  append_be(peer.received, static_cast<std::uint32_t>(frame.size()));
  append(peer.received, frame);
}

void MetadataFetch::on_extension_handshake(Peer& peer, ByteView payload, TimePoint now) {
  const auto theirs = wire::parse_extension_handshake(payload);
  if (!theirs) return drop(peer, theirs.error().message, CloseReason::misbehaved, now);
  if (theirs->ids.ut_metadata) peer.metadata_id = *theirs->ids.ut_metadata;
  if (!theirs->metadata_size) return;
  if (*theirs->metadata_size > wire::kMaxMetadata)
    return drop(peer, "offers metadata of more than 30 MB", CloseReason::misbehaved, now);
  if (peer.size != *theirs->metadata_size) give_back(peer);
  peer.size = *theirs->metadata_size;
}

void MetadataFetch::on_metadata_message(Peer& peer, ByteView payload, TimePoint now) {
  using Kind = wire::MetadataMessage::Kind;
  const auto message = wire::parse_metadata_message(payload);
  if (!message) return drop(peer, message.error().message, CloseReason::misbehaved, now);
  if (message->kind == Kind::unknown) return;
  if (message->kind == Kind::request) {
    if (peer.metadata_id == 0) return;
    Bytes out;
    wire::append_extended(out, peer.metadata_id,
                          wire::encode({Kind::reject, message->piece, 0, {}}));
    host_.send(peer.id, std::move(out));
    return;
  }
  if (metadata_ || failed_) return;
  const auto asked = std::find_if(peer.asked.begin(), peer.asked.end(),
                                  [&](const Asked& a) { return a.piece == message->piece; });
  if (asked != peer.asked.end()) {
    not_coming(peer, *asked);
    peer.asked.erase(asked);
  } else if (++peer.unasked > kMaxUnasked) {
    return drop(peer, "sends metadata that nobody asked for", CloseReason::misbehaved, now);
  }
  // What comes late is as good as what comes in time.
  if (message->kind == Kind::data) return on_data(peer, *message, now);
  peer.rest_until = now + kRejectRest;
  give_back(peer);
}

void MetadataFetch::on_data(Peer& peer, const wire::MetadataMessage& message, TimePoint now) {
  Copy* const copy = find_copy(peer);
  if (copy == nullptr) return;
  if ((message.total_size != 0 && message.total_size != peer.size) ||
      message.piece >= copy->pieces.size() ||
      message.payload.size() != piece_length(peer.size, message.piece))
    return ban(peer, "sent metadata of another size than it said", now);
  peer.useful_at = now;
  peer.slow = false;
  ++peer.brought;
  Piece& piece = copy->pieces[message.piece];
  if (!piece.bytes.empty()) return;
  piece.bytes.assign(message.payload.begin(), message.payload.end());
  piece.from = peer.id;
  copy->held += piece.bytes.size();
  held_ += piece.bytes.size();
  if (--copy->left == 0) {
    whole(copy_of(peer), now);
  } else {
    limit_memory(now);
  }
}

// --- copies

MetadataFetch::CopyKey MetadataFetch::copy_of(const Peer& peer) const {
  return {peer.size, spoilt_.contains(peer.size) ? peer.id : PeerId(0)};
}

MetadataFetch::Copy* MetadataFetch::find_copy(const Peer& peer) {
  const auto it = copies_.find(copy_of(peer));
  return it == copies_.end() ? nullptr : &it->second;
}

void MetadataFetch::ask_all(TimePoint now) {
  if (metadata_ || failed_) return;
  for (const auto& [id, peer] : peers_)
    if (!peer->closing && peer->ready && peer->metadata_id != 0 && peer->size != 0 &&
        now >= peer->rest_until)
      ask(*peer, now);
}

/// Who let a request lie is asked for one piece at a time, beside others.
void MetadataFetch::ask(Peer& peer, TimePoint now) {
  Copy& copy = copies_[copy_of(peer)];
  if (copy.pieces.empty()) {
    copy.left = wire::metadata_pieces(peer.size);
    copy.pieces.resize(copy.left);
  }
  Bytes out;
  const std::size_t depth = peer.slow ? 1 : std::min(kMostDepth, kFirstDepth + peer.brought / 2);
  while (peer.asked.size() < depth) {
    const auto piece = choose(peer, copy);
    if (!piece) break;
    if (!peer.slow) ++copy.pieces[*piece].asked;
    peer.asked.push_back({*piece, now, !peer.slow});
    wire::append_extended(out, peer.metadata_id,
                          wire::encode({wire::MetadataMessage::Kind::request, *piece, 0, {}}));
  }
  if (!out.empty()) host_.send(peer.id, std::move(out));
}

/// A piece that nobody is asked for, or else one that was asked of few.
std::optional<std::uint32_t> MetadataFetch::choose(const Peer& peer, const Copy& copy) {
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < copy.pieces.size(); ++i) {
    const Piece& piece = copy.pieces[i];
    if (!piece.bytes.empty() || (piece.asked >= kMaxCopies && !peer.slow)) continue;
    if (best && piece.asked >= copy.pieces[*best].asked) continue;
    if (std::any_of(peer.asked.begin(), peer.asked.end(),
                    [&](const Asked& a) { return a.piece == i; }))
      continue;
    best = i;
    if (piece.asked == 0) break;
  }
  return best;
}

/// A request is answered, or for others to answer.
void MetadataFetch::not_coming(const Peer& peer, const Asked& asked) {
  Copy* const copy = find_copy(peer);
  if (copy != nullptr && asked.counted && copy->pieces[asked.piece].asked > 0)
    --copy->pieces[asked.piece].asked;
}

void MetadataFetch::give_back(Peer& peer) {
  for (const Asked& asked : peer.asked) not_coming(peer, asked);
  peer.asked.clear();
}

/// Every piece of a copy is here: it is the dictionary, or somebody lied.
void MetadataFetch::whole(const CopyKey& key, TimePoint now) {
  const auto at = copies_.find(key);
  Copy copy = std::move(at->second);
  copies_.erase(at);
  held_ -= copy.held;
  Bytes bytes;
  bytes.reserve(key.first);
  std::set<PeerId> from;
  for (Piece& piece : copy.pieces) {
    append(bytes, piece.bytes);
    from.insert(piece.from);
    piece.bytes = {};
  }
  const auto& hashes = config_.hashes;
  const bool v1 = hashes.v1 && sha1(bytes) == *hashes.v1;
  const bool v2 = hashes.v2 && sha256(bytes) == *hashes.v2;
  if (v1 == hashes.v1.has_value() && v2 == hashes.v2.has_value()) {
    metadata_ = std::move(bytes);
    copies_.clear();
    held_ = 0;
    for (auto& [id, peer] : peers_) peer->asked.clear();
    return;
  }
  if (v1 || v2) {
    failed_ = fail(ErrorKind::mismatch, "the link's v1 and v2 hashes are of two torrents");
    for (auto& [id, peer] : peers_) drop(*peer, "the link is wrong", CloseReason::useless, now);
    return;
  }
  for (auto& [id, peer] : peers_)
    if (copy_of(*peer) == key) peer->asked.clear();
  if (from.size() > 1) {
    host_.log(1, "metadata of several peers is wrong: each is asked for all of it");
    spoilt_.insert(key.first);
  } else if (Peer* const liar = find(*from.begin())) {
    ban(*liar, "sent wrong metadata", now);
  }
}

void MetadataFetch::limit_memory(TimePoint now) {
  if (held_ <= kMaxHeld) return;
  const auto largest =
      std::max_element(copies_.begin(), copies_.end(),
                       [](const auto& a, const auto& b) { return a.second.held < b.second.held; });
  const CopyKey key = largest->first;
  for (auto& [id, peer] : peers_)
    if (!peer->closing && peer->size == key.first && copy_of(*peer) == key)
      drop(*peer, "takes too much memory", CloseReason::misbehaved, now);
  held_ -= largest->second.held;
  copies_.erase(largest);
}

MetadataFetch::Stats MetadataFetch::stats() const {
  Stats stats;
  stats.known = candidates_.size();
  for (const auto& [id, peer] : peers_) {
    if (!peer->ready) continue;
    ++stats.peers;
    if (peer->size != 0) ++stats.offering;
  }
  for (const auto& [key, copy] : copies_) {
    if (stats.size != 0 && copy.held < stats.here) continue;
    stats.size = key.first;
    stats.here = static_cast<std::uint32_t>(copy.held);
  }
  return stats;
}

// --- time

void MetadataFetch::on_timer(TimePoint now) { finish_event(now); }

void MetadataFetch::check_timers(Peer& peer, TimePoint now) {
  const auto at = [&](TimePoint t) { wake_ = std::min(wake_, t); };
  if (metadata_) return;  // whoever takes it over looks at its watch
  const Duration limit = peer.ready ? kUsefulWithin : limits::kHandshakeTimeout;
  if (now - peer.useful_at >= limit)
    return drop(peer, "brings no metadata", CloseReason::lost, now);
  at(peer.useful_at + limit);
  const auto late = std::erase_if(peer.asked, [&](const Asked& asked) {
    if (now - asked.at < kRequestTimeout) return false;
    not_coming(peer, asked);
    return true;
  });
  if (late > 0) peer.slow = true;
  if (peer.rest_until > now) at(peer.rest_until);
}

/// At the end of every event: who is late, who is asked for what now, and whom to dial.
void MetadataFetch::finish_event(TimePoint now) {
  wake_ = TimePoint::max();
  for (const auto& [id, peer] : peers_)
    if (!peer->closing) check_timers(*peer, now);
  std::erase_if(peers_, [](const auto& entry) { return entry.second->closing; });
  // What is left of peers that have gone is of use to those who come, if it was everybody's.
  std::erase_if(copies_, [&](const auto& entry) {
    const bool shared = entry.first.second == PeerId(0) && entry.second.held > 0;
    if (shared && copies_.size() <= kMaxPeers) return false;
    const bool filled = std::any_of(peers_.begin(), peers_.end(), [&](const auto& other) {
      return other.second->size == entry.first.first && copy_of(*other.second) == entry.first;
    });
    if (!filled) held_ -= entry.second.held;
    return !filled;
  });
  ask_all(now);
  for (const auto& [id, peer] : peers_)
    for (const Asked& asked : peer->asked) wake_ = std::min(wake_, asked.at + kRequestTimeout);
  dial_more(now);
}

}  // namespace swarmfs::engine
