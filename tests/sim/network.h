// A network in virtual time: streams between nodes whose uplinks are shared fairly by their
// connections, with delay, jitter and loss.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/strong_index.h"
#include "tests/sim/timeline.h"

namespace swarmfs::sim {

/// One end of a connection.
using SocketId = StrongIndex<struct SocketTag, std::uint64_t>;

/// A node's line. A path's one-way delay is the sum of both ends' delays.
struct Line {
  double up_bps = 1e6;  ///< bytes a second
  double down_bps = 1e6;
  Duration delay = std::chrono::milliseconds(10);
  Duration jitter{};  ///< each write is late by up to so much; order is kept
  double loss = 0;    ///< share of writes that need another round trip
};

/// What stands behind an address.
class Party {
 public:
  virtual ~Party() = default;
  /// `rtt`: what the connection's set-up took; only a dialler knows it.
  virtual void on_connected(SocketId socket, const Endpoint& other, bool dialled, Duration rtt) = 0;
  virtual void on_dial_failed(const Endpoint& other) = 0;
  virtual void on_bytes(SocketId socket, ByteView bytes) = 0;
  /// The other end closed, or its node left.
  virtual void on_closed(SocketId socket) = 0;
};

/// Hears what crosses the sockets of one node, as that node itself sees it: what it sends when it
/// sends it, what comes before the node is told.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual void on_sent(SocketId socket, ByteView bytes) = 0;
  virtual void on_delivered(SocketId socket, ByteView bytes) = 0;
  /// Nothing more is delivered to the node on it. Perhaps told twice.
  virtual void on_gone(SocketId socket) = 0;
};

class Network {
 public:
  Network(Timeline& timeline, Rng& rng) : timeline_(timeline), rng_(rng) {}

  /// `party` outlives the network.
  void join(const Endpoint& address, Party& party, const Line& line);
  /// Drops all connections; dials fail until it joins again.
  void leave(const Endpoint& address);
  bool present(const Endpoint& address) const { return nodes_.contains(address); }
  /// For so long nothing leaves the node; its connections stay.
  void freeze(const Endpoint& address, Duration time);
  /// Puts a node behind a router that lets in only those whom the node has dialled in the last
  /// second, or dials within the next.
  void hide(const Endpoint& address) { hidden_.insert(address); }
  /// Takes one round trip; fails after a second if nobody is there.
  void dial(const Endpoint& from, const Endpoint& to);
  /// `sent` is called once the bytes have left the node.
  void send(SocketId socket, Bytes bytes, std::function<void()> sent = {});
  /// Overtakes what has not begun to leave and whose sender wants to know when it does.
  void send_first(SocketId socket, Bytes bytes);
  /// Of the path alone, without queues, jitter and loss; nothing once either node has left.
  std::optional<Duration> rtt(SocketId socket) const;
  /// Once what was sent is out; this end hears no more.
  void close(SocketId socket);
  /// `tap` outlives the network's last event. One for a node.
  void tap(const Endpoint& node, Tap& tap) { taps_[node] = &tap; }

 private:
  struct Node {
    Party* party;
    Line line;
    bool busy = false;
    TimePoint frozen_until{};
    std::deque<SocketId> ready;  ///< sockets with something to send, whose turn it is first
    TimePoint down_free{};
  };
  struct Packet {
    std::shared_ptr<const Bytes> bytes;
    std::function<void()> sent{};
  };
  struct Socket {
    Endpoint node;
    SocketId other;
    std::deque<Packet> out;
    bool closing = false;
    TimePoint last_arrival{};
  };

  void enqueue(SocketId socket, Packet packet, bool first);
  Node* find(const Endpoint& address);
  bool lets_in(const Endpoint& hidden, const Endpoint& from) const;
  void connect(const Endpoint& from, const Endpoint& to, Duration rtt);
  void pump(const Endpoint& address);
  void transmitted(SocketId from, const std::shared_ptr<const Bytes>& bytes);
  void arrive(SocketId to, const std::shared_ptr<const Bytes>& bytes);
  void finish(SocketId socket);
  Duration path(const Socket& from, const Socket& to);
  Tap* tap_of(const Socket& socket) const;

  Timeline& timeline_;
  Rng& rng_;
  std::uint64_t next_socket_ = 1;
  std::map<Endpoint, Node> nodes_;
  std::map<SocketId, Socket> sockets_;
  std::map<Endpoint, Tap*> taps_;
  std::set<Endpoint> hidden_;
  std::map<std::pair<Endpoint, Endpoint>, TimePoint> dialled_;  ///< from, to: when last
};

}  // namespace swarmfs::sim
