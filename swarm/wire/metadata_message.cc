#include "swarm/wire/metadata_message.h"

#include <limits>

#include "swarm/base/bencode.h"

namespace swarmfs::wire {

/// A message has three values; some clients add one of their own.
static constexpr bencode::Limits kLimits{.depth = 4, .tokens = 64};

Bytes encode(const MetadataMessage& message) {
  bencode::Writer writer;
  writer.begin_dict();
  writer.key("msg_type").integer(static_cast<std::int64_t>(message.kind));
  writer.key("piece").integer(message.piece);
  if (message.kind == MetadataMessage::Kind::data)
    writer.key("total_size").integer(message.total_size);
  writer.end();
  Bytes out = writer.take();
  if (message.kind == MetadataMessage::Kind::data) append(out, message.payload);
  return out;
}

Result<MetadataMessage> parse_metadata_message(ByteView payload) {
  std::size_t consumed = 0;
  const auto document = bencode::Document::parse(payload, kLimits, &consumed);
  if (!document) return fail(ErrorKind::protocol, "ut_metadata: " + document.error().message);
  const auto kind = document->root().find("msg_type").integer();
  const auto piece = document->root().find("piece").integer();
  MetadataMessage message;
  message.kind = MetadataMessage::Kind::unknown;
  if (!kind) return fail(ErrorKind::protocol, "ut_metadata: no msg_type");
  if (*kind < 0 || *kind > 2) return message;
  if (!piece || *piece < 0 || *piece > std::numeric_limits<std::uint32_t>::max())
    return fail(ErrorKind::protocol, "ut_metadata: no piece");
  message.kind = static_cast<MetadataMessage::Kind>(*kind);
  message.piece = static_cast<std::uint32_t>(*piece);
  if (message.kind != MetadataMessage::Kind::data) return message;
  const auto size = document->root().find("total_size").integer();
  if (size && *size > 0 && *size <= std::numeric_limits<std::uint32_t>::max())
    message.total_size = static_cast<std::uint32_t>(*size);
  message.payload = payload.subspan(consumed);
  return message;
}

}  // namespace swarmfs::wire
