// Many nodes of the hash table in one process and in virtual time: delays, losses, other order,
// dead ones. The same seed gives the same run.
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "swarm/dht/node.h"

namespace swarmfs::dht::test {

struct WorldConfig {
  Duration rtt = std::chrono::milliseconds(100);
  double jitter = 0;  ///< of a one-way delay, as a share of it: more than 0 changes the order
  double loss = 0;    ///< of a datagram
};

class World {
 public:
  World(WorldConfig config, std::uint64_t seed) : config_(config), rng_(seed) {}

  /// A node of its own network, with a public address; or at `where`.
  Node& add(NodeConfig config = {}) { return add(address(hosts_.size()), config); }
  Node& add(const Endpoint& where, NodeConfig config = {}) {
    auto host = std::make_unique<Host>(*this, where);
    config.v4 = where.address.is_v4();
    config.token_seed = rng_();
    host->node = std::make_unique<Node>(config, *host, rng_(), now_);
    Node& node = *host->node;
    by_endpoint_[where] = hosts_.size();
    hosts_.push_back(std::move(host));
    return node;
  }
  /// The address of the n-th node: each in a /24 of its own.
  static Endpoint address(std::size_t n) {
    const auto high = static_cast<std::uint8_t>(n >> 8);
    const auto low = static_cast<std::uint8_t>(n);
    return {IpAddress::v4({static_cast<std::uint8_t>(20 + 3 * (n % 60)), high, low, 7}), 6881};
  }

  std::size_t size() const { return hosts_.size(); }
  Node& node(std::size_t i) { return *hosts_[i]->node; }
  const Endpoint& where(std::size_t i) const { return hosts_[i]->where; }
  void kill(std::size_t i) { hosts_[i]->dead = true; }
  bool dead(std::size_t i) const { return hosts_[i]->dead; }
  /// Its line is down: nothing leaves it or gets there.
  void cut(std::size_t i, bool down) { hosts_[i]->cut = down; }
  TimePoint now() const { return now_; }
  Rng& rng() { return rng_; }
  std::uint64_t datagrams() const { return datagrams_; }
  std::size_t longest() const { return longest_; }

  /// Makes `count` nodes that know each other through the first one, and lets them settle.
  void grow(std::size_t count, Duration settle = std::chrono::minutes(2)) {
    while (size() < count) {
      Node& node = add();
      if (size() > 1) node.add_entries({where(0)}, false, now_);
      run_for(std::chrono::milliseconds(100));
    }
    run_for(settle);
  }

  /// A datagram from somebody who is no node.
  void inject(const Endpoint& from, const Endpoint& to, Bytes datagram) {
    transmit(from, to, std::move(datagram));
  }
  /// Gets what is sent to an address where no node is.
  std::map<Endpoint, std::vector<Bytes>> strangers;

  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }
  /// Whether it became true within `limit`.
  template <class Done>
  bool run_until(Done done, Duration limit) {
    const TimePoint end = now_ + limit;
    while (!done()) {
      // Every node's deadline may have changed with any event; heap entries may be stale.
      TimePoint next = end;
      if (!flights_.empty()) next = std::min(next, flights_.top().at);
      for (const auto& host : hosts_)
        if (!host->dead) next = std::min(next, host->node->deadline());
      if (next >= end) {
        now_ = end;
        return done();
      }
      now_ = std::max(now_, next);
      while (!flights_.empty() && flights_.top().at <= now_) {
        const Flight flight = flights_.top();
        flights_.pop();
        deliver(flight);
      }
      for (const auto& host : hosts_)
        if (!host->dead && host->node->deadline() <= now_) host->node->on_timer(now_);
    }
    return true;
  }

 private:
  struct Host final : NodeHost {
    Host(World& w, const Endpoint& e) : world(w), where(e) {}
    void send(const Endpoint& to, ByteView datagram) override {
      if (!dead && !cut) world.transmit(where, to, Bytes(datagram.begin(), datagram.end()));
    }
    std::vector<NodeInfo> other_family_nearest(const NodeId&, std::size_t) override { return {}; }
    void other_family_seen(const std::vector<NodeInfo>&) override {}
    World& world;
    Endpoint where;
    std::unique_ptr<Node> node;
    bool dead = false;
    bool cut = false;
  };
  struct Flight {
    TimePoint at;
    std::uint64_t number;
    Endpoint from, to;
    Bytes datagram;
    bool operator<(const Flight& other) const {
      return std::tie(other.at, other.number) < std::tie(at, number);
    }
  };

  double uniform() { return static_cast<double>(rng_() >> 11) * 0x1p-53; }
  void transmit(const Endpoint& from, const Endpoint& to, Bytes datagram) {
    ++datagrams_;
    longest_ = std::max(longest_, datagram.size());
    if (uniform() < config_.loss) return;
    const double late = 1 + config_.jitter * uniform();
    flights_.push({now_ + from_seconds(to_seconds(config_.rtt) / 2 * late), next_++, from, to,
                   std::move(datagram)});
  }
  void deliver(const Flight& flight) {
    const auto it = by_endpoint_.find(flight.to);
    if (it == by_endpoint_.end()) {
      strangers[flight.to].push_back(flight.datagram);
    } else if (!hosts_[it->second]->dead && !hosts_[it->second]->cut) {
      hosts_[it->second]->node->on_datagram(flight.from, flight.datagram, now_);
    }
  }

  WorldConfig config_;
  Rng rng_;
  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  std::uint64_t next_ = 0;
  std::uint64_t datagrams_ = 0;
  std::size_t longest_ = 0;
  std::priority_queue<Flight> flights_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<Endpoint, std::size_t> by_endpoint_;
};

}  // namespace swarmfs::dht::test
