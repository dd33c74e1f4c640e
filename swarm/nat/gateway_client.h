// Asks one gateway to lead ports of ours through: by PCP, or by NAT-PMP where it knows no PCP.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/nat/mapping.h"
#include "swarm/nat/pcp.h"

namespace swarmfs::nat {

/// Notices from the seconds that a server counts whether it has lost its mappings.
class Epoch {
 public:
  /// RFC 6887 8.5: whether the server must have started anew since it was last heard.
  bool restarted(std::uint32_t epoch_s, TimePoint now);

 private:
  std::uint32_t server_s_ = 0;
  std::optional<TimePoint> heard_;
};

/// Datagrams and `now` in, datagrams out by `send`, one deadline; sans-IO, of one thread.
///
/// The first port is asked for first, and the others then at the external number that it got, since
/// peers try TCP and uTP at the same. A gateway that is silent is asked ever more rarely (RFC 6887
/// 8.1.1), from the second time on in both protocols, for some drop what they do not know. What a
/// server refuses in PCP is tried in NAT-PMP: another nonce's mapping that an earlier run left is
/// in the way of the one alone.
class GatewayClient {
 public:
  /// RFC 6886 3.3 recommends two hours; a run that was killed leaves its mapping behind as long.
  static constexpr std::uint32_t kLifetime_s = 3600;
  static constexpr Duration kFirstWait = std::chrono::seconds(3);  ///< RFC 6887 8.1.1: IRT
  static constexpr Duration kFirstNatPmpWait = std::chrono::milliseconds(250);  ///< RFC 6886 3.1
  static constexpr Duration kLongestWait = std::chrono::seconds(1024);  ///< RFC 6887 8.1.1: MRT
  /// The second port waits that long for the answer to the first.
  static constexpr Duration kPatience = std::chrono::milliseconds(500);
  /// What an error says of its duration is held to these.
  static constexpr Duration kShortestError = std::chrono::seconds(30);
  static constexpr Duration kLongestError = std::chrono::minutes(30);

  struct Config {
    IpAddress client;         ///< where our datagrams come from
    std::vector<Port> ports;  ///< each once
    /// Random. Who asks again for a mapping after a crash needs the same one.
    std::array<std::uint8_t, 16> secret{};
  };
  using Send = std::function<void(ByteView)>;
  GatewayClient(Config config, Send send);

  void start(TimePoint now);
  /// From the gateway's own address and port.
  void on_datagram(ByteView datagram, TimePoint now);
  /// From the gateway, to all hosts at kClientPort (RFC 6886 3.2.1, RFC 6887 14.1): it has started
  /// anew, or has another address outside.
  void on_announcement(ByteView datagram, TimePoint now);
  void on_timer(TimePoint now);
  std::optional<TimePoint> deadline() const;

  /// Gives the mappings back. Nothing is asked for any more.
  void release(TimePoint now);
  /// After release(): the gateway has nothing of ours any more, as far as can be known.
  bool released() const;

  /// Where the port at that place of Config::ports is reached; nothing: nowhere.
  std::optional<Endpoint> external(std::size_t port) const;
  /// By which protocol the gateway speaks with us; none before it has.
  Method method() const { return dialect_; }

 private:
  struct Mapping {
    Port port;
    pcp::Nonce nonce{};
    std::uint16_t external = 0;  ///< port, 0: not mapped
    IpAddress address;           ///< outside, by PCP
    TimePoint expires{};
    std::optional<TimePoint> next;  ///< when it is asked for, or for its end
    Duration wait{};
    unsigned tries = 0;
  };
  void ask(Mapping& mapping, TimePoint now);
  void ask_all(TimePoint now);
  void ask_rest(const Mapping& first, TimePoint now);
  void granted(Mapping& mapping, std::uint16_t external, std::uint32_t lifetime_s, TimePoint now);
  void refused(Mapping& mapping, Duration lasts, TimePoint now);
  void speak_nat_pmp(TimePoint now);
  void on_pcp(const pcp::Response& response, TimePoint now);
  Mapping* find(const Port& port);
  IpAddress any() const;

  Config config_;
  Send send_;
  Method dialect_ = Method::none;
  std::vector<Mapping> mappings_;
  std::optional<IpAddress> address_;  ///< outside, by NAT-PMP
  Epoch epoch_;
  std::optional<TimePoint> reminded_;  ///< by an announcement, last
  bool releasing_ = false;
};

}  // namespace swarmfs::nat
