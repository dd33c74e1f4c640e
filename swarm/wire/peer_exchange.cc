#include "swarm/wire/peer_exchange.h"

#include <string_view>

#include "swarm/base/bencode.h"

namespace swarmfs::wire {
namespace {

/// A message has six values; some clients add one or two of their own.
constexpr bencode::Limits kLimits{.depth = 4, .tokens = 64};

constexpr std::size_t length_of(bool v4) { return v4 ? 6 : 18; }

std::vector<Endpoint> endpoints_from(const bencode::Node& node, bool v4) {
  std::vector<Endpoint> out;
  ByteView rest = as_bytes(node.string().value_or(""));
  for (; rest.size() >= length_of(v4); rest = rest.subspan(length_of(v4)))
    if (const auto endpoint = Endpoint::from_compact(rest.first(length_of(v4))))
      out.push_back(*endpoint);
  return out;
}

void read_added(const bencode::Node& addresses, const bencode::Node& flags, bool v4,
                std::vector<PexPeer>& into) {
  const std::vector<Endpoint> endpoints = endpoints_from(addresses, v4);
  ByteView of_each = as_bytes(flags.string().value_or(""));
  if (of_each.size() != endpoints.size()) of_each = {};
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    into.push_back({endpoints[i], of_each.empty() ? std::uint8_t{0} : of_each[i]});
}

struct Lists {
  Bytes added, flags, dropped;
};

Lists lists_of(const PexMessage& message, bool v4) {
  Lists lists;
  for (const PexPeer& peer : message.added) {
    if (peer.endpoint.address.is_v4() != v4) continue;
    append(lists.added, peer.endpoint.to_compact());
    lists.flags.push_back(peer.flags);
  }
  for (const Endpoint& endpoint : message.dropped)
    if (endpoint.address.is_v4() == v4) append(lists.dropped, endpoint.to_compact());
  return lists;
}

void write(bencode::Writer& writer, std::string_view key, const Bytes& value) {
  if (!value.empty()) writer.key(key).string(value);
}

}  // namespace

Bytes encode(const PexMessage& message) {
  const Lists v4 = lists_of(message, true);
  const Lists v6 = lists_of(message, false);
  bencode::Writer writer;
  writer.begin_dict();
  writer.key("added").string(v4.added);
  writer.key("added.f").string(v4.flags);
  write(writer, "added6", v6.added);
  write(writer, "added6.f", v6.flags);
  write(writer, "dropped", v4.dropped);
  write(writer, "dropped6", v6.dropped);
  writer.end();
  return writer.take();
}

Result<PexMessage> parse_pex(ByteView payload) {
  std::size_t consumed = 0;
  const auto document = bencode::Document::parse(payload, kLimits, &consumed);
  if (!document) return fail(ErrorKind::protocol, "ut_pex: " + document.error().message);
  const bencode::Node root = document->root();
  if (!root.is_dict()) return fail(ErrorKind::protocol, "ut_pex: not a dictionary");
  PexMessage message;
  read_added(root.find("added"), root.find("added.f"), true, message.added);
  read_added(root.find("added6"), root.find("added6.f"), false, message.added);
  message.dropped = endpoints_from(root.find("dropped"), true);
  for (const Endpoint& endpoint : endpoints_from(root.find("dropped6"), false))
    message.dropped.push_back(endpoint);
  return message;
}

}  // namespace swarmfs::wire
