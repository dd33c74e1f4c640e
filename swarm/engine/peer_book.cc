#include "swarm/engine/peer_book.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "swarm/base/crc32c.h"
#include "swarm/engine/peer_priority.h"

namespace swarmfs::engine {
namespace {

constexpr std::uint16_t kFirstUserPort = 1024;
constexpr std::size_t kMaxBanned = 10'000;
constexpr std::size_t kMaxSelf = 64;

/// 0 is trusted most. Who chose the addresses: the user, a party the torrent names, a peer that
/// can only name itself, strangers.
int distrust(PeerSource source) {
  switch (source) {
    case PeerSource::user:
      return 0;
    case PeerSource::magnet:
      return 1;
    case PeerSource::tracker:
      return 2;
    case PeerSource::lsd:
      return 3;
    case PeerSource::incoming:
      return 4;
    case PeerSource::dht:
      return 5;
    case PeerSource::pex:
      return 6;
  }
  return 6;
}

/// A source that may name any address in the world without owning it or being asked by the user.
bool may_point_anywhere(PeerSource source) {
  return source == PeerSource::tracker || source == PeerSource::pex || source == PeerSource::dht;
}

/// The port is the word of a stranger.
bool port_is_hearsay(PeerSource source) { return distrust(source) >= distrust(PeerSource::lsd); }

/// BEP 27: sources that a private torrent has not.
bool outside_trackers(PeerSource source) {
  return source == PeerSource::pex || source == PeerSource::dht || source == PeerSource::lsd ||
         source == PeerSource::magnet;
}

/// That it failed may be our own line's fault, and it was there before.
template <class Entry>
bool spared(const Entry& entry) {
  return entry.alone && entry.proven;
}

}  // namespace

std::string_view name_of(PeerSource source) {
  switch (source) {
    case PeerSource::user:
      return "user";
    case PeerSource::tracker:
      return "tracker";
    case PeerSource::incoming:
      return "incoming";
    case PeerSource::pex:
      return "pex";
    case PeerSource::dht:
      return "dht";
    case PeerSource::lsd:
      return "lsd";
    case PeerSource::magnet:
      return "magnet";
  }
  return "?";
}

bool more_trusted(PeerSource a, PeerSource b) { return distrust(a) < distrust(b); }

PeerBook::PeerBook(PeerBookConfig config, std::uint64_t seed)
    : config_(config),
      seed_(seed),
      dial_interval_(Duration(std::chrono::seconds(1)) / std::max(1u, config.dials_per_second)) {
  config_.dial_burst = std::max(1u, config_.dial_burst);
}

// --- What is known ---------------------------------------------------------------------------

PeerBook::Entry* PeerBook::find(const Endpoint& endpoint) {
  const auto at = entries_.find(endpoint);
  return at == entries_.end() ? nullptr : &at->second;
}

bool PeerBook::acceptable(const Endpoint& endpoint, PeerSource source) const {
  if (endpoint.port == 0 || endpoint.address.is_unspecified()) return false;
  if (refuses(endpoint.address) || self_.contains(endpoint)) return false;
  if (config_.trackers_alone && outside_trackers(source)) return false;
  if (port_is_hearsay(source) && endpoint.port < kFirstUserPort) return false;
  return config_.allow_local || !may_point_anywhere(source) || !endpoint.address.is_local();
}

/// Strangers could have us knock at every port of a host. A local one has named itself, but anybody
/// may say so in a datagram.
bool PeerBook::crowded(const Endpoint& endpoint, PeerSource source) const {
  if (!port_is_hearsay(source)) return false;
  if (endpoint.address.is_local() && source != PeerSource::lsd) return false;
  std::size_t ports = 0;
  for (auto at = entries_.lower_bound({endpoint.address, 0});
       at != entries_.end() && at->first.address == endpoint.address; ++at)
    if (++ports >= config_.max_ports_per_host) return true;
  return false;
}

/// Lower goes first when room is needed. The user's and those in use never go.
auto PeerBook::worth(const Entry& entry) const {
  return std::tuple(!given_up(entry), -(entry.proven ? 0 : distrust(entry.source)),
                    -int{entry.failures});
}

/// An address that nobody has tried makes room only for one of a better source: else a flood of
/// invented addresses would wash out the honest ones.
bool PeerBook::make_room(PeerSource source) {
  if (entries_.size() < config_.max_peers) return true;
  auto least = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    const Entry& entry = at->second;
    if (entry.source == PeerSource::user || !entry.idle()) continue;
    if (least == entries_.end() || worth(entry) < worth(least->second)) least = at;
  }
  Entry fresh;
  fresh.source = source;
  if (least == entries_.end() || !(worth(least->second) < worth(fresh))) return false;
  entries_.erase(least);
  return true;
}

