#include "tests/sim/network.h"

#include <utility>
#include <vector>

namespace swarmfs::sim {

using namespace std::chrono_literals;

/// IP and TCP headers of a full segment.
static constexpr double kOverhead = 1500.0 / 1448.0;

static Duration serialisation(std::size_t bytes, double bps) {
  return from_seconds(static_cast<double>(bytes + 40) * kOverhead / bps);
}

void Network::join(const Endpoint& address, Party& party, const Line& line) {
  nodes_.emplace(address, Node{&party, line, false, {}, {}, {}});
}

Network::Node* Network::find(const Endpoint& address) {
  const auto it = nodes_.find(address);
  return it == nodes_.end() ? nullptr : &it->second;
}

void Network::leave(const Endpoint& address) {
  nodes_.erase(address);
  std::vector<SocketId> mine;
  for (const auto& [id, socket] : sockets_)
    if (socket.node == address) mine.push_back(id);
  for (const SocketId id : mine) finish(id);
}

void Network::freeze(const Endpoint& address, Duration time) {
  Node* node = find(address);
  if (node == nullptr) return;
  node->frozen_until = timeline_.now() + time;
  timeline_.after(time, [this, address] { pump(address); });
}

bool Network::lets_in(const Endpoint& hidden, const Endpoint& from) const {
  const auto it = dialled_.find({hidden, from});
  return !hidden_.contains(hidden) || (it != dialled_.end() && timeline_.now() - it->second <= 2s);
}

void Network::dial(const Endpoint& from, const Endpoint& to) {
  dialled_[{from, to}] = timeline_.now();
  if (!lets_in(to, from)) {
    timeline_.after(1s, [this, from, to] {
      Node* const node = find(from);
      if (node == nullptr) return;
      lets_in(to, from) ? connect(from, to, 1s) : node->party->on_dial_failed(to);
    });
    return;
  }
  const Node* a = find(from);
  const Node* b = find(to);
  if (b == nullptr || a == nullptr) {
    timeline_.after(1s, [this, from, to] {
      if (Node* node = find(from)) node->party->on_dial_failed(to);
    });
    return;
  }
  const Duration rtt = (a->line.delay + b->line.delay) * 2;
  timeline_.after(rtt, [this, from, to, rtt] { connect(from, to, rtt); });
}

void Network::connect(const Endpoint& from, const Endpoint& to, Duration rtt) {
  Node* a = find(from);
  if (a == nullptr) return;
  Node* b = find(to);
  if (b == nullptr) return a->party->on_dial_failed(to);
  const SocketId mine(next_socket_++), theirs(next_socket_++);
  sockets_[mine] = Socket{from, theirs, {}, false, {}};
  sockets_[theirs] = Socket{to, mine, {}, false, {}};
  b->party->on_connected(theirs, from, false, {});
  a->party->on_connected(mine, to, true, rtt);
}

std::optional<Duration> Network::rtt(SocketId id) const {
  const auto mine = sockets_.find(id);
  if (mine == sockets_.end()) return std::nullopt;
  const auto theirs = sockets_.find(mine->second.other);
  if (theirs == sockets_.end()) return std::nullopt;
  const auto a = nodes_.find(mine->second.node), b = nodes_.find(theirs->second.node);
  if (a == nodes_.end() || b == nodes_.end()) return std::nullopt;
  return (a->second.line.delay + b->second.line.delay) * 2;
}

void Network::send(SocketId id, Bytes bytes, std::function<void()> sent) {
  enqueue(id, {std::make_shared<const Bytes>(std::move(bytes)), std::move(sent)}, false);
}

void Network::send_first(SocketId id, Bytes bytes) {
  enqueue(id, {std::make_shared<const Bytes>(std::move(bytes))}, true);
}

void Network::enqueue(SocketId id, Packet packet, bool first) {
  const auto it = sockets_.find(id);
  if (it == sockets_.end() || it->second.closing) return;
  Socket& socket = it->second;
  if (Tap* tap = tap_of(socket)) tap->on_sent(id, *packet.bytes);
  if (socket.out.empty()) find(socket.node)->ready.push_back(id);
  auto at = socket.out.end();
  // The one in front may be leaving.
  while (first && at - socket.out.begin() > 1 && std::prev(at)->sent) --at;
  socket.out.insert(at, std::move(packet));
  // From the timeline: a sender may not be told of progress before its call returns.
  timeline_.after({}, [this, node = socket.node] { pump(node); });
}

void Network::close(SocketId id) {
  const auto it = sockets_.find(id);
  if (it == sockets_.end()) return;
  it->second.closing = true;
  if (Tap* tap = tap_of(it->second)) tap->on_gone(id);
  if (it->second.out.empty()) finish(id);
}

/// One write at a time, connections in turn.
void Network::pump(const Endpoint& address) {
  Node* node = find(address);
  if (node == nullptr || node->busy || timeline_.now() < node->frozen_until) return;
  while (!node->ready.empty() && !sockets_.contains(node->ready.front())) node->ready.pop_front();
  if (node->ready.empty()) return;
  const SocketId id = node->ready.front();
  node->ready.pop_front();
  node->busy = true;
  const std::size_t size = sockets_[id].out.front().bytes->size();
  timeline_.after(serialisation(size, node->line.up_bps), [this, address, id] {
    Node* self = find(address);
    if (self == nullptr) return;
    self->busy = false;
    if (const auto it = sockets_.find(id); it != sockets_.end()) {
      const Packet packet = std::move(it->second.out.front());
      it->second.out.pop_front();
      if (!it->second.out.empty()) self->ready.push_back(id);
      const bool last = it->second.out.empty() && it->second.closing;
      transmitted(id, packet.bytes);
      if (last) {
        finish(id);
      } else if (packet.sent) {
        packet.sent();
      }
    }
    pump(address);
  });
}

Duration Network::path(const Socket& from, const Socket& to) {
  const Node* a = find(from.node);
  const Node* b = find(to.node);
  if (a == nullptr || b == nullptr) return 10ms;
  Duration delay = a->line.delay + b->line.delay;
  const Duration jitter = a->line.jitter + b->line.jitter;
  if (jitter > Duration{})
    delay +=
        Duration(static_cast<Duration::rep>(rng_() % static_cast<std::uint64_t>(jitter.count())));
  const double loss = a->line.loss + b->line.loss;
  if (loss > 0 && static_cast<double>(rng_() >> 11) * 0x1p-53 < loss) delay *= 3;
  return delay;
}

void Network::transmitted(SocketId id, const std::shared_ptr<const Bytes>& bytes) {
  Socket& from = sockets_[id];
  const auto to = sockets_.find(from.other);
  if (to == sockets_.end()) return;
  from.last_arrival = std::max(from.last_arrival, timeline_.now() + path(from, to->second));
  timeline_.at(from.last_arrival, [this, other = from.other, bytes] { arrive(other, bytes); });
}

void Network::arrive(SocketId id, const std::shared_ptr<const Bytes>& bytes) {
  const auto it = sockets_.find(id);
  if (it == sockets_.end()) return;
  Node* node = find(it->second.node);
  if (node == nullptr) return;
  node->down_free = std::max(node->down_free, timeline_.now()) +
                    serialisation(bytes->size(), node->line.down_bps);
  timeline_.at(node->down_free, [this, id, bytes] {
    const auto socket = sockets_.find(id);
    if (socket == sockets_.end() || socket->second.closing) return;
    Node* self = find(socket->second.node);
    if (self == nullptr) return;
    if (Tap* tap = tap_of(socket->second)) tap->on_delivered(id, *bytes);
    self->party->on_bytes(id, *bytes);
  });
}

/// This end is gone at once, the other hears of it after what is on the way.
void Network::finish(SocketId id) {
  const auto it = sockets_.find(id);
  const SocketId other = it->second.other;
  const auto to = sockets_.find(other);
  if (to != sockets_.end()) {
    TimePoint when =
        std::max(it->second.last_arrival, timeline_.now() + path(it->second, to->second));
    if (const Node* node = find(to->second.node)) when = std::max(when, node->down_free);
    timeline_.at(when, [this, other] {
      const auto socket = sockets_.find(other);
      if (socket == sockets_.end()) return;
      const bool told = !socket->second.closing;
      if (Tap* tap = tap_of(socket->second)) tap->on_gone(other);
      Node* node = find(socket->second.node);
      sockets_.erase(socket);
      if (told && node != nullptr) node->party->on_closed(other);
    });
  }
  if (Tap* tap = tap_of(it->second)) tap->on_gone(id);
  sockets_.erase(it);
}

Tap* Network::tap_of(const Socket& socket) const {
  const auto it = taps_.find(socket.node);
  return it == taps_.end() ? nullptr : it->second;
}

}  // namespace swarmfs::sim
