#include "swarm/wire/local_discovery.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "swarm/base/hex.h"

namespace swarmfs::wire {
namespace {

constexpr std::string_view kRequest = "BT-SEARCH ";
constexpr std::size_t kMaxCookie = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view text, std::string_view name) {
  return std::equal(text.begin(), text.end(), name.begin(), name.end(),
                    [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Takes a line off the text, without its end.
std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::optional<Sha1Hash> hash_from(std::string_view text) {
  const auto bytes = text.size() == 40 ? from_hex(text) : std::nullopt;
  if (!bytes) return std::nullopt;
  Sha1Hash hash{};
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

Endpoint local_discovery_group(bool v4) {
  static constexpr std::uint16_t kPort = 6771;
  if (v4) return {IpAddress::v4({239, 192, 152, 143}), kPort};
  return {IpAddress::v6({0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xef, 0xc0, 0x98, 0x8f}), kPort};
}

Bytes encode(const LocalAnnounce& announce, bool v4) {
  std::string text = "BT-SEARCH * HTTP/1.1\r\nHost: " + local_discovery_group(v4).to_string() +
                     "\r\nPort: " + std::to_string(announce.port) + "\r\n";
  for (const Sha1Hash& hash : announce.info_hashes) text += "Infohash: " + to_hex(hash) + "\r\n";
  if (!announce.cookie.empty()) text += "cookie: " + announce.cookie + "\r\n";
  text += "\r\n\r\n";
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Result<LocalAnnounce> parse_local_announce(ByteView datagram) {
  std::string_view rest = as_text(datagram);
  if (!take_line(rest).starts_with(kRequest))
    return fail(ErrorKind::protocol, "local discovery: not a BT-SEARCH");
  LocalAnnounce announce;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (same_name(name, "port")) {
      std::uint16_t port = 0;
      const char* const last = value.data() + value.size();
      const auto [end, error] = std::from_chars(value.data(), last, port);
      if (error == std::errc{} && end == last) announce.port = port;
    } else if (same_name(name, "infohash")) {
      const auto hash = hash_from(value);
      if (hash && announce.info_hashes.size() < kMaxLocalHashes)
        announce.info_hashes.push_back(*hash);
    } else if (same_name(name, "cookie") && value.size() <= kMaxCookie && printable(value)) {
      announce.cookie = value;
    }
  }
  if (announce.port == 0) return fail(ErrorKind::protocol, "local discovery: no port");
  if (announce.info_hashes.empty()) return fail(ErrorKind::protocol, "local discovery: no hash");
  return announce;
}

}  // namespace swarmfs::wire
