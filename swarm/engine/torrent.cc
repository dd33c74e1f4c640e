#include "swarm/engine/torrent.h"

#include <algorithm>
#include <utility>

#include "swarm/engine/torrent_limits.h"

namespace swarmfs::engine {

/// Without its root a v2 piece can be neither checked nor vouched for, wherever it lies.
static Bitfield verifiable_of(Bitfield have, const metainfo::PieceRoots& roots) {
  if (roots.unknown() == 0 || roots.metainfo()->has_v1()) return have;
  for (std::uint32_t i = 0; i < have.size(); ++i)
    if (have.test(PieceIndex(i)) && !roots.of(PieceIndex(i))) have.clear(PieceIndex(i));
  return have;
}

/// A private torrent finds its peers at its trackers alone (BEP 27).
static TorrentConfig config_for(TorrentConfig config, const metainfo::Metainfo& metainfo) {
  if (metainfo.is_private) {
    config.exchange_peers = false;
    config.peer_book.trackers_alone = true;
  }
  return config;
}

/// One direction of the limits; null if there are none.
static std::shared_ptr<RateLimiter> common_limiter(const std::shared_ptr<CommonLimits>& limits,
                                                   RateLimiter CommonLimits::*direction) {
  return limits ? std::shared_ptr<RateLimiter>(limits, &(limits.get()->*direction)) : nullptr;
}

Torrent::Torrent(std::shared_ptr<metainfo::PieceRoots> roots, TorrentConfig config,
                 TorrentHost& host, const Bitfield& have, std::uint64_t rng_seed)
    : roots_(std::move(roots)),
      metainfo_(roots_->metainfo()),
      layout_(metainfo_->layout),
      config_(config_for(std::move(config), *metainfo_)),
      host_(host),
      rng_(rng_seed),
      picker_(verifiable_of(have, *roots_)),
      choker_(config_.choker),
      book_(config_.peer_book, rng_()),
      places_(config_.peer_book.max_connections, config_.common_room),
      sent_per_piece_(layout_.piece_count()),
      suggested_per_piece_(layout_.piece_count()),
      turns_(limits::kReadsLookedAt),
      leaf_cache_(limits::kCachedLeaves),
      down_gate_(common_limiter(config_.common_limits, &CommonLimits::down)),
      up_gate_(common_limiter(config_.common_limits, &CommonLimits::up)),
      pinned_(layout_.piece_count()),
      pinned_missing_(layout_.piece_count()),
      prefetch_(layout_.piece_count()) {
  down_gate_.own().set_rate(config_.limits.down_bps, config_.limits.reads_exempt, TimePoint{});
  up_gate_.own().set_rate(config_.limits.up_bps, false, TimePoint{});
  book_.set_complete(complete(), TimePoint{});
  const std::vector<FileIndex> lacking = roots_->incomplete();
  lacking_.insert(lacking.begin(), lacking.end());
}

Torrent::~Torrent() = default;

Torrent::Peer* Torrent::find(PeerId id) {
  const auto it = peers_.find(id);
  return it == peers_.end() || it->second->closing ? nullptr : it->second.get();
}

Bytes& Torrent::to(Peer& peer) {
  if (peer.out.empty()) dirty_.push_back(peer.id);
  return peer.out;
}

void Torrent::flush(TimePoint now) {
  ask_hashes(now);
  // Those that stall come last: what one of them gave back is better asked of another.
  const bool refilled = std::exchange(refill_, false);
  if (refilled) {
    if (!reads_.empty()) spread_needed(now);
    for (const bool snubbed : {false, true})
      for (auto& [id, peer] : peers_)
        if (peer->snubbed == snubbed) fill(*peer, now);
  }
  // Whom to ask for what a reader waits for depends on how busy the others are, which every block
  // and every request changes; who has requests has its next look when one of them is answered.
  for (bool asked = !reads_.empty(); std::exchange(asked, false);)
    for (auto& [id, peer] : peers_) {
      if (!peer->outstanding.empty()) continue;
      fill(*peer, now);
      asked = asked || !peer->outstanding.empty();
    }
  if (refilled && !reads_.empty()) trace_waits(now);
  if (std::exchange(slot_freed_, false)) offer_slots(now);
  for (const PeerId id : std::exchange(dirty_, {})) {
    const auto it = peers_.find(id);
    if (it == peers_.end() || it->second->closing) continue;
    it->second->last_sent = now;
    hand_over(*it->second);
  }
  if (closing_ == 0) return;
  std::erase_if(peers_, [](const auto& entry) { return entry.second->closing; });
  closing_ = 0;
}

/// Gives the host what a peer is to be told.
void Torrent::hand_over(Peer& peer) {
  using Order = TorrentHost::SendOrder;
  const bool behind = std::exchange(peer.out_behind_blocks, false);
  if (peer.out.empty()) return;
  host_.send(peer.id, std::exchange(peer.out, {}),
             behind ? Order::behind_blocks : Order::before_blocks);
}

void Torrent::add_candidates(std::span<const Endpoint> endpoints, PeerSource source,
                             TimePoint now) {
  for (const Endpoint& endpoint : endpoints) book_.add(endpoint, source, now);
  dial_more(now);
}

void Torrent::dial_more(TimePoint now) {
  count_connections();
  if (contradicted_ || paused_) return;
  unsigned connected = this->connected();
  // While something is missing and an idle peer could give way, one more is tried at a time.
  if (full() && connected > 0 && !complete() && least_useful(now) != nullptr) --connected;
  while (!places_.others_in_the_way()) {
    const auto endpoint = book_.next_dial(now, connected, static_cast<unsigned>(half_open_.size()));
    if (!endpoint) break;
    half_open_.insert(*endpoint);
    count_connections();
    host_.dial(*endpoint);
  }
  // Nobody says when another torrent has left room.
  if (const auto next = book_.deadline(connected, static_cast<unsigned>(half_open_.size())))
    wake_at(places_.others_in_the_way() ? std::max(*next, now + limits::kAskForRoom) : *next);
}

Error Torrent::contradiction_error() {
  return fail(ErrorKind::mismatch, "the torrent has stopped: its manifest contradicts itself");
}

/// No peer is to blame for hashes that no bytes can match, and nothing more can be verified.
void Torrent::contradict(std::string_view what, TimePoint now) {
  if (std::exchange(contradicted_, true)) return;
  host_.log(2, "stopped, because the manifest contradicts itself: " + std::string(what));
  for (auto& [id, peer] : peers_)
    drop(*peer, "the manifest contradicts itself", CloseReason::useless, now);
  for (const auto& [piece, partial] : partials_) {
    picker_.set_state(piece, PieceState::absent);
    host_.forget_piece(piece);
  }
  partials_.clear();
  leaves_.clear();
  suspects_.clear();
  windows_.clear();
  while (!reads_.empty()) {
    const ReadId id = reads_.begin()->first;
    forget_read(reads_.begin());
    host_.read_failed(id, contradiction_error());
  }
}

void Torrent::on_dial_failed(const Endpoint& endpoint, TimePoint now) {
  half_open_.erase(endpoint);
  book_.on_failed(endpoint, now);
  seek_introduction(endpoint, now);
  dial_more(now);
  flush(now);
}

void Torrent::network_changed(TimePoint now) {
  book_.forgive(now);
  dial_more(now);
  flush(now);
}

void Torrent::on_timer(TimePoint now) {
  wake_ = TimePoint::max();
  for (auto it = reads_.begin(); it != reads_.end();) {
    const TimePoint expiry = it->second.last_progress + config_.read_timeout;
    const auto next = std::next(it);
    if (now >= expiry) {
      const ReadId id = it->first;
      drop_read(it, now);
      host_.read_failed(id, fail(ErrorKind::timed_out, "no peer brought the data in time"));
    } else {
      wake_at(expiry);
    }
    it = next;
  }
  for (auto& [id, peer] : peers_)
    if (!peer->closing) check_peer_timers(*peer, now);
  std::erase_if(first_copies_, [&](const auto& copy) {
    return now - copy.second.progress >= limits::kFirstCopyPatience;
  });
  for (auto& [id, peer] : peers_)
    if (!peer->closing) send_blocks(*peer, now);
  exchange_peers(now);
  if (now >= choker_.next_round()) choke_round(now);
  if (!peers_.empty()) wake_at(std::max(choker_.next_round(), now + limits::kMinWake));
  dial_more(now);
  refill_ = true;
  flush(now);
}

void Torrent::check_peer_timers(Peer& peer, TimePoint now) {
  if (!peer.ready) {
    if (now - peer.connected_at >= limits::kHandshakeTimeout)
      return drop(peer, "no handshake in time", CloseReason::lost, now);
    return wake_at(peer.connected_at + limits::kHandshakeTimeout);
  }
  if (now - peer.last_received >= limits::kIdleTimeout)
    return drop(peer, "silent for too long", CloseReason::lost, now);
  wake_at(peer.last_received + limits::kIdleTimeout);
  if (now - peer.last_sent >= limits::kKeepAlive) wire::append_keep_alive(to(peer));
  wake_at(std::max(peer.last_sent, now) + limits::kKeepAlive);

  if (!peer.outstanding.empty()) {
    // Silence is what counts: a slow peer that keeps delivering is slow, not stuck.
    const TimePoint since = std::max(peer.outstanding.front().sent, peer.last_block);
    if (now - since >= limits::kBlockTimeout) {
      peer.snubbed = true;
      // It may be asked for one of them again, and is not to send what others have brought by then.
      for (const Outstanding& o : peer.outstanding) send_cancel(peer, o.block);
      release_all(peer, now);
    } else {
      wake_at(since + limits::kBlockTimeout);
    }
  }
  if (now - peer.late_at >= limits::kLatenessLasts) peer.lateness = {};
  check_hash_fetches(peer, now);
  if (lacking_.empty() || peer.layers_after == TimePoint{}) return;
  if (now < peer.layers_after) return wake_at(peer.layers_after);
  peer.layers_after = {};
  want_hashes_ = true;
}

void Torrent::choke_round(TimePoint now) {
  const auto decision = choker_.round(choke_view(now), complete(), now, rng_);
  for (const PeerId id : decision.choke)
    if (Peer* peer = find(id)) choke(*peer);
  for (const PeerId id : decision.unchoke)
    if (Peer* peer = find(id)) unchoke(*peer, now);
  slot_freed_ = false;  // the round has just given every slot
}

std::uint64_t Torrent::left() const {
  if (complete()) return 0;
  std::uint64_t missing = 0;
  for (std::uint32_t i = 0; i < layout_.piece_count(); ++i)
    if (!have().test(PieceIndex(i))) missing += layout_.piece_size(PieceIndex(i));
  return missing;
}

TorrentStats Torrent::stats(TimePoint now) const {
  TorrentStats s;
  s.downloaded = downloaded_;
  s.uploaded = uploaded_;
  s.wasted = wasted_;
  s.down_bps = down_.bps(now);
  s.up_bps = up_.bps(now);
  for (const auto& [id, peer] : peers_) {
    if (!peer->ready) continue;
    if (peer->web_seed) {
      ++s.web_seeds;
      continue;
    }
    ++s.peers;
    if (peer->counted_seed) ++s.seeds;
    const PeerLink link = host_.link(id);
    s.encrypted += link.encrypted;
    s.utp += link.transport == "utp";
  }
  s.half_open = static_cast<unsigned>(half_open_.size());
  s.waiting_reads = static_cast<unsigned>(reads_.size());
  s.pieces_have = have().count();
  s.pieces = layout_.piece_count();
  s.failed_pieces = failed_pieces_;
  s.banned = banned_;
  s.layers_missing = static_cast<unsigned>(lacking_.size());
  s.disk_full = disk_full_;
  s.contradicted = contradicted_;
  s.paused = paused_;
  s.sent_per_piece = sent_per_piece_;
  return s;
}

}  // namespace swarmfs::engine
