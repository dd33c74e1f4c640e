#include "swarm/wire/magnet.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "swarm/base/endpoint.h"
#include "swarm/base/hex.h"
#include "swarm/wire/url.h"

namespace swarmfs::wire {
namespace {

constexpr std::string_view kScheme = "magnet:?";
constexpr std::string_view kV1 = "urn:btih:";
constexpr std::string_view kV2 = "urn:btmh:";
/// The multihash prefix of SHA-256: its code, and 32 bytes.
constexpr std::string_view kSha256Multihash = "1220";
constexpr std::size_t kMaxName = 1024;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_any_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(),
                                                    [](char a, char b) { return a == lower(b); });
}

/// RFC 4648, without padding, either case.
std::optional<Bytes> from_base32(std::string_view text) {
  Bytes out;
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const char l = lower(c);
    std::uint32_t digit = 0;
    if (l >= 'a' && l <= 'z') {
      digit = static_cast<std::uint32_t>(l - 'a');
    } else if (l >= '2' && l <= '7') {
      digit = static_cast<std::uint32_t>(l - '2') + 26;
    } else {
      return std::nullopt;
    }
    held = (held << 5) | digit;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<std::uint8_t>(held >> bits));
    held &= (1U << bits) - 1;
  }
  return out;
}

template <class Hash>
std::optional<Hash> hash_from(const std::optional<Bytes>& bytes) {
  Hash hash{};
  if (!bytes || bytes->size() != hash.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

std::optional<Sha1Hash> v1_from(std::string_view text) {
  if (text.size() == 40) return hash_from<Sha1Hash>(from_hex(text));
  if (text.size() == 32) return hash_from<Sha1Hash>(from_base32(text));
  return std::nullopt;
}

template <class Int>
std::optional<Int> number_from(std::string_view text) {
  Int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Sets a hash that was not set, or was the same.
template <class Hash>
Result<> set_once(std::optional<Hash>& hash, const Hash& value) {
  if (hash && *hash != value)
    return fail(ErrorKind::unsupported, "magnet link: it names two torrents; use one link each");
  hash = value;
  return {};
}

Result<> read_topic(Magnet& magnet, std::string_view urn) {
  if (starts_with_any_case(urn, kV1)) {
    const auto hash = v1_from(urn.substr(kV1.size()));
    if (!hash)
      return fail(ErrorKind::bad_input,
                  "magnet link: the btih hash is neither 40 hexadecimal nor 32 base32 digits");
    return set_once(magnet.hashes.v1, *hash);
  }
  if (starts_with_any_case(urn, kV2)) {
    const std::string_view digits = urn.substr(kV2.size());
    const auto hash = digits.starts_with(kSha256Multihash)
                          ? hash_from<Sha256Hash>(from_hex(digits.substr(4)))
                          : std::nullopt;
    if (!hash)
      return fail(ErrorKind::bad_input,
                  "magnet link: the btmh hash is not 1220 and 64 hexadecimal digits");
    return set_once(magnet.hashes.v2, *hash);
  }
  return {};  // of another network
}

/// "1.2.3.4:5", "[v6]:5", "name:5".
std::optional<Magnet::Peer> peer_from(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const auto port = number_from<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    const auto address = IpAddress::parse(host);
    if (!address) return std::nullopt;
  }
  const auto usable = [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '.' || c == '-' ||
           c == '_' || c == ':';
  };
  if (host.empty() || host.size() > 255 || !std::all_of(host.begin(), host.end(), usable))
    return std::nullopt;
  if (host.find(':') != std::string_view::npos && !IpAddress::parse(host)) return std::nullopt;
  return Magnet::Peer{std::string(host), *port};
}

/// "0,2,5-9".
Result<std::vector<Magnet::Files>> files_from(std::string_view text) {
  std::vector<Magnet::Files> files;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t dash = part.find('-');
    const auto first = number_from<std::uint32_t>(part.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : number_from<std::uint32_t>(part.substr(dash + 1));
    if (!first || !last || *last < *first)
      return fail(ErrorKind::bad_input,
                  "magnet link: so is not a list of files such as 0,2,5-9 (BEP 53)");
    if (files.size() < kMaxMagnetItems) files.push_back({*first, *last});
  }
  return files;
}

template <class T>
void add_once(std::vector<T>& list, T item) {
  if (list.size() < kMaxMagnetItems && std::find(list.begin(), list.end(), item) == list.end())
    list.push_back(std::move(item));
}

/// A key without the number that some repeat it with: "tr.1" is "tr".
std::string_view plain_key(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  const bool numbered = dot != std::string_view::npos && dot + 1 < key.size() &&
                        key.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
  return numbered ? key.substr(0, dot) : key;
}

Result<> read_parameter(Magnet& magnet, std::string_view parameter) {
  const std::size_t equals = parameter.find('=');
  if (equals == std::string_view::npos) return {};
  const std::string_view key = plain_key(parameter.substr(0, equals));
  std::string raw(parameter.substr(equals + 1));
  if (key == "dn") std::replace(raw.begin(), raw.end(), '+', ' ');  // as forms escape a space
  const std::string value = percent_decode(raw);
  if (key == "xt") return read_topic(magnet, value);
  if (key == "so") {
    auto files = files_from(value);
    if (!files) return files.error();
    for (const Magnet::Files& range : *files) add_once(magnet.select, range);
  } else if (key == "dn" && magnet.name.empty()) {
    magnet.name = value.substr(0, kMaxName);
  } else if (key == "tr" && !value.empty()) {
    add_once(magnet.trackers, value);
  } else if (key == "ws" && !value.empty()) {
    add_once(magnet.webseeds, value);
  } else if (key == "x.pe") {
    if (auto peer = peer_from(value)) add_once(magnet.peers, std::move(*peer));
  }
  return {};
}

}  // namespace

bool is_magnet(std::string_view text) { return starts_with_any_case(text, "magnet:"); }

Result<Magnet> parse_magnet(std::string_view text) {
  if (!starts_with_any_case(text, kScheme))
    return fail(ErrorKind::bad_input, "magnet link: does not begin with magnet:?");
  if (text.size() > kMaxMagnet)
    return fail(ErrorKind::unsupported, "magnet link: longer than 64 KiB");
  Magnet magnet;
  for (text.remove_prefix(kScheme.size()); !text.empty();) {
    const std::string_view parameter = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), parameter.size() + 1));
    if (auto read = read_parameter(magnet, parameter); !read) return read.error();
  }
  if (!magnet.hashes.v1 && !magnet.hashes.v2)
    return fail(ErrorKind::bad_input,
                "magnet link: no xt=urn:btih: or xt=urn:btmh: says which torrent it is");
  return magnet;
}

