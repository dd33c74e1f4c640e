// A network in virtual time for uTP: hosts with a Mux each, and links with rate, queue, delay and
// faults. The same seed gives the same run.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/utp/mux.h"

namespace swarmfs::test {

/// What happens, in order of time and then of when it was said.
class Timeline {
 public:
  TimePoint now() const { return now_; }
  void at(TimePoint when, std::function<void()> what);
  /// Runs everything until then.
  void run_until(TimePoint end);
  /// Runs until the condition holds (true), or for so long (false).
  bool run_until(const std::function<bool()>& done, Duration limit);

 private:
  struct Event {
    TimePoint when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return std::tie(when, order) > std::tie(other.when, other.order);
    }
  };
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  std::uint64_t next_ = 0;
  std::priority_queue<Event> events_;
};

struct LinkShape {
  double bits_per_second = 0;  ///< 0: no limit
  Duration queue = std::chrono::milliseconds(100);
  Duration delay{};
  Duration jitter{};     ///< up to so much more, for each packet by itself
  bool reorder = false;  ///< whether jitter lets packets overtake
  double loss = 0;
  double duplicate = 0;
};

/// One direction of a way: packets wait for the rate, may be lost, and arrive after the delay.
class Link {
 public:
  Link(Timeline& time, const LinkShape& shape, std::uint64_t seed)
      : time_(time), shape_(shape), rng_(seed) {}
  /// `size` counts with all headers.
  void send(std::size_t size, std::function<void()> arrive);
  void set(const LinkShape& shape) { shape_ = shape; }
  const LinkShape& shape() const { return shape_; }
  std::uint64_t lost = 0, dropped = 0, carried_bytes = 0;

 private:
  bool chance(double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(rng_) < p; }
  Timeline& time_;
  LinkShape shape_;
  Rng rng_;
  TimePoint free_at_{};
  TimePoint last_arrival_{};
};

/// A machine with one UDP port that speaks uTP. Packets to an endpoint go over the link that was
/// set for it.
class UtpHost final : public utp::PacketSink {
 public:
  UtpHost(Timeline& time, const Endpoint& self, std::uint64_t seed);
  /// What this host sends to the other goes over the link, which may be shared.
  void connect_to(UtpHost& other, Link& link) { ways_[other.self_] = {&other, &link}; }
  utp::Mux& mux() { return mux_; }
  const Endpoint& self() const { return self_; }
  /// Sends what has become due by a call from outside.
  void flush();
  /// As if it came from the network.
  void receive(const Endpoint& from, Bytes datagram);

  std::function<void(utp::Socket&)> on_accepted;
  std::function<void(Bytes&)> on_send;  ///< may look at what goes, and change it
  std::uint64_t sent_datagrams = 0;
  Duration clock_offset{};  ///< this host's clock is ahead by so much
  double clock_rate = 1;    ///< and by so much faster

  bool send(const Endpoint& to, std::span<const ByteView> datagrams) override;
  TimePoint clock() const;

 private:
  struct Way {
    UtpHost* host = nullptr;
    Link* link = nullptr;
  };
  void set_timer();
  Timeline& time_;
  Endpoint self_;
  std::map<Endpoint, Way> ways_;
  utp::Mux mux_;
  std::uint64_t timer_ = 0;
};

/// The byte at a place of the stream with that number.
std::uint8_t stream_byte(std::uint64_t stream, std::uint64_t at);

/// A user of a socket that sends `to_send` bytes of a stream, and compares what it gets with that
/// of another.
class Party final : public utp::Watcher {
 public:
  Party(UtpHost& host, utp::Socket& socket, std::uint64_t sends, std::uint64_t to_send,
        std::uint64_t expects);
  ~Party() override { close(); }
  void changed() override;
  void close();

  std::uint64_t sent = 0, received = 0, wrong = 0;
  bool ended = false;  ///< the other side has closed in order
  int error = 0;
  bool reads = true;  ///< else what comes waits in the socket
  utp::Socket* socket() { return socket_; }

 private:
  UtpHost& host_;
  utp::Socket* socket_;
  std::uint64_t sends_, to_send_, expects_;
};

/// One TCP flow with CUBIC (RFC 9438) and selective acks, as a model: packets of 1500 bytes from
/// one end of a link to the other, acks that come back after a delay.
class CubicFlow {
 public:
  CubicFlow(Timeline& time, Link& forward, Duration back)
      : time_(time), forward_(forward), back_(back) {}
  void start();
  std::uint64_t delivered_packets = 0;

 private:
  void send_more();
  void on_ack(std::uint64_t seq);
  Timeline& time_;
  Link& forward_;
  Duration back_;
  double window_ = 10, threshold_ = 1e9, peak_ = 0;
  TimePoint epoch_{};
  bool rising_ = false;
  Duration rtt_{};
  std::uint64_t next_ = 0, recovery_ = 0, highest_ = 0;
  std::map<std::uint64_t, TimePoint> under_way_;
  TimePoint last_ack_{};
  void watch();
};

}  // namespace swarmfs::test