bool PeerBook::add(const Endpoint& endpoint, PeerSource source, TimePoint now) {
  if (!acceptable(endpoint, source)) return false;
  if (may_point_anywhere(source)) heard(now);  // by our line, just now
  Entry* entry = find(endpoint);
  if (entry == nullptr) {
    if (crowded(endpoint, source) || !make_room(source)) return false;
    entry = &entries_[endpoint];
    entry->source = source;
    entry->not_before = now;
    entry->priority = priority_of(endpoint);
  } else {
    if (distrust(source) < distrust(entry->source)) entry->source = source;
    const bool again = given_up(*entry) && now >= entry->not_before;
    if (again || source == PeerSource::user) {
      entry->failures = 0;
      entry->not_before = now;
    }
  }
  earliest_stale_ = true;
  return true;
}

void PeerBook::set_seed(const Endpoint& endpoint, bool seed) {
  if (Entry* entry = find(endpoint)) entry->seed = seed;
  earliest_stale_ = true;
}

void PeerBook::set_complete(bool complete, TimePoint now) {
  if (std::exchange(complete_, complete) && !complete)
    for (auto& [endpoint, entry] : entries_)
      if (entry.failures == 0)
        entry.not_before = std::min(entry.not_before, now + config_.reconnect);
  earliest_stale_ = true;
}

void PeerBook::set_external(const Endpoint& external) {
  std::optional<Endpoint>& ours = external.address.is_v4() ? external_v4_ : external_v6_;
  if (ours == external) return;
  ours = external;
  for (auto& [endpoint, entry] : entries_) entry.priority = priority_of(endpoint);
}

std::uint32_t PeerBook::priority_of(const Endpoint& endpoint) const {
  const auto& ours = endpoint.address.is_v4() ? external_v4_ : external_v6_;
  if (ours) return peer_priority(*ours, endpoint);
  // No order is agreed upon, so take one of our own: not everybody should dial the same peer.
  Bytes salted = endpoint.to_compact();
  append_be(salted, seed_);
  return crc32c(salted);
}

void PeerBook::ban(const IpAddress& address, TimePoint now) {
  banned_.emplace(address, now);
  if (banned_.size() > kMaxBanned)
    banned_.erase(
        std::min_element(banned_.begin(), banned_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; }));
  for (auto at = entries_.lower_bound({address, 0});
       at != entries_.end() && at->first.address == address;)
    at = at->second.idle() ? entries_.erase(at) : std::next(at);
  earliest_stale_ = true;
}

void PeerBook::set_filter(AddressFilterPtr filter) {
  config_.filter = std::move(filter);
  std::erase_if(entries_, [&](const auto& known) {
    return known.second.idle() && blocked_by(config_.filter, known.first.address);
  });
  earliest_stale_ = true;
}

bool PeerBook::named_by_user(const Endpoint& endpoint) const {
  const auto at = entries_.find(endpoint);
  return at != entries_.end() && at->second.source == PeerSource::user;
}

std::optional<PeerSource> PeerBook::source_of(const Endpoint& endpoint) const {
  const auto at = entries_.find(endpoint);
  return at == entries_.end() ? std::nullopt : std::optional(at->second.source);
}

void PeerBook::forget_swarm() {
  std::erase_if(entries_,
                [](const auto& entry) { return entry.second.source != PeerSource::user; });
  earliest_stale_ = true;
}

void PeerBook::forgive(TimePoint now) {
  for (auto& [endpoint, entry] : entries_) {
    if (!std::exchange(entry.alone, false) && entry.failures == 0) continue;
    entry.failures = 0;
    entry.not_before = now;
  }
  earliest_stale_ = true;
}

/// There is a connection to it.
void PeerBook::reached(Entry& entry, TimePoint now) {
  heard(now);
  // It could not be reached, nor could anybody else, and now it can: so that was our own line, and
  // failures since say nothing.
  if (entry.alone) forgive(now);
  entry.connected_at = now;
  ++entry.connections;
  earliest_stale_ = true;
}

PeerBook::Sizes PeerBook::sizes() const {
  Sizes sizes;
  sizes.known = entries_.size();
  sizes.banned = banned_.size();
  for (const auto& [endpoint, entry] : entries_) {
    sizes.given_up += given_up(entry);
    sizes.dialing += entry.dialing;
    sizes.connected += entry.connections > 0;
    sizes.seeds += entry.seed;
  }
  return sizes;
}

// --- Whom to dial ----------------------------------------------------------------------------

bool PeerBook::given_up(const Entry& entry) const {
  return entry.source != PeerSource::user && entry.failures >= config_.max_failures;
}

bool PeerBook::dialable(const Entry& entry) const {
  return entry.idle() && !given_up(entry) && !(complete_ && entry.seed);
}

/// Lower is dialled first.
auto PeerBook::dial_order(const Entry& entry) const {
  return std::tuple(entry.source != PeerSource::user, entry.failures, !entry.seed, ~entry.priority,
                    distrust(entry.source));
}

bool PeerBook::room(unsigned connected, unsigned half_open) const {
  return half_open < config_.max_half_open && connected < config_.max_connections &&
         half_open < config_.max_connections - connected;
}

TimePoint PeerBook::bucket_opens() const {
  return dials_paid_until_ - dial_interval_ * (config_.dial_burst - 1);
}

