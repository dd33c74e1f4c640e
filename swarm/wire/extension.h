// The extension handshake (BEP 10): which extension messages a peer takes, under which ids, and
// what it says of itself. Every field is optional, and what is malformed counts as absent: clients
// differ, and none of it is worth losing a connection for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::wire {

/// The extended message id of the handshake itself.
inline constexpr std::uint8_t kExtensionHandshakeId = 0;

/// The ids under which the sender of a handshake wants its messages. Absent: not mentioned;
/// 0: switched off (BEP 10).
struct ExtensionIds {
  std::optional<std::uint8_t> lt_donthave;   ///< BEP 54
  std::optional<std::uint8_t> sf_reading;    ///< our own: somebody waits for blocks of a piece
  std::optional<std::uint8_t> upload_only;   ///< the message beside BEP 21's field
  std::optional<std::uint8_t> ut_holepunch;  ///< BEP 55
  std::optional<std::uint8_t> ut_metadata;   ///< BEP 9
  std::optional<std::uint8_t> ut_pex;        ///< BEP 11
  bool operator==(const ExtensionIds&) const = default;
};

struct ExtensionHandshake {
  ExtensionIds ids;                            ///< m
  std::optional<std::uint32_t> metadata_size;  ///< BEP 9: bytes, over 0; a claim, so cap it
  std::optional<std::uint16_t> port;           ///< p: where the sender listens, over 0
  std::optional<std::uint32_t> reqq;           ///< requests the sender queues, over 0
  std::optional<bool> upload_only;             ///< BEP 21
  std::optional<std::string> version;          ///< v: bytes of the peer's making; escape to show
  std::optional<IpAddress> ipv4;               ///< the sender's
  std::optional<IpAddress> ipv6;               ///< the sender's
  std::optional<IpAddress> yourip;             ///< the receiver's, as the sender sees it: a hint
  bool operator==(const ExtensionHandshake&) const = default;

  /// Handshakes may be repeated and are additive: what `newer` mentions replaces what stood here.
  void merge(const ExtensionHandshake& newer);
};

/// The bencoded payload, to be sent with append_extended(out, kExtensionHandshakeId, payload).
Bytes encode(const ExtensionHandshake& handshake);

/// Error (protocol) only if `payload` does not start with a bencoded dictionary of moderate size.
/// A version over 128 bytes is cut.
Result<ExtensionHandshake> parse_extension_handshake(ByteView payload);

/// The payload of messages about one piece: lt_donthave (BEP 54), by which the sender has it no
/// longer though it said so, and sf_reading.
Bytes encode_piece(PieceIndex piece);
/// Error (protocol) if it is not four bytes; whether there is such a piece is the caller's to
/// judge.
Result<PieceIndex> parse_piece(ByteView payload);

}  // namespace swarmfs::wire
