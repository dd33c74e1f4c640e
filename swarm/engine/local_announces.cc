#include "swarm/engine/local_announces.h"

#include <algorithm>

namespace swarmfs::engine {
namespace {

bool same_start(ByteView a, ByteView b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

}  // namespace

bool on_network(const IpAddress& address, std::span<const LocalNetwork> networks) {
  const ByteView bytes = address.bytes();
  if (address.is_unspecified() || address.is_loopback()) return false;
  const bool many = address.is_v4() ? bytes[0] >= 224 : bytes[0] == 0xff;
  const bool link_local = !address.is_v4() && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  if (many || link_local) return false;
  return std::any_of(networks.begin(), networks.end(), [&](const LocalNetwork& network) {
    return network.address.is_v4() == address.is_v4() && network.prefix <= 8 * bytes.size() &&
           same_start(network.address.bytes(), bytes, network.prefix);
  });
}

void LocalAnnounces::add(const Sha1Hash& info_hash, TimePoint now) {
  std::erase_if(entries_, [&](const auto& entry) {
    return !entry.second.wanted && now - *entry.second.last >= kSoonest;
  });
  Entry& entry = entries_[info_hash];
  entry.wanted = true;
  entry.next = now + kGather;
  if (entry.last) entry.next = std::max(entry.next, *entry.last + kSoonest);
}

void LocalAnnounces::remove(const Sha1Hash& info_hash, TimePoint now) {
  const auto at = entries_.find(info_hash);
  if (at == entries_.end()) return;
  at->second.wanted = false;
  if (!at->second.last || now - *at->second.last >= kSoonest) entries_.erase(at);
}

void LocalAnnounces::want_peers(const Sha1Hash& info_hash, TimePoint now) {
  const auto at = entries_.find(info_hash);
  if (at == entries_.end() || !at->second.last) return;
  Entry& entry = at->second;
  entry.next = std::min(entry.next, std::max(now, *entry.last + kSoonest));
}

std::vector<Sha1Hash> LocalAnnounces::take_due(TimePoint now) {
  std::vector<Sha1Hash> due;
  for (auto& [info_hash, entry] : entries_) {
    if (!entry.wanted || entry.next > now) continue;
    due.push_back(info_hash);
    entry.last = now;
    entry.next = now + kEvery;
  }
  return due;
}

std::optional<TimePoint> LocalAnnounces::deadline() const {
  std::optional<TimePoint> earliest;
  for (const auto& [info_hash, entry] : entries_)
    if (entry.wanted && (!earliest || entry.next < *earliest)) earliest = entry.next;
  return earliest;
}

}  // namespace swarmfs::engine
