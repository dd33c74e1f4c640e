// Magnet links (BEP 9, 52, 53): what names a torrent without its manifest, and where to look for
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/hash.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

struct Magnet {
  /// A host and a port as the link spells them: an address without brackets, or a name.
  struct Peer {
    std::string host;
    std::uint16_t port = 0;
    bool operator==(const Peer&) const = default;
  };
  /// Files [first, last] in the torrent's order (BEP 53).
  struct Files {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool operator==(const Files&) const = default;
  };

  InfoHashes hashes;                  ///< one at least
  std::string name;                   ///< dn: of a stranger's making, maybe empty, any bytes
  std::vector<std::string> trackers;  ///< tr
  std::vector<Peer> peers;            ///< x.pe
  std::vector<std::string> webseeds;  ///< ws
  std::vector<Files> select;          ///< so; empty: all files
  bool operator==(const Magnet&) const = default;
};

inline constexpr std::size_t kMaxMagnet = 64 * 1024;
/// Of each kind that may be repeated; more are left out.
inline constexpr std::size_t kMaxMagnetItems = 256;

/// Whether `text` claims to be a magnet link.
bool is_magnet(std::string_view text);
/// Parses "magnet:?xt=urn:btih:<40 hex or 32 base32>" and "xt=urn:btmh:1220<64 hex>", both for a
/// hybrid. Unknown parameters and peers that make no sense are passed over. Errors: bad_input or
/// unsupported, one line; none repeats more of the link than the bad part.
Result<Magnet> parse_magnet(std::string_view text);
/// A bare info hash: 40 hexadecimal digits, 32 of base32, or 64 hexadecimal digits for v2. Nothing
/// for any other text.
std::optional<Magnet> parse_info_hash(std::string_view text);
/// The link that says it: ASCII, everything escaped that would end a parameter.
std::string to_string(const Magnet& magnet);

}  // namespace swarmfs::wire
