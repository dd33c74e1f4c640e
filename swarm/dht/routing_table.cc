#include "swarm/dht/routing_table.h"

#include <algorithm>
#include <utility>

namespace swarmfs::dht {

/// The first buckets hold more than BEP 5 asks for: they are where every lookup begins, and each
/// doubling there saves it a bit of the way.
std::size_t RoutingTable::capacity(std::size_t bucket) {
  return bucket < 3 ? kBucket << (3 - bucket) : kBucket;
}

std::size_t RoutingTable::bucket_of(const NodeId& id) const {
  return std::min<std::size_t>(common_prefix(own_, id), buckets_.size() - 1);
}

bool RoutingTable::is_good(const Node& node, TimePoint now) const {
  return node.failures == 0 && now - node.heard < kGoodFor;
}

RoutingTable::Node* RoutingTable::find(const Endpoint& endpoint) {
  for (Bucket& bucket : buckets_)
    for (Node& node : bucket.nodes)
      if (node.info.endpoint == endpoint) return &node;
  return nullptr;
}

bool RoutingTable::contains(const Endpoint& endpoint) const {
  return const_cast<RoutingTable*>(this)->find(endpoint) != nullptr;
}

void RoutingTable::set_own_id(const NodeId& own, TimePoint now) {
  own_ = own;
  for (const Bucket& bucket : std::exchange(buckets_, std::vector<Bucket>(1)))
    for (const auto& list : {bucket.nodes, bucket.spares})
      for (const Node& node : list) insert(node, now);
}

void RoutingTable::on_reply(const NodeInfo& info, TimePoint now) {
  if (info.id == own_) return;
  if (Node* const known = find(info.endpoint)) {
    if (known->info.id == info.id) {
      known->heard = now;
      known->failures = 0;
      buckets_[bucket_of(info.id)].changed = now;
      return;
    }
    // It has taken another id, and with it another place.
    auto& nodes = buckets_[bucket_of(known->info.id)].nodes;
    nodes.erase(nodes.begin() + (known - nodes.data()));
  }
  insert({info, now, now, 0}, now);
}

/// Whether somebody of the same place is there already.
bool RoutingTable::crowded(const Bucket& bucket, const NodeInfo& info) const {
  const IpAddress& address = info.endpoint.address;
  if (address.is_local()) return false;
  for (const Bucket& any : buckets_)
    for (const Node& node : any.nodes)
      if (node.info.endpoint.address == address) return true;
  return std::any_of(bucket.nodes.begin(), bucket.nodes.end(), [&](const Node& node) {
    return network_of(node.info.endpoint.address) == network_of(address);
  });
}

void RoutingTable::insert(const Node& node, TimePoint now) {
  if (node.info.id == own_) return;
  Bucket& bucket = buckets_[bucket_of(node.info.id)];
  const auto same = std::find_if(bucket.nodes.begin(), bucket.nodes.end(),
                                 [&](const Node& n) { return n.info.id == node.info.id; });
  if (same != bucket.nodes.end()) {
    // Another address claims a node's id: it has it while the node answers.
    if (same->failures > 0) *same = node;
    return;
  }
  if (crowded(bucket, node.info)) return;
  const std::size_t index = bucket_of(node.info.id);
  if (bucket.nodes.size() < capacity(index)) {
    bucket.nodes.push_back(node);
    bucket.changed = now;
    return;
  }
  if (index + 1 == buckets_.size() && buckets_.size() < 160) {
    split();
    return insert(node, now);
  }
  const auto worst = [&](auto is_worse) {
    const auto it = std::find_if(bucket.nodes.begin(), bucket.nodes.end(), is_worse);
    if (it == bucket.nodes.end()) return false;
    *it = node;
    bucket.changed = now;
    return true;
  };
  if (worst([](const Node& n) { return n.failures >= kBadAfter; })) return;
  if (is_secure(node.info.id, node.info.endpoint.address) &&
      worst([](const Node& n) { return !is_secure(n.info.id, n.info.endpoint.address); }))
    return;
  std::erase_if(bucket.spares,
                [&](const Node& n) { return n.info.endpoint == node.info.endpoint; });
  if (bucket.spares.size() >= kSpares) bucket.spares.erase(bucket.spares.begin());
  bucket.spares.push_back(node);
}

/// Divides the last bucket. What the divided one has too many of becomes spare.
void RoutingTable::split() {
  const unsigned prefix = static_cast<unsigned>(buckets_.size() - 1);
  const Bucket all = std::exchange(buckets_.back(), {});
  buckets_.emplace_back();
  buckets_[prefix].changed = buckets_.back().changed = all.changed;
  for (const Node& node : all.nodes) {
    Bucket& into = buckets_[bucket_of(node.info.id)];
    const std::size_t room = capacity(bucket_of(node.info.id));
    (into.nodes.size() < room ? into.nodes : into.spares).push_back(node);
  }
  for (const Node& node : all.spares) buckets_[bucket_of(node.info.id)].spares.push_back(node);
}

bool RoutingTable::on_query(const NodeInfo& info, TimePoint now) {
  Node* const known = find(info.endpoint);
  if (known == nullptr || known->info.id != info.id) return false;
  if (known->failures == 0) known->heard = now;
  return true;
}

void RoutingTable::on_failure(const Endpoint& endpoint, TimePoint now) {
  Node* const known = find(endpoint);
  if (known == nullptr || ++known->failures < kBadAfter) return;
  Bucket& bucket = buckets_[bucket_of(known->info.id)];
  const bool give_up = known->failures >= kRemoveAfter;
  if (bucket.spares.empty() && !give_up) return;
  bucket.nodes.erase(bucket.nodes.begin() + (known - bucket.nodes.data()));
  bucket.changed = now;
  while (!bucket.spares.empty()) {
    const Node spare = bucket.spares.back();
    bucket.spares.pop_back();
    if (crowded(bucket, spare.info)) continue;
    bucket.nodes.push_back(spare);
    return;
  }
}

bool RoutingTable::wants(const NodeId& id) const {
  if (id == own_) return false;
  const std::size_t index = bucket_of(id);
  const Bucket& bucket = buckets_[index];
  return index + 1 == buckets_.size() || bucket.nodes.size() < capacity(index) ||
         bucket.spares.size() < kSpares / 2 ||
         std::any_of(bucket.nodes.begin(), bucket.nodes.end(),
                     [](const Node& node) { return node.failures > 0; });
}

std::vector<NodeInfo> RoutingTable::nearest(const NodeId& target, std::size_t most, Which which,
                                            TimePoint now) const {
  std::vector<NodeInfo> out;
  for (const Bucket& bucket : buckets_)
    for (const Node& node : bucket.nodes)
      if (which == Which::good ? is_good(node, now) : node.failures < kBadAfter)
        out.push_back(node.info);
  const auto order = [&](const NodeInfo& a, const NodeInfo& b) {
    return nearer(target, a.id, b.id);
  };
  const auto end = out.begin() + static_cast<std::ptrdiff_t>(std::min(most, out.size()));
  std::partial_sort(out.begin(), end, out.end(), order);
  out.erase(end, out.end());
  return out;
}

std::optional<NodeInfo> RoutingTable::next_to_check(TimePoint now) {
  Node* stalest = nullptr;
  for (Bucket& bucket : buckets_)
    for (Node& node : bucket.nodes) {
      const Duration rest = node.failures > 0 ? kRecheckFailed : kCheckAfter;
      if (now - std::max(node.heard, node.asked) < rest) continue;
      if (stalest == nullptr || node.heard < stalest->heard) stalest = &node;
    }
  if (stalest == nullptr) return std::nullopt;
  stalest->asked = now;
  return stalest->info;
}

std::optional<NodeId> RoutingTable::next_to_refresh(TimePoint now, Rng& rng) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (now - buckets_[i].changed < kGoodFor) continue;
    buckets_[i].changed = now;
    return random_id_sharing(own_, static_cast<unsigned>(i), rng);
  }
  return std::nullopt;
}

std::size_t RoutingTable::size() const {
  std::size_t out = 0;
  for (const Bucket& bucket : buckets_) out += bucket.nodes.size();
  return out;
}

std::size_t RoutingTable::good(TimePoint now) const {
  std::size_t out = 0;
  for (const Bucket& bucket : buckets_)
    out += static_cast<std::size_t>(
        std::count_if(bucket.nodes.begin(), bucket.nodes.end(),
                      [&](const Node& node) { return is_good(node, now); }));
  return out;
}

std::vector<NodeInfo> RoutingTable::all(TimePoint now) const {
  std::vector<NodeInfo> out;
  for (const bool good : {true, false})
    for (const Bucket& bucket : buckets_)
      for (const Node& node : bucket.nodes)
        if (is_good(node, now) == good && node.failures < kBadAfter) out.push_back(node.info);
  return out;
}

}  // namespace swarmfs::dht
