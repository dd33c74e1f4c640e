// URLs of trackers, manifests and web seeds: the three schemes swarmfs speaks, made safe to send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

/// A parsed http, https or udp URL. Its path and query may hold a passkey: only redacted() may
/// reach a log, an error or a screen.
struct Url {
  std::string scheme;  ///< "http", "https" or "udp"
  std::string host;    ///< lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;
  /// Path and query as they go into a request line: printable ASCII, starts with '/', no fragment.
  std::string target;

  /// Errors: bad_input (no host, bad port, over 8 KiB), unsupported (another scheme, or a
  /// user name before the host). No error repeats the path or query.
  static Result<Url> parse(std::string_view text);
  /// Resolves a Location header against this URL (RFC 3986 5.2: absolute, //host, /path, path,
  /// ?query).
  Result<Url> resolve(std::string_view reference) const;
  /// "host" or "[v6]", with the port unless it is the scheme's own: a Host header.
  std::string authority() const;
  /// scheme://host:port/… without path and query, for people and logs.
  std::string redacted() const;
  std::string to_string() const;
  bool operator==(const Url&) const = default;
};

/// Escapes every byte outside RFC 3986's unreserved set as %XX.
std::string percent_encode(ByteView bytes);
/// Decodes %XX; anything that is not a whole escape stands as it is. '+' is not a space.
std::string percent_decode(std::string_view text);

}  // namespace swarmfs::wire
