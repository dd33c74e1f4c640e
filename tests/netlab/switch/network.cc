#include "tests/netlab/switch/network.h"

#include <algorithm>

namespace swarmfs::netlab {
namespace {

bool lost(double share, std::mt19937_64& rng) {
  return share > 0 && std::uniform_real_distribution<double>()(rng) < share;
}

Duration draw_jitter(const Profile& profile, std::mt19937_64& rng) {
  if (profile.jitter == Duration(0)) return Duration(0);
  return Duration(std::uniform_int_distribution<Duration::rep>(0, profile.jitter.count())(rng));
}

/// For a heap whose front is the earliest.
constexpr auto kLater = [](const auto& a, const auto& b) {
  return a.arrival != b.arrival ? a.arrival > b.arrival : a.number > b.number;
};

}  // namespace

Network::Network(std::uint64_t seed, Output output) : output_(std::move(output)), seed_(seed) {}

PortIndex Network::add(std::string name, const Profile& profile, TimePoint now) {
  auto port = std::make_unique<Port>();
  port->name = std::move(name);
  std::seed_seq seed{seed_, std::uint64_t{ports_.size()}};
  port->rng.seed(seed);
  ports_.push_back(std::move(port));
  for (const auto& each : ports_) each->last_arrival.resize(ports_.size());
  set(ports_.size() - 1, profile, now);
  return ports_.size() - 1;
}

void Network::set(PortIndex index, const Profile& profile, TimePoint now) {
  advance(now);
  Port& port = *ports_[index];
  port.profile = profile;
  port.counters.up_dropped += port.up.configure(profile.up, profile.queue, now);
  port.counters.down_dropped += port.down.configure(profile.down, profile.queue, now);
}

PortIndex Network::find(const std::string& name) const {
  for (PortIndex i = 0; i < ports_.size(); ++i) {
    if (ports_[i]->name == name) return i;
  }
  throw ControlError("unknown_port", "there is no port '" + name + "'");
}

bool Network::has(const std::string& name) const {
  return std::any_of(ports_.begin(), ports_.end(), [&](const auto& p) { return p->name == name; });
}

void Network::receive(PortIndex index, Frame frame, TimePoint now) {
  // Or a frame could start to be sent, behind one that left a moment ago, before it was here.
  advance(now);
  Port& port = *ports_[index];
  const std::size_t most = piece(port.profile, port.up, frame);
  for_each_piece(std::move(frame), most, [&](Frame&& part) {
    port.counters.up_dropped += port.up.push(std::move(part), now);
  });
}

TimePoint Network::next() const {
  TimePoint earliest = travelling_.empty() ? kNever : travelling_.front().arrival;
  for (const auto& port : ports_) {
    earliest = std::min({earliest, port->up.next(), port->down.next()});
  }
  return earliest;
}

void Network::advance(TimePoint now) {
  for (TimePoint at = next(); at <= now && at != kNever; at = next()) {
    for (PortIndex i = 0; i < ports_.size(); ++i) {
      if (ports_[i]->up.next() == at) leave_uplink(i, at);
    }
    while (!travelling_.empty() && travelling_.front().arrival == at) arrive();
    for (PortIndex i = 0; i < ports_.size(); ++i) {
      while (ports_[i]->down.next() == at) leave_downlink(i);
    }
  }
}

/// How many packets may go through a link, and what follows it, as one. What meets its fate packet
/// by packet is cut up.
std::size_t Network::piece(const Profile& profile, const Link& link, const Frame& frame) const {
  if (profile.loss > 0 || profile.jitter > Duration(0)) return 1;
  const Shape shape = shape_of(frame);
  return shape.packets == 1 ? 1 : link.burst(shape.header_bytes + shape.segment_bytes);
}

void Network::leave_uplink(PortIndex from, TimePoint at) {
  Port& port = *ports_[from];
  Frame frame = port.up.pop();
  const Shape shape = shape_of(frame);
  port.counters.up_packets += shape.packets;
  port.counters.up_bytes += shape.wire_bytes;
  // The profile may have changed since the frame was queued.
  for_each_piece(std::move(frame), piece(port.profile, port.up, frame), [&](Frame&& part) {
    if (lost(port.profile.loss, port.rng)) {
      ++port.counters.up_lost;
    } else {
      forward(from, std::move(part), at);
    }
  });
}

void Network::forward(PortIndex from, Frame frame, TimePoint at) {
  macs_.learn(frame.bytes, from);
  if (const auto to = macs_.find(frame.bytes)) {
    if (*to != from) send(from, *to, std::move(frame), at);
    return;
  }
  for (PortIndex to = 0; to < ports_.size(); ++to) {
    if (to != from) send(from, to, frame, at);
  }
}

void Network::send(PortIndex from, PortIndex to, Frame frame, TimePoint at) {
  Port& port = *ports_[to];
  const std::size_t most = piece(port.profile, port.down, frame);
  for_each_piece(std::move(frame), most, [&](Frame&& part) {
    if (lost(port.profile.loss, port.rng)) {
      ++port.counters.down_lost;
      return;
    }
    travelling_.push_back({arrival(from, to, at), next_number_++, to, std::move(part)});
    std::push_heap(travelling_.begin(), travelling_.end(), kLater);
  });
}

TimePoint Network::arrival(PortIndex from, PortIndex to, TimePoint at) {
  Port &sender = *ports_[from], &receiver = *ports_[to];
  const TimePoint drawn = at + sender.profile.delay + receiver.profile.delay +
                          draw_jitter(sender.profile, sender.rng) +
                          draw_jitter(receiver.profile, receiver.rng);
  TimePoint& last = receiver.last_arrival[from];
  last = std::max(last, drawn);
  return sender.profile.reorder || receiver.profile.reorder ? drawn : last;
}

void Network::arrive() {
  std::pop_heap(travelling_.begin(), travelling_.end(), kLater);
  Travelling arrived = std::move(travelling_.back());
  travelling_.pop_back();
  Port& port = *ports_[arrived.to];
  port.counters.down_dropped += port.down.push(std::move(arrived.frame), arrived.arrival);
}

void Network::leave_downlink(PortIndex to) {
  Port& port = *ports_[to];
  const Frame frame = port.down.pop();
  const Shape shape = shape_of(frame);
  port.counters.down_packets += shape.packets;
  port.counters.down_bytes += shape.wire_bytes;
  output_(to, frame);
}

}  // namespace swarmfs::netlab
