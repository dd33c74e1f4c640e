#include "swarm/wire/extension.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "swarm/base/bencode.h"

namespace swarmfs::wire {
namespace {

using bencode::Node;
using bencode::Writer;

constexpr std::size_t kMaxVersion = 128;
/// Real handshakes have about 50 values, three deep; a message of 1 MiB could hold 350,000.
constexpr bencode::Limits kLimits{.depth = 10, .tokens = 2000};

struct ExtensionName {
  std::string_view name;
  std::optional<std::uint8_t> ExtensionIds::*id;
};

/// In the order of their names, as a bencoded dictionary wants them.
constexpr std::array kExtensions{
    ExtensionName{"lt_donthave", &ExtensionIds::lt_donthave},
    ExtensionName{"sf_reading", &ExtensionIds::sf_reading},
    ExtensionName{"upload_only", &ExtensionIds::upload_only},
    ExtensionName{"ut_holepunch", &ExtensionIds::ut_holepunch},
    ExtensionName{"ut_metadata", &ExtensionIds::ut_metadata},
    ExtensionName{"ut_pex", &ExtensionIds::ut_pex},
};

/// The integer in `node` if it lies in [least, max of Int].
template <class Int>
std::optional<Int> integer_from(const Node& node, std::int64_t least) {
  const auto value = node.integer();
  if (!value || *value < least || *value > std::int64_t{std::numeric_limits<Int>::max()})
    return std::nullopt;
  return static_cast<Int>(*value);
}

std::optional<IpAddress> v4_from(const Node& node) {
  const auto text = node.string();
  std::array<std::uint8_t, 4> bytes{};
  if (!text || text->size() != bytes.size()) return std::nullopt;
  std::copy(text->begin(), text->end(), bytes.begin());
  return IpAddress::v4(bytes);
}

std::optional<IpAddress> v6_from(const Node& node) {
  const auto text = node.string();
  std::array<std::uint8_t, 16> bytes{};
  if (!text || text->size() != bytes.size()) return std::nullopt;
  std::copy(text->begin(), text->end(), bytes.begin());
  return IpAddress::v6(bytes);
}

ExtensionIds ids_from(const Node& m) {
  ExtensionIds ids;
  for (const auto& [name, id] : kExtensions) ids.*id = integer_from<std::uint8_t>(m.find(name), 0);
  return ids;
}

template <class T>
void replace(std::optional<T>& old, const std::optional<T>& newer) {
  if (newer) old = newer;
}

template <class Int>
void write(Writer& writer, std::string_view key, const std::optional<Int>& value) {
  if (value) writer.key(key).integer(std::int64_t{*value});
}

void write(Writer& writer, std::string_view key, const std::optional<IpAddress>& address) {
  if (address) writer.key(key).string(address->bytes());
}

}  // namespace

void ExtensionHandshake::merge(const ExtensionHandshake& newer) {
  for (const auto& [name, id] : kExtensions) replace(ids.*id, newer.ids.*id);
  replace(metadata_size, newer.metadata_size);
  replace(port, newer.port);
  replace(reqq, newer.reqq);
  replace(upload_only, newer.upload_only);
  replace(version, newer.version);
  replace(ipv4, newer.ipv4);
  replace(ipv6, newer.ipv6);
  replace(yourip, newer.yourip);
}

Bytes encode(const ExtensionHandshake& handshake) {
  Writer writer;
  writer.begin_dict();
  write(writer, "ipv4", handshake.ipv4);
  write(writer, "ipv6", handshake.ipv6);
  writer.key("m").begin_dict();
  for (const auto& [name, id] : kExtensions) write(writer, name, handshake.ids.*id);
  writer.end();
  write(writer, "metadata_size", handshake.metadata_size);
  write(writer, "p", handshake.port);
  write(writer, "reqq", handshake.reqq);
  write(writer, "upload_only", handshake.upload_only);
  if (handshake.version) writer.key("v").string(*handshake.version);
  write(writer, "yourip", handshake.yourip);
  writer.end();
  return writer.take();
}

Result<ExtensionHandshake> parse_extension_handshake(ByteView payload) {
  std::size_t consumed = 0;
  const auto document = bencode::Document::parse(payload, kLimits, &consumed);
  if (!document)
    return fail(ErrorKind::protocol, "extension handshake: " + document.error().message);
  const Node root = document->root();
  if (!root.is_dict()) return fail(ErrorKind::protocol, "extension handshake is not a dictionary");

  ExtensionHandshake h;
  h.ids = ids_from(root.find("m"));
  h.metadata_size = integer_from<std::uint32_t>(root.find("metadata_size"), 1);
  h.port = integer_from<std::uint16_t>(root.find("p"), 1);
  h.reqq = integer_from<std::uint32_t>(root.find("reqq"), 1);
  if (const auto flag = root.find("upload_only").integer()) h.upload_only = *flag != 0;
  if (const auto text = root.find("v").string())
    h.version = std::string(text->substr(0, kMaxVersion));
  h.ipv4 = v4_from(root.find("ipv4"));
  h.ipv6 = v6_from(root.find("ipv6"));
  h.yourip = v4_from(root.find("yourip"));
  if (!h.yourip) h.yourip = v6_from(root.find("yourip"));
  return h;
}

Bytes encode_piece(PieceIndex piece) {
  Bytes payload;
  append_be<std::uint32_t>(payload, piece.value);
  return payload;
}

Result<PieceIndex> parse_piece(ByteView payload) {
  if (payload.size() != 4)
    return fail(ErrorKind::protocol, "a message about one piece is not four bytes long");
  return PieceIndex(load_be<std::uint32_t>(payload.data()));
}

}  // namespace swarmfs::wire
