#include "swarm/dht/lookup.h"

#include <algorithm>

namespace swarmfs::dht {

Lookup::Candidate* Lookup::find(const Endpoint& endpoint) {
  const auto it = std::find_if(candidates_.begin(), candidates_.end(),
                               [&](const Candidate& c) { return c.node.endpoint == endpoint; });
  return it == candidates_.end() ? nullptr : &*it;
}

void Lookup::sort() {
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [&](const Candidate& a, const Candidate& b) {
                     if (a.known != b.known) return !a.known;
                     return a.known && nearer(target_, a.node.id, b.node.id);
                   });
}

void Lookup::add(const NodeInfo& node) {
  const IpAddress& address = node.endpoint.address;
  const bool there = std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& c) {
    return c.node.endpoint == node.endpoint || (c.known && c.node.id == node.id) ||
           (!address.is_local() && c.node.endpoint.address == address);
  });
  if (there) return;
  const auto place = std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& c) {
    return c.known && nearer(target_, node.id, c.node.id);
  });
  candidates_.insert(place, Candidate{node, true, State::idle, {}});
  // What is asked must be remembered; of the others the furthest goes.
  if (candidates_.size() <= kMaxCandidates) return;
  const auto last = std::find_if(candidates_.rbegin(), candidates_.rend(),
                                 [](const Candidate& c) { return c.state == State::idle; });
  if (last != candidates_.rend()) candidates_.erase(std::next(last).base());
}

void Lookup::add(const Endpoint& entry) {
  if (find(entry) != nullptr || candidates_.size() >= kMaxCandidates) return;
  candidates_.insert(candidates_.begin(), Candidate{{{}, entry}, false, State::idle, {}});
}

/// BEP 42: an answer ends the lookup only if its sender may have the id that it says it has.
bool Lookup::counts(const Candidate& candidate) const {
  return candidate.state == State::answered &&
         is_secure(candidate.node.id, candidate.node.endpoint.address);
}

std::optional<Endpoint> Lookup::next() {
  if (asked_ >= kMaxAsked) return std::nullopt;
  const auto waiting = static_cast<std::size_t>(
      std::count_if(candidates_.begin(), candidates_.end(),
                    [](const Candidate& c) { return c.state == State::asked; }));
  if (waiting >= at_once_) return std::nullopt;
  std::size_t arrived = 0;
  for (Candidate& candidate : candidates_) {
    arrived += counts(candidate) ? 1 : 0;
    if (arrived == kWidth) break;
    if (candidate.state != State::idle) continue;
    candidate.state = State::asked;
    ++asked_;
    return candidate.node.endpoint;
  }
  return std::nullopt;
}

void Lookup::on_reply(const NodeInfo& from, const std::vector<NodeInfo>& nodes,
                      const Bytes& token) {
  Candidate* const candidate = find(from.endpoint);
  if (candidate == nullptr || candidate->state == State::idle ||
      candidate->state == State::answered)
    return;
  candidate->state = State::answered;
  candidate->token = token;
  if (!candidate->known || candidate->node.id != from.id) {
    candidate->known = true;
    candidate->node.id = from.id;
    sort();
  }
  ++answered_;
  at_once_ = kMost;
  for (std::size_t i = 0; i < std::min(nodes.size(), kMaxTaken); ++i) add(nodes[i]);
}

void Lookup::on_slow(const Endpoint& endpoint) {
  Candidate* const candidate = find(endpoint);
  if (candidate != nullptr && candidate->state == State::asked) candidate->state = State::slow;
}

void Lookup::on_failure(const Endpoint& endpoint) {
  Candidate* const candidate = find(endpoint);
  if (candidate != nullptr && candidate->state != State::answered) candidate->state = State::failed;
}

bool Lookup::done() const {
  std::size_t arrived = 0;
  bool slow = false;
  for (const Candidate& candidate : candidates_) {
    arrived += counts(candidate) ? 1 : 0;
    if (arrived == kWidth) return true;
    if (candidate.state == State::asked) return false;
    if (candidate.state == State::idle && asked_ < kMaxAsked) return false;
    slow = slow || candidate.state == State::slow;
  }
  // Everybody was asked. Only where nobody has answered are the slow ones worth waiting for.
  return answered_ > 0 || !slow;
}

std::vector<Lookup::Holder> Lookup::holders() const {
  std::vector<Holder> out;
  std::size_t arrived = 0, answered = 0;
  for (const Candidate& candidate : candidates_) {
    if (arrived == kWidth) break;
    if (candidate.state != State::answered) continue;
    ++answered;
    const bool secure = counts(candidate);
    arrived += secure ? 1 : 0;
    if (!candidate.token.empty() && (secure || answered <= kWidth))
      out.push_back({candidate.node, candidate.token});
  }
  return out;
}

}  // namespace swarmfs::dht
