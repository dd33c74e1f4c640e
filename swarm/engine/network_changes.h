// Which changes of this machine's networks matter to a swarm: an address that comes into use (a
// cable plugged in, a wireless network, a laptop awake elsewhere, a VPN), since what failed before
// may work now; and one that has gone, since its connections are dead and do not know it yet.
#pragma once

#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

/// An address of an interface of this machine.
struct HostAddress {
  unsigned interface = 0;  ///< its index
  IpAddress address;
  bool running = false;  ///< the interface is up and has its carrier
  bool operator==(const HostAddress&) const = default;
};

struct NetworkChange {
  bool came = false;  ///< there is an address to be reached by that there was not
  std::vector<IpAddress> gone{};
};

/// Decides; what the system says comes as arguments. Not thread-safe.
class NetworkChanges {
 public:
  /// Changes come in bursts: it is looked when none has come for so long,
  static constexpr Duration kSettled = std::chrono::milliseconds(500);
  /// or so long after the first.
  static constexpr Duration kPatience = std::chrono::seconds(3);
  /// Addresses may come again and again, as on a machine that runs containers: everybody is asked
  /// again no more often than this.
  static constexpr Duration kRest = std::chrono::minutes(1);

  explicit NetworkChanges(std::vector<HostAddress> now) : known_(std::move(now)) {}

  /// The system says that something has changed.
  void on_news(TimePoint now);
  /// When to look() for what it is.
  TimePoint deadline() const { return deadline_; }
  /// What it is, if it matters.
  std::optional<NetworkChange> look(std::vector<HostAddress> addresses, TimePoint now);

 private:
  std::vector<HostAddress> known_;
  bool came_ = false;                       ///< to be told when kRest is over
  std::optional<TimePoint> told_;           ///< of one that came
  TimePoint last_look_ = TimePoint::max();  ///< at the latest, of the burst that is under way
  TimePoint deadline_ = TimePoint::max();
};

}  // namespace swarmfs::engine
