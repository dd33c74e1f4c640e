// Proxies: their URLs, and the words that open a way through one (RFC 1928, RFC 1929, and CONNECT
// of RFC 9110 9.3.6 with RFC 7617).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

/// Only redacted() may reach a log, an error or a screen.
struct ProxyUrl {
  enum class Kind : std::uint8_t { socks5, http };
  Kind kind = Kind::socks5;
  std::string host;  ///< lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string user;  ///< decoded; at most 255 bytes, as RFC 1929 has it; empty: none
  std::string password;

  /// socks5:, socks5h: (the same: names are always the proxy's to look up) and http:, with
  /// user:password@ in front of the host, percent-encoded. Error: bad_input or unsupported, with no
  /// word of the text.
  static Result<ProxyUrl> parse(std::string_view text);
  std::string redacted() const;
  bool operator==(const ProxyUrl&) const = default;
};

/// Where a proxy is to lead to: an address, or a name that it looks up.
struct ProxyTarget {
  std::string host;  ///< of a name at most 255 bytes
  std::uint16_t port = 0;

  ProxyTarget(std::string to, std::uint16_t at) : host(std::move(to)), port(at) {}
  explicit ProxyTarget(const Endpoint& to) : host(to.address.to_string()), port(to.port) {}
  /// "host:port", with an IPv6 address in brackets.
  std::string to_string() const;
};

/// What is said on a fresh connection to a proxy until it leads on. Each word waits for the answer
/// to the one before: there are servers that lose what comes together. Bytes in, bytes out.
class ProxyDialogue {
 public:
  enum class Command : std::uint8_t {
    connect,
    udp_associate,  ///< SOCKS5 alone; the target is not used
  };
  /// Of an answer to CONNECT; more is an error.
  static constexpr std::size_t kMaxHead = 8 * 1024;

  ProxyDialogue(ProxyUrl proxy, Command command, ProxyTarget target);

  /// What is to be sent now, once.
  Bytes take_output() { return std::exchange(output_, {}); }
  /// How much may be read now: never more than is the proxy's own, so that nothing of what it leads
  /// to is read here. 0 once it leads on.
  std::size_t wanted() const { return wanted_; }
  /// Takes 1 to wanted() bytes. Errors: permission (it refused us), network (it cannot reach the
  /// target), unsupported, protocol. They name neither proxy nor target.
  Result<> feed(ByteView bytes);
  bool done() const { return state_ == State::done; }
  /// What the proxy bound (RFC 1928 BND), if that is an address: of a UDP association, its port.
  const std::optional<Endpoint>& bound() const { return bound_; }

 private:
  enum class State : std::uint8_t { method, login, answer, address, head, done };
  void expect(State state, std::size_t bytes);
  void ask();
  Result<> on_method();
  Result<> on_login();
  Result<> on_answer();
  Result<> on_address();
  Result<> on_head();

  ProxyUrl proxy_;
  Command command_;
  ProxyTarget target_;
  State state_ = State::method;
  Bytes output_;
  Bytes got_;
  std::size_t wanted_ = 0;
  std::optional<Endpoint> bound_;
};

/// RFC 1928 7: what stands before each datagram that goes through a UDP association.
Bytes socks_udp_header(const ProxyTarget& to);

struct SocksDatagram {
  Endpoint from;
  std::size_t header = 0;  ///< the datagram itself begins after so many bytes
};
/// Nothing for what is no such datagram, is a fragment, or names its sender by name.
std::optional<SocksDatagram> decode_socks_udp(ByteView datagram);

}  // namespace swarmfs::wire
