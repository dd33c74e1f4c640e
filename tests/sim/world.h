// The second composition root: real engines, scripted peers and a network, all in virtual time.
//
// The same seed gives the same trace. What must never happen (an unverified byte read or served,
// a broken invariant of an engine, a timer that spins) is collected in `violations`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/content.h"
#include "tests/sim/network.h"

namespace swarmfs::sim {

/// A piece message on its way, as its sender's uplink has let it go.
struct SentBlock {
  TimePoint when;
  unsigned from;
  unsigned to;
  PieceIndex piece;
  std::uint32_t begin;
};

class World {
 public:
  World(std::shared_ptr<const Content> what, std::uint64_t seed)
      : content(std::move(what)), rng(seed), network(timeline, rng) {}

  const std::shared_ptr<const Content> content;
  Timeline timeline;
  Rng rng;
  Network network;
  std::vector<SentBlock> sent;
  std::vector<std::string> violations;

  TimePoint now() const { return timeline.now(); }
  /// Adds a party that outlives every event. `make` is given its address and number.
  template <class P, class... Args>
  P& add(Args&&... args) {
    const unsigned number = count_++;
    auto party = std::make_unique<P>(*this, number, std::forward<Args>(args)...);
    P& made = *party;
    parties_.push_back(std::move(party));
    return made;
  }
  static Endpoint address(unsigned number) {
    return {IpAddress::v4(
                {80, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}),
            6881};
  }
  static unsigned number(const Endpoint& address) {
    return load_be<std::uint16_t>(address.address.bytes().data() + 2);
  }

  void run_for(Duration time) {
    const TimePoint until = now() + time;
    while (violations.empty() && timeline.step(until)) {
    }
  }
  /// False if `done` does not come true within `limit`.
  template <class Done>
  bool run_until(Done done, Duration limit) {
    const TimePoint until = now() + limit;
    while (!done())
      if (!violations.empty() || !timeline.step(until)) return done();
    return true;
  }

  /// Mixes an event into the trace's digest (FNV-1a over 64-bit words).
  void note(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0, std::uint64_t d = 0) {
    for (const std::uint64_t x :
         {static_cast<std::uint64_t>(now().time_since_epoch().count()), a, b, c, d})
      trace_ = (trace_ ^ x) * 0x100000001b3;
  }
  std::uint64_t trace() const { return trace_; }
  void violation(std::string what) { violations.push_back(std::move(what)); }

  /// Blocks that a node sent, in copies of the whole torrent.
  double copies_sent(unsigned from) const;
  /// The first violation, or empty.
  std::string wrong() const { return violations.empty() ? "" : violations.front(); }

 private:
  unsigned count_ = 1;
  std::uint64_t trace_ = 0xcbf29ce484222325;
  std::vector<std::unique_ptr<Party>> parties_;
};

}  // namespace swarmfs::sim
