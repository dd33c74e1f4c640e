#include "swarm/engine/peer_exchange.h"

#include <algorithm>
#include <array>

#include "swarm/engine/address_policy.h"

namespace swarmfs::engine {
namespace {

constexpr Duration kBelieveEvery = PeerExchange::kEvery / PeerExchange::kBelievedPerMinute;
/// Networks that have used up some of what they may say; those that have not are not kept.
constexpr std::size_t kMaxNetworks = 1000;

/// 0: this host, 1: our local network, 2: the public one.
int distance(const IpAddress& address) {
  if (address.is_loopback()) return 0;
  return leads_to_local(address) ? 1 : 2;
}

/// Whether who is at `from` may name `address`, or be told of it.
bool may_name(const IpAddress& from, const IpAddress& address) {
  return distance(address) >= distance(from);
}

/// Who has one IPv6 address has 2^64 of them.
IpAddress network_of(const IpAddress& address) {
  if (address.is_v4()) return address;
  std::array<std::uint8_t, 16> bytes{};
  std::copy_n(address.bytes().begin(), 8, bytes.begin());
  return IpAddress::v6(bytes);
}

}  // namespace

void PeerExchange::joined(PeerId peer, const Endpoint& listening, std::uint8_t flags) {
  const auto [at, fresh] = members_.try_emplace(peer, Named{listening, flags});
  if (fresh || at->second.endpoint != listening) ++version_;
  at->second = {listening, flags};
}

void PeerExchange::subscribe(PeerId peer, const IpAddress& from, bool wants, TimePoint now) {
  if (!wants) {
    listeners_.erase(peer);
    return;
  }
  const auto [at, fresh] = listeners_.try_emplace(peer);
  if (!fresh) return;
  at->second.address = from;
  at->second.next = now + kFirstAfter;
}

void PeerExchange::left(PeerId peer) {
  if (members_.erase(peer) > 0) ++version_;
  listeners_.erase(peer);
  tellers_.erase(peer);
}

/// Fills the message; false if more remains to be told.
bool PeerExchange::tell(Listener& listener, const Named* self, wire::PexMessage& message) const {
  const std::size_t most = listener.first ? kMostAtFirst : kMost;
  std::map<Endpoint, std::uint8_t> there;
  for (const auto& [id, member] : members_)
    if ((self == nullptr || member.endpoint != self->endpoint) &&
        may_name(listener.address, member.endpoint.address))
      there.emplace(member.endpoint, member.flags);
  for (auto at = listener.told.begin();
       at != listener.told.end() && message.dropped.size() < most;) {
    if (there.contains(at->first)) {
      ++at;
      continue;
    }
    message.dropped.push_back(at->first);
    at = listener.told.erase(at);
  }
  for (const auto& [endpoint, flags] : there) {
    if (message.added.size() == most) return false;
    if (!listener.told.try_emplace(endpoint, flags).second) continue;
    message.added.push_back({endpoint, flags});
  }
  return message.dropped.size() < most;
}

std::optional<PeerExchange::Due> PeerExchange::next(TimePoint now) {
  for (auto& [id, listener] : listeners_) {
    if (listener.version == version_ || now < listener.next) continue;
    const auto self = members_.find(id);
    wire::PexMessage message;
    if (tell(listener, self == members_.end() ? nullptr : &self->second, message))
      listener.version = version_;
    if (message == wire::PexMessage{}) continue;
    listener.first = false;
    listener.next = now + kEvery;
    return Due{id, std::move(message)};
  }
  return std::nullopt;
}

std::optional<TimePoint> PeerExchange::deadline() const {
  std::optional<TimePoint> earliest;
  for (const auto& [id, listener] : listeners_)
    if (listener.version != version_ && (!earliest || listener.next < *earliest))
      earliest = listener.next;
  return earliest;
}

/// Takes one address from what a network may still say; false if that is used up.
bool PeerExchange::believed(const IpAddress& from, TimePoint now) {
  const IpAddress network = network_of(from);
  if (paid_until_.size() >= kMaxNetworks && !paid_until_.contains(network)) {
    std::erase_if(paid_until_, [&](const auto& entry) { return entry.second <= now; });
    if (paid_until_.size() >= kMaxNetworks) return false;
  }
  TimePoint& paid = paid_until_[network];
  paid = std::max(paid, now);
  if (paid - now > kBelieveEvery * (kBelievedAtOnce - 1)) return false;
  paid += kBelieveEvery;
  return true;
}

PeerExchange::Heard PeerExchange::on_message(PeerId peer, const IpAddress& from,
                                             const wire::PexMessage& message, TimePoint now) {
  Heard heard;
  const auto [at, fresh] = tellers_.try_emplace(peer);
  Teller& teller = at->second;
  if (fresh || now - teller.since >= kEvery) {
    teller.since = now;
    teller.messages = 0;
  }
  if (++teller.messages > kFlood) {
    heard.flood = true;
    return heard;
  }
  for (const Endpoint& endpoint : message.dropped) teller.named.erase(endpoint);
  std::size_t most = fresh ? kMostAtFirst : kMost;
  for (const wire::PexPeer& added : message.added) {
    if (most-- == 0) break;
    if (!may_name(from, added.endpoint.address)) continue;
    const auto known = teller.named.find(added.endpoint);
    if (known != teller.named.end()) {
      known->second = added.flags;
      continue;
    }
    if (teller.named.size() == kRemembered || !believed(from, now)) break;
    teller.named.emplace(added.endpoint, added.flags);
    heard.learnt.push_back(added.endpoint);
  }
  return heard;
}

std::optional<std::uint8_t> PeerExchange::can_introduce(PeerId relay,
                                                        const Endpoint& endpoint) const {
  const auto teller = tellers_.find(relay);
  if (teller == tellers_.end()) return std::nullopt;
  const auto named = teller->second.named.find(endpoint);
  return named == teller->second.named.end() ? std::nullopt : std::optional(named->second);
}

}  // namespace swarmfs::engine
