#include "swarm/wire/krpc.h"

#include <algorithm>
#include <string_view>

#include "swarm/base/bencode.h"

namespace swarmfs::wire {
namespace {

using bencode::Node;

/// A message is flat; what deeper or more numerous there is, is nothing of ours.
constexpr bencode::Limits kLimits{8, 512};

constexpr std::array<std::string_view, 5> kMethods{"ping", "find_node", "get_peers",
                                                   "announce_peer", "sample_infohashes"};

Error bad(std::string_view what) {
  return fail(ErrorKind::protocol, "DHT message: " + std::string(what));
}

std::string printable_text(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return out;
}

std::optional<Sha1Hash> hash_of(const Node& node) {
  const auto text = node.string();
  Sha1Hash out;
  if (!text || text->size() != out.size()) return std::nullopt;
  const ByteView bytes = as_bytes(*text);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

bool flag(const Node& arguments, std::string_view key) {
  return arguments.find(key).integer().value_or(0) == 1;
}

Result<KrpcQuery> read_query(const Node& root) {
  const auto method = root.find("q").string();
  const Node arguments = root.find("a");
  if (!method || !arguments.is_dict()) return bad("a query without method or arguments");
  KrpcQuery out;
  const auto known = std::find(kMethods.begin(), kMethods.end(), *method);
  out.method = static_cast<KrpcMethod>(known - kMethods.begin());
  const auto id = hash_of(arguments.find("id"));
  if (!id) return bad("an id that is not 20 bytes");
  out.id = *id;
  for (const Node& wanted : arguments.find("want").items()) {
    if (wanted.string() == "n4") out.want_v4 = true;
    if (wanted.string() == "n6") out.want_v6 = true;
  }
  const bool by_hash =
      out.method == KrpcMethod::get_peers || out.method == KrpcMethod::announce_peer;
  if (by_hash || out.method == KrpcMethod::find_node ||
      out.method == KrpcMethod::sample_infohashes) {
    const auto target = hash_of(arguments.find(by_hash ? "info_hash" : "target"));
    if (!target) return bad("a target or info hash that is not 20 bytes");
    out.target = *target;
  }
  if (out.method == KrpcMethod::get_peers) {
    out.noseed = flag(arguments, "noseed");
    out.scrape = flag(arguments, "scrape");
  } else if (out.method == KrpcMethod::announce_peer) {
    out.implied_port = arguments.find("implied_port").integer().value_or(0) != 0;
    out.seed = flag(arguments, "seed");
    const std::int64_t port = arguments.find("port").integer().value_or(0);
    if (port >= 1 && port <= 65535) out.port = static_cast<std::uint16_t>(port);
    if (out.port == 0 && !out.implied_port) return bad("an announce without a port");
    const auto token = arguments.find("token").string();
    if (!token || token->size() > kMaxKrpcToken) return bad("an announce without a usable token");
    out.token.assign(token->begin(), token->end());
  }
  return out;
}

Result<std::optional<std::vector<NodeInfo>>> read_nodes(const Node& node, std::size_t address) {
  std::optional<std::vector<NodeInfo>> out;
  if (!node) return out;
  const auto text = node.string();
  const std::size_t stride = 20 + address;
  if (!text || text->size() % stride != 0) return bad("a list of nodes of odd length");
  out.emplace();
  for (ByteView rest = as_bytes(*text); !rest.empty(); rest = rest.subspan(stride)) {
    NodeInfo info;
    std::copy_n(rest.begin(), info.id.size(), info.id.begin());
    info.endpoint = *Endpoint::from_compact(rest.subspan(20, address));
    if (info.endpoint.port != 0) out->push_back(info);
  }
  return out;
}

Result<std::optional<ScrapeFilter>> read_filter(const Node& node) {
  std::optional<ScrapeFilter> out;
  if (!node) return out;
  const auto text = node.string();
  if (!text || text->size() != out.emplace().size()) return bad("a filter that is not 256 bytes");
  const ByteView bytes = as_bytes(*text);
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return out;
}

std::optional<std::uint32_t> count_of(const Node& node) {
  const auto value = node.integer();
  if (!value || *value < 0 || *value > 0x7fffffff) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

Result<KrpcResponse> read_response(const Node& root) {
  const Node in = root.find("r");
  if (!in.is_dict()) return bad("a response without values");
  KrpcResponse out;
  const auto id = hash_of(in.find("id"));
  if (!id) return bad("an id that is not 20 bytes");
  out.id = *id;
  auto nodes = read_nodes(in.find("nodes"), 6);
  if (!nodes) return nodes.error();
  auto nodes6 = read_nodes(in.find("nodes6"), 18);
  if (!nodes6) return nodes6.error();
  const auto seeds = read_filter(in.find("BFsd"));
  if (!seeds) return seeds.error();
  const auto peers = read_filter(in.find("BFpe"));
  if (!peers) return peers.error();
  out.nodes = std::move(*nodes);
  out.nodes6 = std::move(*nodes6);
  out.seeds = *seeds;
  out.peers = *peers;
  for (const Node& value : in.find("values").items()) {
    const auto peer = Endpoint::from_compact(as_bytes(value.string().value_or("")));
    if (peer && peer->port != 0 && !peer->address.is_unspecified()) out.values.push_back(*peer);
  }
  if (const auto token = in.find("token").string()) {
    if (token->size() > kMaxKrpcToken) return bad("an oversized token");
    out.token.assign(token->begin(), token->end());
  }
  if (const auto samples = in.find("samples").string()) {
    if (samples->size() % 20 != 0) return bad("samples of odd length");
    out.samples.emplace(samples->size() / 20);
    for (std::size_t i = 0; i < out.samples->size(); ++i) {
      const ByteView bytes = as_bytes(*samples).subspan(i * 20, 20);
      std::copy(bytes.begin(), bytes.end(), (*out.samples)[i].begin());
    }
  }
  out.interval = count_of(in.find("interval"));
  out.num = count_of(in.find("num"));
  return out;
}

Result<KrpcError> read_error(const Node& root) {
  const auto items = root.find("e").items();
  if (items.empty() || !items[0].integer()) return bad("an error without a code");
  KrpcError out{*items[0].integer(), {}};
  if (items.size() > 1) out.text = printable_text(items[1].string().value_or(""));
  return out;
}

void write(bencode::Writer& out, const KrpcQuery& query) {
  const bool by_hash =
      query.method == KrpcMethod::get_peers || query.method == KrpcMethod::announce_peer;
  const bool announce = query.method == KrpcMethod::announce_peer;
  out.key("a").begin_dict().key("id").string(query.id);
  if (announce && query.implied_port) out.key("implied_port").integer(1);
  if (by_hash) out.key("info_hash").string(query.target);
  if (query.noseed) out.key("noseed").integer(1);
  if (announce) out.key("port").integer(query.port);
  if (query.scrape) out.key("scrape").integer(1);
  if (announce && query.seed) out.key("seed").integer(1);
  if (query.method == KrpcMethod::find_node || query.method == KrpcMethod::sample_infohashes)
    out.key("target").string(query.target);
  if (announce) out.key("token").string(query.token);
  if (query.want_v4 || query.want_v6) {
    out.key("want").begin_list();
    if (query.want_v4) out.string("n4");
    if (query.want_v6) out.string("n6");
    out.end();
  }
  out.end();
}

void write_nodes(bencode::Writer& out, std::string_view key,
                 const std::optional<std::vector<NodeInfo>>& nodes, bool v4) {
  if (!nodes) return;
  Bytes text;
  for (const NodeInfo& node : *nodes) {
    if (node.endpoint.address.is_v4() != v4) continue;
    append(text, node.id);
    append(text, node.endpoint.to_compact());
  }
  out.key(key).string(text);
}

void write(bencode::Writer& out, const KrpcResponse& response) {
  out.key("r").begin_dict();
  if (response.peers) out.key("BFpe").string(*response.peers);
  if (response.seeds) out.key("BFsd").string(*response.seeds);
  out.key("id").string(response.id);
  if (response.interval) out.key("interval").integer(*response.interval);
  write_nodes(out, "nodes", response.nodes, true);
  write_nodes(out, "nodes6", response.nodes6, false);
  if (response.num) out.key("num").integer(*response.num);
  if (response.samples) {
    Bytes text;
    for (const Sha1Hash& hash : *response.samples) append(text, hash);
    out.key("samples").string(text);
  }
  if (!response.token.empty()) out.key("token").string(response.token);
  if (!response.values.empty()) {
    out.key("values").begin_list();
    for (const Endpoint& peer : response.values) out.string(peer.to_compact());
    out.end();
  }
  out.end();
}

void write(bencode::Writer& out, const KrpcError& error) {
  out.key("e").begin_list().integer(error.code).string(error.text).end();
}

}  // namespace

Bytes encode(const KrpcMessage& message) {
  bencode::Writer out;
  out.begin_dict();
  const auto* const query = std::get_if<KrpcQuery>(&message.body);
  const auto* const response = std::get_if<KrpcResponse>(&message.body);
  // The keys ascend: a or e, ip, q or r, ro, t, v, y.
  if (query != nullptr) write(out, *query);
  if (const auto* const error = std::get_if<KrpcError>(&message.body)) write(out, *error);
  if (message.ip) out.key("ip").string(message.ip->to_compact());
  if (query != nullptr) {
    const auto method = static_cast<std::size_t>(query->method);
    out.key("q").string(method < kMethods.size() ? kMethods[method] : "unknown");
  }
  if (response != nullptr) write(out, *response);
  if (message.read_only) out.key("ro").integer(1);
  out.key("t").string(message.transaction);
  if (!message.version.empty()) out.key("v").string(message.version);
  out.key("y").string(query != nullptr ? "q" : response != nullptr ? "r" : "e");
  out.end();
  return out.take();
}

Result<KrpcMessage> decode_krpc(ByteView packet) {
  if (packet.size() > kMaxKrpcRead) return bad("too long");
  const auto document = bencode::Document::parse(packet, kLimits);
  if (!document) return bad(document.error().message);
  const Node root = document->root();
  KrpcMessage out;
  const auto transaction = root.find("t").string();
  if (!transaction || transaction->size() > kMaxKrpcTransaction)
    return bad("no usable transaction");
  out.transaction.assign(transaction->begin(), transaction->end());
  out.version = std::string(root.find("v").string().value_or("")).substr(0, 16);
  if (const auto ip = root.find("ip").string()) out.ip = Endpoint::from_compact(as_bytes(*ip));
  out.read_only = flag(root, "ro");
  const auto kind = root.find("y").string();
  const auto keep = [&](auto body) -> Result<KrpcMessage> {
    if (!body) return body.error();
    out.body = std::move(*body);
    return std::move(out);
  };
  if (kind == "q") return keep(read_query(root));
  if (kind == "r") return keep(read_response(root));
  if (kind == "e") return keep(read_error(root));
  return bad("neither query, response nor error");
}

std::optional<Bytes> krpc_query_transaction(ByteView packet) {
  if (packet.size() > kMaxKrpcRead) return std::nullopt;
  const auto document = bencode::Document::parse(packet, kLimits);
  if (!document || document->root().find("y").string() != "q") return std::nullopt;
  const auto transaction = document->root().find("t").string();
  if (!transaction || transaction->size() > kMaxKrpcTransaction) return std::nullopt;
  return Bytes(transaction->begin(), transaction->end());
}

}  // namespace swarmfs::wire
