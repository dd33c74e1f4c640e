// Node: questions, answers and time.
#include "swarm/dht/node.h"

#include <algorithm>
#include <utility>

namespace swarmfs::dht {

using namespace std::chrono_literals;
using wire::KrpcError;
using wire::KrpcMessage;
using wire::KrpcMethod;
using wire::KrpcQuery;
using wire::KrpcResponse;

/// BEP 5 "v": two letters of the client, two bytes of the version.
static constexpr std::string_view kVersion{"SF\x00\x01", 4};
static constexpr Duration kExpireEvery = 1min;
/// For so long before an answer our line has been the same: who was silent then is to blame.
static constexpr Duration kSameLine = 90s;

Node::Node(const NodeConfig& config, NodeHost& host, std::uint64_t seed, TimePoint now)
    : config_(config),
      host_(host),
      rng_(seed),
      table_(random_id(rng_)),
      tokens_(config.token_seed),
      traffic_(config.reply_bytes_per_second),
      next_step_(now),
      next_find_self_(now),
      next_expiry_(now + kExpireEvery) {}

void Node::send(const Endpoint& to, const KrpcMessage& message) {
  const Bytes datagram = wire::encode(message);
  counts_.bytes_out += datagram.size();
  host_.send(to, datagram);
}

void Node::query(const Endpoint& to, KrpcQuery body, Continue then, TimePoint now) {
  body.id = table_.own_id();
  std::uint32_t transaction = 0;
  do {
    transaction = static_cast<std::uint32_t>(rng_());
  } while (pending_.contains(transaction));
  KrpcMessage message;
  append_be(message.transaction, transaction);
  message.version = kVersion;
  message.read_only = config_.read_only;
  message.body = std::move(body);
  const bool room = pending_.size() < kMaxPending;
  pending_.emplace(transaction, Pending{to, now, false, std::move(then)});
  pending_due_.emplace(now + patience_.value(), transaction);
  // Too many at once: this one is lost, as it might be on the way.
  if (!room) return;
  ++counts_.queries_out;
  send(to, message);
}

Result<KrpcResponse> Node::result_of(const Endpoint& endpoint, const Answer& answer) {
  if (answer.response != nullptr) return *answer.response;
  if (answer.error == nullptr)
    return fail(ErrorKind::timed_out, endpoint.to_string() + " does not answer");
  return fail(ErrorKind::protocol, endpoint.to_string() +
                                       " refuses: " + std::to_string(answer.error->code) + " " +
                                       answer.error->text);
}

void Node::ask(const Endpoint& endpoint, KrpcQuery body, OnAnswer on_answer, TimePoint now) {
  query(
      endpoint, std::move(body),
      [this, endpoint, on_answer = std::move(on_answer)](const Answer& answer, TimePoint) {
        if (answer.outcome == Outcome::slow) return;
        due_.emplace_back(0, [on_answer, result = result_of(endpoint, answer), rtt = answer.rtt] {
          on_answer(result, rtt);
        });
      },
      now);
}

/// Whether an address that `from` named may be used: nothing from the public network leads to a
/// local one, and nobody aims us at ports where other services are.
bool Node::usable(const Endpoint& from, const Endpoint& named) const {
  if (named.address.is_v4() != config_.v4 || named.port == 0) return false;
  if (named.address.is_local() && !from.address.is_local()) return false;
  return !named.address.is_unspecified() && (named.address.bytes()[0] < 224 || !config_.v4);
}

std::vector<NodeInfo> Node::usable_nodes(const Endpoint& from, const KrpcResponse& response) {
  std::vector<NodeInfo> out;
  const auto& ours = config_.v4 ? response.nodes : response.nodes6;
  const auto& others = config_.v4 ? response.nodes6 : response.nodes;
  if (ours)
    for (const NodeInfo& node : *ours)
      if (usable(from, node.endpoint) && node.endpoint.port >= 1024 && node.id != table_.own_id())
        out.push_back(node);
  if (others && config_.other_family) {
    std::vector<NodeInfo> seen;
    for (const NodeInfo& node : *others)
      if (node.endpoint.port >= 1024 &&
          (from.address.is_local() || !node.endpoint.address.is_local()))
        seen.push_back(node);
    if (!seen.empty()) host_.other_family_seen(seen);
  }
  return out;
}

void Node::on_datagram(const Endpoint& from, ByteView datagram, TimePoint now) {
  counts_.bytes_in += datagram.size();
  const auto message = wire::decode_krpc(datagram);
  if (!message) {
    ++counts_.refused;
    const auto transaction = wire::krpc_query_transaction(datagram);
    if (transaction && !config_.read_only && traffic_.may_ask(from, now))
      reply(from, *transaction, KrpcError{KrpcError::kProtocol, "malformed"}, now);
  } else if (const auto* const body = std::get_if<KrpcQuery>(&message->body)) {
    on_query(from, *message, *body, datagram.size(), now);
  } else {
    on_answer(from, *message, now);
  }
  run_due();
}

void Node::on_answer(const Endpoint& from, const KrpcMessage& message, TimePoint now) {
  const auto it = message.transaction.size() == 4
                      ? pending_.find(load_be<std::uint32_t>(message.transaction.data()))
                      : pending_.end();
  if (it == pending_.end() || it->second.to != from) {
    ++counts_.refused;
    return;
  }
  const Pending pending = std::move(it->second);
  // Its place in pending_due_ is found to be stale when its time comes.
  pending_.erase(it);
  ++counts_.replies_in;
  heard_ = now;
  silent_.erase(from);
  for (const auto& [endpoint, asked] : std::exchange(silent_, {}))
    if (now - asked <= kSameLine) table_.on_failure(endpoint, now);
  const Duration rtt = now - pending.sent;
  learn_patience(rtt);
  const auto* const response = std::get_if<KrpcResponse>(&message.body);
  const auto* const error = std::get_if<KrpcError>(&message.body);
  if (response != nullptr) learn(from, message, *response, now);
  pending.then({response != nullptr ? Outcome::answered : Outcome::refused, response, error, rtt},
               now);
}

void Node::learn(const Endpoint& from, const KrpcMessage& message, const KrpcResponse& response,
                 TimePoint now) {
  prove(from, now);
  if (!is_router(from)) table_.on_reply({response.id, from}, now);
  if (!message.ip || message.ip->address.is_v4() != config_.v4) return;
  if (!external_.vote(from.address, message.ip->address)) return;
  if (is_secure(table_.own_id(), *external_.current())) return;
  table_.set_own_id(secure_id(*external_.current(), static_cast<std::uint8_t>(rng_()), rng_), now);
  next_find_self_ = now;
}

/// What the first answers teach holds for the queries that are under way, too.
void Node::learn_patience(Duration rtt) {
  const Duration before = patience_.value();
  patience_.on_answer(rtt);
  if (patience_.value() > before * 3 / 4) return;
  for (const auto& [transaction, pending] : pending_)
    if (!pending.slow) pending_due_.emplace(pending.sent + patience_.value(), transaction);
}

void Node::expire_queries(TimePoint now) {
  while (!pending_due_.empty() && pending_due_.begin()->first <= now) {
    const auto transaction = pending_due_.begin()->second;
    pending_due_.erase(pending_due_.begin());
    const auto it = pending_.find(transaction);
    if (it == pending_.end()) continue;
    const TimePoint give_up = it->second.sent + kGiveUp;
    if (!it->second.slow) {
      it->second.slow = true;
      pending_due_.emplace(std::max(give_up, now), transaction);
      const Continue then = it->second.then;  // which may ask more
      then({Outcome::slow, nullptr, nullptr, {}}, now);
      continue;
    }
    if (now < give_up) continue;  // it was found to be slow before this was due
    const Pending pending = std::move(it->second);
    pending_.erase(it);
    // Where nobody else answers either it may be our own line that is down: an outage is not to
    // empty the table.
    if (heard_ + kGiveUp >= pending.sent) {
      table_.on_failure(pending.to, now);
    } else if (silent_.size() < kMaxPending) {
      silent_[pending.to] = pending.sent;
    }
    pending.then({Outcome::failed, nullptr, nullptr, {}}, now);
  }
}

void Node::on_timer(TimePoint now) {
  expire_queries(now);
  if (now >= next_step_) step(now);
  if (now >= next_expiry_) {
    storage_.expire(now);
    next_expiry_ = now + kExpireEvery;
  }
  run_due();
}

TimePoint Node::deadline() const {
  if (!due_.empty()) return TimePoint{};  // at once
  TimePoint out = std::min(next_step_, next_expiry_);
  if (!pending_due_.empty()) out = std::min(out, pending_due_.begin()->first);
  return out;
}

void Node::run_due() {
  while (!due_.empty()) {  // a callback may cancel the next, or bring more
    const auto callback = std::move(due_.front().second);
    due_.pop_front();
    callback();
  }
}

}  // namespace swarmfs::dht
