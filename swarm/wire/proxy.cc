#include "swarm/wire/proxy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "swarm/wire/url.h"

namespace swarmfs::wire {
namespace {

constexpr std::uint8_t kSocks5 = 5;
constexpr std::uint8_t kNoLogin = 0;
constexpr std::uint8_t kUserPassword = 2;
constexpr std::uint8_t kNothingAcceptable = 0xff;
constexpr std::uint8_t kV4 = 1, kName = 3, kV6 = 4;
constexpr std::size_t kLongest = 255;  ///< of what has its length in a byte

/// One byte of length, then the text.
void append_short(Bytes& out, std::string_view text) {
  out.push_back(static_cast<std::uint8_t>(text.size()));
  append(out, as_bytes(text));
}

/// ATYP, address and port.
void append_target(Bytes& out, const ProxyTarget& to) {
  if (const auto address = IpAddress::parse(to.host)) {
    out.push_back(address->is_v4() ? kV4 : kV6);
    append(out, address->bytes());
  } else {
    out.push_back(kName);
    append_short(out, std::string_view(to.host).substr(0, kLongest));
  }
  append_be(out, to.port);
}

/// Address and port after an ATYP of 1 or 4.
Endpoint endpoint_at(ByteView bytes, bool v4) {
  Endpoint out;
  if (v4) {
    std::array<std::uint8_t, 4> four;
    std::copy_n(bytes.begin(), four.size(), four.begin());
    out.address = IpAddress::v4(four);
  } else {
    std::array<std::uint8_t, 16> sixteen;
    std::copy_n(bytes.begin(), sixteen.size(), sixteen.begin());
    out.address = IpAddress::v6(sixteen);
  }
  out.port = load_be<std::uint16_t>(bytes.data() + (v4 ? 4 : 16));
  return out;
}

std::string base64(std::string_view text) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += 3) {
    const std::string_view three = text.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < three.size() ? static_cast<std::uint8_t>(three[i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      out += i <= three.size() ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

Error refusal(std::uint8_t code) {
  switch (code) {
    case 1:
      return fail(ErrorKind::network, "it failed (SOCKS error 1)");
    case 2:
      return fail(ErrorKind::permission, "its rules do not allow that");
    case 3:
      return fail(ErrorKind::network, "it finds the network unreachable");
    case 4:
      return fail(ErrorKind::network, "it finds the host unreachable, or does not know it");
    case 5:
      return fail(ErrorKind::network, "the connection was refused there");
    case 6:
      return fail(ErrorKind::network, "the way from it is too long (TTL)");
    case 7:
      return fail(ErrorKind::unsupported, "it does not know the command");
    case 8:
      return fail(ErrorKind::unsupported, "it does not know addresses of this kind");
    default:
      return fail(ErrorKind::protocol, "it gave SOCKS error " + std::to_string(code));
  }
}

Error login_refused() {
  return fail(ErrorKind::permission, "it refused the user name and password");
}

Error not_socks() { return fail(ErrorKind::protocol, "it does not speak SOCKS5"); }

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > kLongest) return false;
  if (IpAddress::parse(host)) return true;
  return std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

}  // namespace

Result<ProxyUrl> ProxyUrl::parse(std::string_view text) {
  static constexpr std::string_view kExample =
      "not a proxy such as socks5://192.0.2.1:1080 or http://user:password@proxy.example.org:8080";
  const auto bad = [] { return fail(ErrorKind::bad_input, std::string(kExample)); };
  const auto colon = text.find("://");
  if (colon == std::string_view::npos) return bad();
  const std::string_view scheme = text.substr(0, colon);
  ProxyUrl out;
  if (scheme == "http") {
    out.kind = Kind::http;
  } else if (scheme != "socks5" && scheme != "socks5h") {
    return fail(ErrorKind::unsupported,
                "only socks5:// and http:// proxies are known, of those before ://");
  }
  std::string_view rest = text.substr(colon + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = rest.substr(0, at);
    const auto split = login.find(':');
    out.user = percent_decode(login.substr(0, split));
    if (split != std::string_view::npos) out.password = percent_decode(login.substr(split + 1));
    rest = rest.substr(at + 1);
    if (out.user.empty() || out.user.size() > kLongest || out.password.size() > kLongest)
      return bad();
  }
  const auto last = rest.rfind(':');
  if (last == std::string_view::npos) return bad();
  std::string_view host = rest.substr(0, last);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != std::string_view::npos)) return bad();
  out.host = host;
  for (char& c : out.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::string_view port = rest.substr(last + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) return bad();
  return is_host(out.host) ? Result<ProxyUrl>(out) : bad();
}

std::string ProxyUrl::redacted() const {
  return (kind == Kind::http ? "http://" : "socks5://") + ProxyTarget(host, port).to_string();
}

std::string ProxyTarget::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

ProxyDialogue::ProxyDialogue(ProxyUrl proxy, Command command, ProxyTarget target)
    : proxy_(std::move(proxy)), command_(command), target_(std::move(target)) {
  if (proxy_.kind == ProxyUrl::Kind::http) {
    const std::string to = target_.to_string();
    append(output_, as_bytes("CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"));
    if (!proxy_.user.empty())
      append(output_, as_bytes("Proxy-Authorization: Basic " +
                               base64(proxy_.user + ":" + proxy_.password) + "\r\n"));
    append(output_, as_bytes("\r\n"));
    expect(State::head, 4);
    return;
  }
  // Of the two methods the one that is to be used is all that is offered: there is no choice that
  // a proxy could make for the worse.
  output_ = {kSocks5, 1, proxy_.user.empty() ? kNoLogin : kUserPassword};
  expect(State::method, 2);
}

void ProxyDialogue::expect(State state, std::size_t bytes) {
  state_ = state;
  wanted_ = bytes;
  got_.clear();
}

Result<> ProxyDialogue::feed(ByteView bytes) {
  if (bytes.size() > wanted_)
    return fail(ErrorKind::protocol, "more was read of it than it had to say");
  got_.insert(got_.end(), bytes.begin(), bytes.end());
  if (state_ == State::head) return on_head();
  wanted_ -= bytes.size();
  if (wanted_ > 0) return {};
  switch (state_) {
    case State::method:
      return on_method();
    case State::login:
      return on_login();
    case State::answer:
      return on_answer();
    case State::address:
      return on_address();
    case State::head:
    case State::done:
      break;
  }
  return {};
}

void ProxyDialogue::ask() {
  const bool connect = command_ == Command::connect;
  output_ = {kSocks5, static_cast<std::uint8_t>(connect ? 1 : 3), 0};
  // Where our datagrams will come from is not known before there is a relay to send them to.
  append_target(output_, connect ? target_ : ProxyTarget("0.0.0.0", 0));
  // Up to the first byte of the address, which of a name says how long it is.
  expect(State::answer, 5);
}

Result<> ProxyDialogue::on_method() {
  if (got_[0] != kSocks5) return not_socks();
  const std::uint8_t method = got_[1];
  if (method == kNothingAcceptable) {
    if (!proxy_.user.empty()) return login_refused();
    return fail(ErrorKind::permission, "it wants a user name and password");
  }
  if (method != (proxy_.user.empty() ? kNoLogin : kUserPassword))
    return fail(ErrorKind::protocol, "it chose a way to log in that was not offered");
  if (proxy_.user.empty()) {
    ask();
    return {};
  }
  output_ = {1};  // the version of RFC 1929
  append_short(output_, proxy_.user);
  append_short(output_, proxy_.password);
  expect(State::login, 2);
  return {};
}

Result<> ProxyDialogue::on_login() {
  // The version is not looked at: some servers answer with that of SOCKS.
  if (got_[1] != 0) return login_refused();
  ask();
  return {};
}

Result<> ProxyDialogue::on_answer() {
  if (got_[0] != kSocks5) return not_socks();
  if (got_[1] != 0) return refusal(got_[1]);
  const std::uint8_t kind = got_[3];
  if (kind != kV4 && kind != kV6 && kind != kName)
    return fail(ErrorKind::protocol, "it bound an address of no known kind");
  const std::size_t host = kind == kV4 ? 4 : kind == kV6 ? 16 : 1 + std::size_t{got_[4]};
  state_ = State::address;
  wanted_ = 4 + host + 2 - got_.size();
  return {};
}

Result<> ProxyDialogue::on_address() {
  if (got_[3] != kName) bound_ = endpoint_at(ByteView(got_).subspan(4), got_[3] == kV4);
  expect(State::done, 0);
  return {};
}

Result<> ProxyDialogue::on_head() {
  static constexpr std::string_view kEnd = "\r\n\r\n";
  const std::string_view head(reinterpret_cast<const char*>(got_.data()), got_.size());
  if (!std::string_view("HTTP/1.").starts_with(head.substr(0, 7)))
    return fail(ErrorKind::protocol, "it does not speak HTTP");
  // As much of the end as stands there may be followed by the rest at least.
  std::size_t matched = std::min(kEnd.size(), head.size());
  while (!head.ends_with(kEnd.substr(0, matched))) --matched;
  wanted_ = kEnd.size() - matched;
  if (wanted_ > 0) {
    if (head.size() > kMaxHead) return fail(ErrorKind::protocol, "its answer does not end");
    return {};
  }
  unsigned status = 0;
  const std::string_view after = head.substr(std::min<std::size_t>(9, head.size()));
  std::from_chars(after.data(), after.data() + after.size(), status);
  if (status == 407)
    return proxy_.user.empty() ? fail(ErrorKind::permission, "it wants a user name and password")
                               : login_refused();
  if (status == 403) return fail(ErrorKind::permission, "its rules do not allow that (HTTP 403)");
  if (status < 200 || status > 299)
    return fail(ErrorKind::network, "it answered HTTP " + std::to_string(status));
  expect(State::done, 0);
  return {};
}

Bytes socks_udp_header(const ProxyTarget& to) {
  Bytes out{0, 0, 0};
  append_target(out, to);
  return out;
}

std::optional<SocksDatagram> decode_socks_udp(ByteView datagram) {
  if (datagram.size() < 4 || datagram[2] != 0) return std::nullopt;
  const bool v4 = datagram[3] == kV4;
  const std::size_t header = 4 + (v4 ? 4U : 16U) + 2;
  if ((!v4 && datagram[3] != kV6) || datagram.size() < header) return std::nullopt;
  return SocksDatagram{endpoint_at(datagram.subspan(4), v4), header};
}

}  // namespace swarmfs::wire
