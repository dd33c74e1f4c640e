// Node: lookups, and how its table is filled and kept.
#include <algorithm>
#include <utility>

#include "swarm/dht/node.h"
#include "swarm/dht/scrape_filter.h"

namespace swarmfs::dht {

using namespace std::chrono_literals;
using wire::KrpcMethod;
using wire::KrpcQuery;
using wire::KrpcResponse;

/// Between two lookups of our own id, once nodes are known.
static constexpr Duration kFindSelfEvery = 15min;
static constexpr Duration kFirstRetry = 3s;  ///< when nobody answered; doubles
static constexpr Duration kLastRetry = 5min;

// --- where to begin

void Node::add_entries(const std::vector<Endpoint>& entries, bool routers, TimePoint now) {
  for (const Endpoint& entry : entries) {
    if (entry.address.is_v4() != config_.v4 || entry.port == 0) continue;
    if (entries_.size() >= kMaxEntries) break;
    if (routers) routers_.insert(entry);
    if (std::find(entries_.begin(), entries_.end(), entry) == entries_.end())
      entries_.push_back(entry);
  }
  begin_waiting(now);
  if (table_.size() < kEnough) next_find_self_ = next_step_ = now;
}

void Node::add_saved(const std::vector<NodeInfo>& nodes, TimePoint now) {
  for (const NodeInfo& node : nodes)
    if (node.endpoint.address.is_v4() == config_.v4 && saved_.size() < kMaxEntries)
      saved_.push_back(node);
  begin_waiting(now);
  if (table_.size() < kEnough) next_find_self_ = next_step_ = now;
}

void Node::offer(const Endpoint& endpoint, TimePoint now) {
  if (endpoint.address.is_v4() != config_.v4 || endpoint.port == 0) return;
  if (offered_.size() >= kMaxOffered || table_.contains(endpoint) || is_router(endpoint)) return;
  if (std::find(offered_.begin(), offered_.end(), endpoint) != offered_.end()) return;
  offered_.push_back(endpoint);
  next_step_ = std::min(next_step_, now + kFastStep);
}

void Node::network_changed(TimePoint now) {
  self_attempts_ = 0;
  next_find_self_ = next_step_ = now;
}

bool Node::knows_anybody() const {
  return table_.size() > 0 || !entries_.empty() || !saved_.empty();
}

// --- searches

Node::SearchId Node::find_peers(const Sha1Hash& info_hash, const FindOptions& options,
                                OnPeers on_peers, OnEnd on_end, TimePoint now) {
  Search search(info_hash);
  search.for_peers = true;
  search.options = options;
  search.on_peers = std::move(on_peers);
  search.on_end = std::move(on_end);
  return add_search(std::move(search), now);
}

void Node::walk_to(const NodeId& target, OnEnd on_end, TimePoint now) {
  Search search(target);
  search.on_end = std::move(on_end);
  add_search(std::move(search), now);
}

Node::SearchId Node::add_search(Search search, TimePoint now) {
  const SearchId id = next_search_++;
  if (waiting_.size() < kMaxWaiting) {
    waiting_.emplace_back(id, std::move(search));
  } else if (search.on_end) {
    due_.emplace_back(id, [on_end = std::move(search.on_end)] { on_end({}); });
  }
  begin_waiting(now);
  return id;
}

void Node::begin_waiting(TimePoint now) {
  while (!waiting_.empty() && searches_.size() < kMaxSearches && knows_anybody()) {
    if (!search_pace_.spend(1, now)) {
      next_step_ = std::min(next_step_, now + kFastStep);
      return;
    }
    auto [id, search] = std::move(waiting_.front());
    waiting_.pop_front();
    begin(id, std::move(search), now);
  }
}

void Node::begin(SearchId id, Search search, TimePoint now) {
  const auto known = table_.nearest(search.lookup.target(), Lookup::kMaxCandidates / 2,
                                    RoutingTable::Which::any, now);
  for (const NodeInfo& node : known) search.lookup.add(node);
  if (known.size() < kEnough || table_.good(now) == 0) {
    for (const NodeInfo& node : saved_) search.lookup.add(node);
    for (const Endpoint& entry : entries_) search.lookup.add(entry);
  }
  if (search.for_peers) take_stored(id, search, now);
  searches_.emplace(id, std::move(search));
  advance(id, now);
}

/// What others have announced to us need not be asked for.
void Node::take_stored(SearchId id, Search& search, TimePoint now) {
  const Sha1Hash& info_hash = search.lookup.target();
  if (search.options.scrape) search.filters = storage_.filters(info_hash, now);
  for (const Endpoint& peer :
       storage_.peers(info_hash, PeerStorage::kMaxPeers, !search.options.seed, rng_, now)) {
    search.found.insert(peer);
    // A token showed that it is there: it speaks for itself.
    if (search.on_peers)
      due_.emplace_back(id, [on_peers = search.on_peers, peer] { on_peers({{peer}, peer}); });
  }
}

void Node::cancel(SearchId id) {
  searches_.erase(id);
  std::erase_if(due_, [&](const auto& due) { return due.first == id; });
  std::erase_if(waiting_, [&](const auto& waiting) { return waiting.first == id; });
}

void Node::advance(SearchId id, TimePoint now) {
  auto it = searches_.find(id);
  if (it == searches_.end()) return;
  Search& search = it->second;
  KrpcQuery body;
  body.method = search.for_peers ? KrpcMethod::get_peers : KrpcMethod::find_node;
  body.target = search.lookup.target();
  body.scrape = search.options.scrape;
  body.noseed = search.options.seed;  // two that have everything have nothing for each other
  // BEP 32: nodes of both families, as long as the other table has few.
  if (config_.other_family && host_.other_family_nearest(body.target, kEnough).size() < kEnough)
    body.want_v4 = body.want_v6 = true;
  while (const auto to = search.lookup.next())
    query(
        *to, body,
        [this, id, to = *to](const Answer& answer, TimePoint at) {
          on_search_answer(id, to, answer, at);
        },
        now);
  if (search.lookup.done()) end(id, now);
}

void Node::on_search_answer(SearchId id, const Endpoint& to, const Answer& answer, TimePoint now) {
  std::vector<NodeInfo> nodes;
  if (answer.response != nullptr) nodes = usable_nodes(to, *answer.response);
  const auto it = searches_.find(id);
  if (it == searches_.end()) return;
  Search& search = it->second;
  switch (answer.outcome) {
    case Outcome::slow:
      search.lookup.on_slow(to);
      break;
    case Outcome::failed:
    case Outcome::refused:
      search.lookup.on_failure(to);
      break;
    case Outcome::answered:
      search.lookup.on_reply({answer.response->id, to}, nodes, answer.response->token);
      if (search.for_peers) take_values(id, search, to, *answer.response);
      break;
  }
  advance(id, now);
}

void Node::take_values(SearchId id, Search& search, const Endpoint& from,
                       const KrpcResponse& response) {
  FoundPeers found{{}, from};
  for (const Endpoint& peer : response.values)
    if (usable(from, peer) && search.found.size() < kMaxFound && search.found.insert(peer).second)
      found.peers.push_back(peer);
  if (search.options.scrape && (response.seeds || response.peers || !found.peers.empty())) {
    if (!search.filters) search.filters.emplace();
    if (response.seeds) unite(search.filters->seeds, *response.seeds);
    if (response.peers) unite(search.filters->peers, *response.peers);
    // BEP 33: of a node that names peers and counts none, they are counted as peers.
    if (!response.seeds && !response.peers)
      for (const Endpoint& peer : response.values)
        if (!may_hold(search.filters->seeds, peer.address))
          insert(search.filters->peers, peer.address);
  }
  if (!found.peers.empty() && search.on_peers)
    due_.emplace_back(id,
                      [on_peers = search.on_peers, found = std::move(found)] { on_peers(found); });
}

void Node::end(SearchId id, TimePoint now) {
  const auto moved = searches_.extract(id);
  Search& search = moved.mapped();
  SearchEnd result{search.lookup.asked(), search.lookup.answered(), search.found.size(), 0,
                   search.filters};
  if (search.options.announce && search.options.port != 0 && !config_.read_only) {
    for (const Lookup::Holder& holder : search.lookup.holders()) {
      KrpcQuery body;
      body.method = KrpcMethod::announce_peer;
      body.target = search.lookup.target();
      body.token = holder.token;
      body.port = search.options.port;
      body.seed = search.options.seed;
      query(
          holder.node.endpoint, std::move(body), [](const Answer&, TimePoint) {}, now);
      ++result.announced;
    }
  }
  if (search.on_end)
    due_.emplace_back(id, [on_end = std::move(search.on_end), result] { on_end(result); });
  begin_waiting(now);
}

// --- the table

/// BEP 5: a newcomer looks for the nodes nearest to itself.
void Node::find_self(TimePoint now) {
  finding_self_ = true;
  next_find_self_ = now + kFindSelfEvery;
  walk_to(
      table_.own_id(),
      [this](const SearchEnd& end) {
        finding_self_ = false;
        if (table_.size() >= kEnough && end.answered > 0) {
          self_attempts_ = 0;
          saved_.clear();
          return;
        }
        // It was set when this began: with so few nodes known, or none that answers, it is to be
        // earlier.
        const Duration rest = kFirstRetry * (1 << std::min(self_attempts_++, 7U));
        next_find_self_ -= kFindSelfEvery - std::min<Duration>(rest, kLastRetry);
      },
      now);
}

/// One small thing at a time, so that keeping the table costs next to nothing.
void Node::step(TimePoint now) {
  try_offered(now);
  if (now >= next_find_self_ && !finding_self_ && knows_anybody()) {
    find_self(now);
  } else if (const auto stale = table_.next_to_check(now)) {
    // A question near the node itself brings its neighbours too.
    KrpcQuery body;
    body.method = KrpcMethod::find_node;
    body.target = random_id_sharing(stale->id, common_prefix(stale->id, table_.own_id()), rng_);
    query(
        stale->endpoint, std::move(body),
        [this, to = stale->endpoint](const Answer& answer, TimePoint at) {
          if (answer.response == nullptr) return;
          for (const NodeInfo& node : usable_nodes(to, *answer.response))
            if (table_.wants(node.id)) offer(node.endpoint, at);
        },
        now);
  } else if (table_.size() > 0 && searches_.size() < kMaxSearches / 2) {
    if (const auto target = table_.next_to_refresh(now, rng_)) walk_to(*target, {}, now);
  }
  next_step_ = now + (offered_.empty() ? kStep : kFastStep);
  begin_waiting(now);
}

void Node::try_offered(TimePoint now) {
  if (offered_.empty()) return;
  const Endpoint endpoint = offered_.front();
  offered_.pop_front();
  if (table_.contains(endpoint)) return;
  query(
      endpoint, KrpcQuery{}, [](const Answer&, TimePoint) {}, now);
}

}  // namespace swarmfs::dht
