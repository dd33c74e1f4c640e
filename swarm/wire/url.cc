#include "swarm/wire/url.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace swarmfs::wire {
namespace {

constexpr std::size_t kMaxUrl = 8 * 1024;
constexpr char kDigits[] = "0123456789ABCDEF";

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void append_escaped(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

/// A path and query that cannot break out of a request line: escapes whatever is not printable.
std::string safe_target(std::string_view text) {
  text = text.substr(0, text.find('#'));
  std::string out;
  if (text.empty() || text.front() != '/') out += '/';
  for (const char c : text) {
    if (c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\') {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  return out;
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [](char c) { return is_unreserved(c); });
}

bool is_v6(std::string_view host) {
  return host.size() >= 2 && std::all_of(host.begin(), host.end(), [](char c) {
           return hex_digit(c) >= 0 || c == ':' || c == '.';
         });
}

/// Splits "host", "host:port", "[v6]" or "[v6]:port" into the URL.
Result<void> parse_authority(std::string_view text, Url& url) {
  if (text.find('@') != std::string_view::npos)
    return fail(ErrorKind::unsupported, "URL with a user name before the host: not supported");
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos || !is_v6(text.substr(1, close - 1)))
      return fail(ErrorKind::bad_input, "URL with a malformed IPv6 address");
    url.host = lower(text.substr(1, close - 1));
    port = text.substr(close + 1);
    if (!port.empty() && !port.starts_with(':'))
      return fail(ErrorKind::bad_input, "URL with text between address and port");
  } else {
    const auto colon = text.find(':');
    if (!is_host(text.substr(0, colon)))
      return fail(ErrorKind::bad_input, "URL without a valid host");
    url.host = lower(text.substr(0, colon));
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (!port.empty()) port.remove_prefix(1);
  if (port.empty()) {
    if (url.scheme == "udp") return fail(ErrorKind::bad_input, "udp URL without a port");
    url.port = default_port(url.scheme);
    return {};
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (error != std::errc{} || end != port.data() + port.size() || url.port == 0)
    return fail(ErrorKind::bad_input, "URL with a port that is not 1 to 65535");
  return {};
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrl) return fail(ErrorKind::bad_input, "URL longer than 8 KiB");
  const auto colon = text.find("://");
  if (colon == std::string_view::npos) return fail(ErrorKind::bad_input, "not a URL: no scheme");
  Url url;
  url.scheme = lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https" && url.scheme != "udp")
    return fail(ErrorKind::unsupported, "URL scheme is none of http, https, udp");
  const std::string_view rest = text.substr(colon + 3);
  const auto end = std::min(rest.find_first_of("/?#"), rest.size());
  if (const auto ok = parse_authority(rest.substr(0, end), url); !ok) return ok.error();
  url.target = safe_target(rest.substr(end));
  return url;
}

Result<Url> Url::resolve(std::string_view reference) const {
  const auto colon = reference.find("://");
  if (colon != std::string_view::npos && colon < reference.find_first_of("/?#"))
    return parse(reference);
  if (reference.starts_with("//")) return parse(scheme + ":" + std::string(reference));
  if (reference.size() > kMaxUrl) return fail(ErrorKind::bad_input, "URL longer than 8 KiB");
  Url url = *this;
  const std::string_view path = std::string_view(target).substr(0, target.find('?'));
  if (reference.starts_with('/')) {
    url.target = safe_target(reference);
  } else if (reference.starts_with('?')) {
    url.target = safe_target(std::string(path) + std::string(reference));
  } else {
    url.target =
        safe_target(std::string(path.substr(0, path.rfind('/') + 1)) + std::string(reference));
  }
  return url;
}

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (scheme == "udp" || port != default_port(scheme)) out += ":" + std::to_string(port);
  return out;
}

std::string Url::redacted() const { return scheme + "://" + authority(); }

std::string Url::to_string() const { return redacted() + target; }

std::string percent_encode(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 3);
  for (const char c : as_text(bytes)) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      append_escaped(out, c);
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool whole = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                       hex_digit(text[i + 2]) >= 0;
    if (!whole) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return out;
}

}  // namespace swarmfs::wire
