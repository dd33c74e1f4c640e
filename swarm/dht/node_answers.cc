// Node: what it answers to others.
//
// A source that has not shown that it is where it says (by an answer to us, or by a token) gets a
// few times what it sent, so that nobody gains much by asking in another's name; and all answers
// together are bounded in bytes a second.
#include <algorithm>
#include <utility>

#include "swarm/dht/node.h"

namespace swarmfs::dht {

using wire::KrpcError;
using wire::KrpcMessage;
using wire::KrpcMethod;
using wire::KrpcQuery;
using wire::KrpcResponse;

/// Bytes of answer per byte of question from an unproven source: a list of nodes just fits.
static constexpr std::size_t kUnprovenFactor = 4;
/// Of an answer, beside its lists: keys, id, token, address, transaction and version.
static constexpr std::size_t kFrame = 150;
static constexpr std::size_t kFilters = 2 * (256 + 10);
static constexpr std::uint32_t kSampleInterval = 300;
static constexpr std::size_t kMaxProven = 1000;
static constexpr Duration kProvenFor = std::chrono::minutes(15);

void Node::prove(const Endpoint& source, TimePoint now) {
  if (proven_.size() >= kMaxProven) {
    std::erase_if(proven_, [&](const auto& old) { return now - old.second > kProvenFor; });
    if (proven_.size() >= kMaxProven) proven_.clear();
  }
  proven_[source] = now;
}

std::size_t Node::reply_budget(const Endpoint& from, std::size_t size, TimePoint now) const {
  const auto it = proven_.find(from);
  if (it != proven_.end() && now - it->second <= kProvenFor) return wire::kMaxKrpcSent;
  return std::min(wire::kMaxKrpcSent, size * kUnprovenFactor);
}

void Node::reply(const Endpoint& from, const Bytes& transaction,
                 std::variant<KrpcQuery, KrpcResponse, KrpcError> body, TimePoint now) {
  KrpcMessage message;
  message.transaction = transaction;
  message.body = std::move(body);
  message.ip = from;
  message.version = std::string("SF\x00\x01", 4);
  const Bytes datagram = wire::encode(message);
  if (!traffic_.may_reply(datagram.size(), now)) return;
  ++counts_.replies_out;
  counts_.bytes_out += datagram.size();
  host_.send(from, datagram);
}

void Node::on_query(const Endpoint& from, const KrpcMessage& message, const KrpcQuery& query,
                    std::size_t size, TimePoint now) {
  if (config_.read_only || from.port == 0 || !traffic_.may_ask(from, now)) {
    ++counts_.refused;
    return;
  }
  ++counts_.queries_in;
  // BEP 43: who answers nobody is of no use in a table.
  if (!message.read_only && !table_.on_query({query.id, from}, now) && table_.wants(query.id))
    offer(from, now);

  KrpcResponse response;
  response.id = table_.own_id();
  switch (query.method) {
    case KrpcMethod::unknown:
      return reply(from, message.transaction,
                   KrpcError{KrpcError::kUnknownMethod, "unknown method"}, now);
    case KrpcMethod::ping:
      break;
    case KrpcMethod::announce_peer: {
      if (!tokens_.valid(query.token, from.address, query.target, now))
        return reply(from, message.transaction, KrpcError{KrpcError::kProtocol, "bad token"}, now);
      prove(from, now);
      const std::uint16_t port = query.implied_port ? from.port : query.port;
      storage_.add(query.target, {from.address, port}, query.seed, now);
      break;
    }
    case KrpcMethod::find_node:
    case KrpcMethod::get_peers:
    case KrpcMethod::sample_infohashes: {
      const std::size_t budget = reply_budget(from, size, now);
      std::size_t room = budget - std::min(budget, kFrame);
      if (query.method == KrpcMethod::sample_infohashes) {
        response.num = static_cast<std::uint32_t>(storage_.torrents());
        response.interval = kSampleInterval;
        response.samples = storage_.sample(room / 2 / 20, rng_);
        room -= response.samples->size() * 20;
      }
      if (query.method == KrpcMethod::get_peers) {
        answer_get_peers(response, from, query, room, now);
      } else {
        fill_nodes(response, query, room, now);
      }
      break;
    }
  }
  reply(from, message.transaction, std::move(response), now);
}

void Node::answer_get_peers(KrpcResponse& response, const Endpoint& from, const KrpcQuery& query,
                            std::size_t room, TimePoint now) {
  response.token = tokens_.make(from.address, query.target, now);
  if (query.scrape && room >= kFilters) {
    if (const auto filters = storage_.filters(query.target, now)) {
      response.seeds = filters->seeds;
      response.peers = filters->peers;
      room -= kFilters;
    }
  }
  // Peers are what was asked for: they get two thirds of the room, and nodes what they leave.
  const std::size_t one = config_.v4 ? 8 : 21;
  response.values = storage_.peers(query.target, room * 2 / 3 / one, !query.noseed, rng_, now);
  fill_nodes(response, query, room - response.values.size() * one, now);
}

/// BEP 32: the families that were asked for; else the one of the packet.
void Node::fill_nodes(KrpcResponse& response, const KrpcQuery& query, std::size_t room,
                      TimePoint now) {
  const bool any = query.want_v4 || query.want_v6;
  const auto count = [&](std::size_t each) { return std::min(RoutingTable::kBucket, room / each); };
  const auto fill = [&](bool v4) {
    const std::size_t each = v4 ? 26 : 38;
    auto& list = v4 ? response.nodes : response.nodes6;
    list = v4 == config_.v4
               ? table_.nearest(query.target, count(each), RoutingTable::Which::good, now)
               : host_.other_family_nearest(query.target, count(each));
    room -= std::min(room, list->size() * each);
  };
  // Our own family first: of the other we know less.
  if (!any || (config_.v4 ? query.want_v4 : query.want_v6)) fill(config_.v4);
  if (any && (config_.v4 ? query.want_v6 : query.want_v4)) fill(!config_.v4);
}

}  // namespace swarmfs::dht
