#include "swarm/dht/saved_nodes.h"

#include <algorithm>

#include "swarm/base/bencode.h"

namespace swarmfs::dht {

static constexpr std::string_view kFormat = "swarmfs dht nodes 1";

Bytes encode_saved_nodes(const std::vector<wire::NodeInfo>& nodes) {
  Bytes v4, v6;
  for (const wire::NodeInfo& node : nodes) {
    const bool four = node.endpoint.address.is_v4();
    Bytes& into = four ? v4 : v6;
    if (into.size() >= kMaxSavedNodes * (four ? 26 : 38)) continue;
    append(into, node.id);
    append(into, node.endpoint.to_compact());
  }
  bencode::Writer out;
  out.begin_dict().key("format").string(kFormat);
  out.key("nodes").string(v4).key("nodes6").string(v6).end();
  return out.take();
}

Result<std::vector<wire::NodeInfo>> decode_saved_nodes(ByteView bytes) {
  const auto bad = [] { return fail(ErrorKind::bad_input, "not a table of DHT nodes"); };
  if (bytes.size() > kMaxSavedBytes) return bad();
  const auto document = bencode::Document::parse(bytes, {4, 100});
  if (!document || document->root().find("format").string() != kFormat) return bad();
  std::vector<wire::NodeInfo> out;
  for (const auto& [key, address] : {std::pair{"nodes", std::size_t{6}}, {"nodes6", 18}}) {
    const ByteView text = as_bytes(document->root().find(key).string().value_or(""));
    const std::size_t stride = 20 + address;
    if (text.size() % stride != 0 || text.size() / stride > kMaxSavedNodes) return bad();
    for (std::size_t at = 0; at < text.size(); at += stride) {
      wire::NodeInfo node;
      std::copy_n(text.data() + at, node.id.size(), node.id.begin());
      node.endpoint = *Endpoint::from_compact(text.subspan(at + 20, address));
      if (node.endpoint.port != 0) out.push_back(node);
    }
  }
  return out;
}

}  // namespace swarmfs::dht
