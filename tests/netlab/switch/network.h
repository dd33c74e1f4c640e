// The whole network without its sockets: ports, what travels between them, and when.
//
// A frame's way: the sender's uplink (rate, queue), the sender's loss, the switch's choice of
// ports, the receiver's loss, the delay of both, the receiver's downlink (rate, queue). Time and
// frames come in as arguments, frames go out through a function, and next() says when time has to
// come in again: the same calls with the same seed give the same network. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/netlab/switch/frame.h"
#include "tests/netlab/switch/link.h"
#include "tests/netlab/switch/mac_table.h"
#include "tests/netlab/switch/profile.h"

namespace swarmfs::netlab {

/// What has happened at a port, in real packets (a super-frame counts as those it stands for) and
/// in bytes with their Ethernet headers.
struct Counters {
  std::uint64_t up_packets = 0, up_bytes = 0;      ///< left the uplink
  std::uint64_t down_packets = 0, down_bytes = 0;  ///< left the downlink
  std::uint64_t up_dropped = 0, down_dropped = 0;  ///< found the queue full, or the link dead
  std::uint64_t up_lost = 0, down_lost = 0;        ///< by this port's `loss`
};

class Network {
 public:
  /// Takes what leaves a downlink. Called within advance().
  using Output = std::function<void(PortIndex, const Frame&)>;

  Network(std::uint64_t seed, Output output);

  /// A new port, with the next index. Pre: !has(name).
  PortIndex add(std::string name, const Profile& profile, TimePoint now);

  /// Changes a port from now on; what is on its way stays on its way.
  void set(PortIndex port, const Profile& profile, TimePoint now);

  /// The port of that name; throws ControlError.
  PortIndex find(const std::string& name) const;
  bool has(const std::string& name) const;
  /// How many ports there are: the index of the next one.
  std::size_t size() const { return ports_.size(); }

  const Profile& profile(PortIndex port) const { return ports_[port]->profile; }
  const Counters& counters(PortIndex port) const { return ports_[port]->counters; }

  /// A host sends a frame. `now` never goes back, here and below.
  void receive(PortIndex port, Frame frame, TimePoint now);

  /// Lets everything happen that is due.
  void advance(TimePoint now);

  /// When advance() has something to do, or kNever.
  TimePoint next() const;

 private:
  struct Port {
    std::string name;
    Profile profile;
    Link up, down;
    Counters counters;
    std::mt19937_64 rng;  ///< its own, so that the draws of one port do not depend on the others'
    std::vector<TimePoint> last_arrival;  ///< of what was sent here, by sender
  };
  struct Travelling {
    TimePoint arrival;
    std::uint64_t number;  ///< keeps those of one instant in order
    PortIndex to;
    Frame frame;
  };

  std::size_t piece(const Profile& profile, const Link& link, const Frame& frame) const;
  void leave_uplink(PortIndex from, TimePoint at);
  void forward(PortIndex from, Frame frame, TimePoint at);
  void send(PortIndex from, PortIndex to, Frame frame, TimePoint at);
  TimePoint arrival(PortIndex from, PortIndex to, TimePoint at);
  void arrive();
  void leave_downlink(PortIndex to);

  Output output_;
  std::uint64_t seed_;
  std::uint64_t next_number_ = 0;
  MacTable macs_;
  std::vector<std::unique_ptr<Port>> ports_;  ///< by pointer: links do not move
  std::vector<Travelling> travelling_;        ///< a heap, the earliest first
};

}  // namespace swarmfs::netlab