std::optional<Magnet> parse_info_hash(std::string_view text) {
  Magnet magnet;
  if (text.size() == 64) {
    magnet.hashes.v2 = hash_from<Sha256Hash>(from_hex(text));
  } else {
    magnet.hashes.v1 = v1_from(text);
  }
  if (!magnet.hashes.v1 && !magnet.hashes.v2) return std::nullopt;
  return magnet;
}

std::string to_string(const Magnet& magnet) {
  std::string out(kScheme);
  const auto add = [&](std::string_view key, std::string_view value) {
    if (out.size() > kScheme.size()) out += '&';
    out.append(key).append("=").append(value);
  };
  if (magnet.hashes.v1) add("xt", std::string(kV1) + to_hex(*magnet.hashes.v1));
  if (magnet.hashes.v2)
    add("xt", std::string(kV2) + std::string(kSha256Multihash) + to_hex(*magnet.hashes.v2));
  if (!magnet.name.empty()) add("dn", percent_encode(as_bytes(magnet.name)));
  for (const std::string& url : magnet.trackers) add("tr", percent_encode(as_bytes(url)));
  for (const Magnet::Peer& peer : magnet.peers) {
    const bool v6 = peer.host.find(':') != std::string::npos;
    add("x.pe", (v6 ? "[" + peer.host + "]" : peer.host) + ":" + std::to_string(peer.port));
  }
  for (const std::string& url : magnet.webseeds) add("ws", percent_encode(as_bytes(url)));
  std::string select;
  for (const Magnet::Files& files : magnet.select) {
    if (!select.empty()) select += ',';
    select += std::to_string(files.first);
    if (files.last != files.first) select += "-" + std::to_string(files.last);
  }
  if (!select.empty()) add("so", select);
  return out;
}

}  // namespace swarmfs::wire