const std::optional<TimePoint>& PeerBook::earliest() const {
  if (!earliest_stale_) return earliest_;
  earliest_stale_ = false;
  earliest_.reset();
  for (const auto& [endpoint, entry] : entries_)
    if (dialable(entry) && (!earliest_ || entry.not_before < *earliest_))
      earliest_ = entry.not_before;
  return earliest_;
}

std::optional<TimePoint> PeerBook::deadline(unsigned connected, unsigned half_open) const {
  if (!room(connected, half_open) || !earliest()) return std::nullopt;
  return std::max(*earliest(), bucket_opens());
}

std::optional<Endpoint> PeerBook::next_dial(TimePoint now, unsigned connected, unsigned half_open) {
  const auto due = deadline(connected, half_open);
  if (!due || *due > now) return std::nullopt;
  auto best = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (!dialable(at->second) || at->second.not_before > now) continue;
    if (best == entries_.end() || dial_order(at->second) < dial_order(best->second)) best = at;
  }
  // deadline() was due, so there is one.
  best->second.dialing = true;
  best->second.heard_before = heard_;
  dials_paid_until_ = std::max(dials_paid_until_, now) + dial_interval_;
  earliest_stale_ = true;
  return best->first;
}

// --- What became of it -----------------------------------------------------------------------

Duration PeerBook::backoff(const Entry& entry, TimePoint now) const {
  const bool user = entry.source == PeerSource::user;
  const Duration cap = user ? config_.user_retry_max : config_.retry_max;
  Duration rest = user ? config_.reconnect : config_.retry_min;
  // Whether our line is back shows by those that were there before. That it is noticed late is to
  // add little to how long it was down.
  if (spared(entry)) return std::clamp((now - heard_) / 8, rest, cap);
  for (unsigned i = 1; i < entry.failures && rest < cap; ++i) rest *= 2;
  return std::min(rest, cap);
}

void PeerBook::fail(Entry& entry, TimePoint now) {
  if (!spared(entry) && entry.failures < std::numeric_limits<std::uint16_t>::max())
    ++entry.failures;
  entry.not_before = now + (given_up(entry) ? config_.give_up : backoff(entry, now));
}

void PeerBook::on_connected(const Endpoint& endpoint, TimePoint now) {
  Entry* entry = find(endpoint);
  if (entry == nullptr) return;
  entry->dialing = false;
  entry->proven = true;
  reached(*entry, now);
}

bool PeerBook::on_incoming(const Endpoint& endpoint, TimePoint now) {
  if (!add(endpoint, PeerSource::incoming, now)) return false;
  reached(*find(endpoint), now);
  return true;
}

bool PeerBook::begin_dial(const Endpoint& endpoint) {
  Entry* entry = find(endpoint);
  if (entry == nullptr || !entry->idle() || refuses(endpoint.address)) return false;
  entry->dialing = true;
  entry->heard_before = heard_;
  earliest_stale_ = true;
  return true;
}

void PeerBook::on_failed(const Endpoint& endpoint, TimePoint now) {
  Entry* entry = find(endpoint);
  if (entry == nullptr || !entry->dialing) return;
  entry->dialing = false;
  earliest_stale_ = true;
  if (entry->connections > 0) return;  // it reached us meanwhile
  if (refuses(endpoint.address)) {
    entries_.erase(endpoint);
    return;
  }
  entry->alone = entry->heard_before == heard_;
  fail(*entry, now);
}

void PeerBook::on_closed(const Endpoint& endpoint, TimePoint now, CloseReason reason) {
  Entry* entry = find(endpoint);
  if (entry == nullptr || entry->idle()) return;
  const bool was_connected = entry->connections > 0;
  if (was_connected)
    --entry->connections;
  else
    entry->dialing = false;
  earliest_stale_ = true;
  if (reason == CloseReason::self && self_.size() < kMaxSelf) self_.insert(endpoint);
  if (!entry->idle()) return;
  if (refuses(endpoint.address) || self_.contains(endpoint)) {
    entries_.erase(endpoint);
    return;
  }
  const bool user = entry->source == PeerSource::user;
  switch (reason) {
    case CloseReason::useless:
    case CloseReason::duplicate:
      entry->not_before = now + (user ? config_.user_retry_max : config_.rest);
      return;
    case CloseReason::paused:
      entry->not_before = now;
      return;
    case CloseReason::crowded:
      entry->not_before = now + (user ? config_.reconnect : config_.retry_min);
      return;
    case CloseReason::lost:
      if (was_connected && now - entry->connected_at >= config_.stable_after) {
        entry->failures = 0;
        entry->not_before = now + config_.reconnect;
        return;
      }
      break;
    case CloseReason::misbehaved:
    case CloseReason::self:
      break;
  }
  // Somebody answered, unless it hung up at once, as a proxy or a gateway without a line does.
  entry->alone = !was_connected && reason == CloseReason::lost && entry->heard_before == heard_;
  fail(*entry, now);
}

}  // namespace swarmfs::engine
