#include "swarm/utp/mux.h"

#include <cerrno>
#include <utility>

namespace swarmfs::utp {

using namespace std::chrono_literals;

/// A user that is told of room writes, and then there is something to send, and room again.
static constexpr int kRounds = 16;

Mux::Mux(PacketSink& sink, std::function<void(Socket&)> accepted, std::uint64_t seed)
    : sink_(sink), accepted_(std::move(accepted)), rng_(seed) {}

Mux::Entry* Mux::find(const Key& key) {
  if (latest_ != nullptr && key_of(latest_->socket) == key) return latest_;
  const auto it = sockets_.find(key);
  return it == sockets_.end() ? nullptr : &it->second;
}

Socket* Mux::connect(const Endpoint& remote, TimePoint now) {
  if (sockets_.size() >= kMaxSockets) return nullptr;
  Socket::Start start;
  start.id = next_id_++;
  start.remote = remote;
  do {
    start.receive_id = static_cast<std::uint16_t>(rng_());
  } while (sockets_.contains({remote, start.receive_id}));
  start.send_id = static_cast<std::uint16_t>(start.receive_id + 1);
  const auto [it, made] = sockets_.try_emplace({remote, start.receive_id}, start, budget_, now);
  touch(it->second);
  return &it->second.socket;
}

void Mux::touch(Socket& socket) {
  if (Entry* entry = find(key_of(socket))) touch(*entry);
}

void Mux::touch(Entry& entry) {
  if (!std::exchange(entry.touched, true)) touched_.push_back(&entry);
}

void Mux::on_datagram(const Endpoint& from, ByteView datagram, TimePoint now) {
  const auto packet = parse_packet(datagram);
  if (!packet) return;
  if (packet->type == PacketType::syn) return on_syn(from, *packet, now);
  Entry* entry = packet->type == PacketType::reset ? find_for_reset(from, packet->connection)
                                                   : find({from, packet->connection});
  if (entry == nullptr) return answer_stranger(from, *packet, now);
  latest_ = entry;
  entry->socket.on_packet(*packet, now);
  touch(*entry);
}

/// BEP 29 does not say which of the two ids a reset carries; both are seen.
Mux::Entry* Mux::find_for_reset(const Endpoint& from, std::uint16_t id) {
  if (Entry* entry = find({from, id})) return entry;
  for (const int step : {-1, 1}) {
    Entry* entry = find({from, static_cast<std::uint16_t>(id + step)});
    if (entry != nullptr && entry->socket.send_id() == id) return entry;
  }
  return nullptr;
}

/// BEP 29: a SYN names the id that its sender listens on; the next one is ours.
void Mux::on_syn(const Endpoint& from, const Packet& syn, TimePoint now) {
  const Key key{from, static_cast<std::uint16_t>(syn.connection + 1)};
  if (Entry* entry = find(key)) {
    entry->socket.on_packet(syn, now);
    return touch(*entry);
  }
  if (!accepted_ || sockets_.size() >= kMaxSockets) return;
  if (half_open_.size() >= kMaxHalfOpen) {
    Entry& oldest = *half_open_.begin()->second;
    oldest.socket.close(now);
    touch(oldest);
    half_open_.erase(half_open_.begin());
  }
  Socket::Start start;
  start.id = next_id_++;
  start.remote = from;
  start.receive_id = key.receive_id;
  start.send_id = syn.connection;
  start.seq = static_cast<std::uint16_t>(rng_());
  const auto [it, made] = sockets_.try_emplace(key, start, syn, budget_, now);
  half_open_.emplace(start.id, &it->second);
  touch(it->second);
}

/// One packet of the smallest size for each, and not for resets: nobody can be flooded by it.
void Mux::answer_stranger(const Endpoint& to, const Packet& packet, TimePoint now) {
  if (packet.type == PacketType::reset) return;
  if (now - resets_from_ >= 1s) {
    resets_from_ = now;
    resets_ = 0;
  }
  if (++resets_ > kMaxResets || blocked_) return;
  Packet reset;
  reset.type = PacketType::reset;
  reset.connection = packet.connection;
  reset.seq = static_cast<std::uint16_t>(rng_());
  reset.ack = packet.seq;
  std::array<std::uint8_t, kHeaderSize> bytes;
  const ByteView datagram(bytes.data(), write_packet_head(bytes, reset));
  blocked_ = !sink_.send(to, std::span(&datagram, 1));
}

void Mux::on_timer(TimePoint now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Entry& entry = *find(timers_.begin()->second);
    timers_.erase(timers_.begin());
    entry.timer.reset();
    entry.socket.on_timer(now);
    touch(entry);
  }
}

std::optional<TimePoint> Mux::deadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

void Mux::set_timer(Entry& entry) {
  const auto due = entry.socket.deadline();
  if (due == entry.timer) return;
  if (entry.timer) timers_.erase({*entry.timer, key_of(entry.socket)});
  if (due) timers_.emplace(*due, key_of(entry.socket));
  entry.timer = due;
}

void Mux::erase(Entry& entry) {
  if (entry.timer) timers_.erase({*entry.timer, key_of(entry.socket)});
  half_open_.erase(entry.socket.id());
  if (latest_ == &entry) latest_ = nullptr;
  sockets_.erase(key_of(entry.socket));
}

void Mux::flush(TimePoint now) {
  for (int round = 0; round < kRounds && !touched_.empty(); ++round) {
    std::vector<Entry*> due;
    std::vector<Entry*> left;
    due.swap(touched_);
    for (Entry* entry : due) {
      entry->touched = false;
      Socket& socket = entry->socket;
      if (half_open_.contains(socket.id()) && socket.state() != Socket::State::syn_received) {
        half_open_.erase(socket.id());
        // Given up before anybody knew of it: nobody else closes it.
        if (socket.state() == Socket::State::connected && !socket.closed()) {
          accepted_(socket);
        } else {
          socket.close(now);
        }
      }
      socket.tell();
      if (!blocked_) blocked_ = !socket.flush(sink_, now);
      if (blocked_) left.push_back(entry);
      if (socket.has_news() && !entry->touched) touch(*entry);
      set_timer(*entry);
    }
    // Users may have touched any of them meanwhile, so the ends are looked at last.
    for (Entry* entry : due)
      if (entry->socket.finished() && !entry->touched && std::erase(left, entry) <= 1)
        erase(*entry);
    for (Entry* entry : left) touch(*entry);
    if (blocked_) return;
  }
}

void Mux::shutdown(TimePoint now) {
  for (auto& [key, entry] : sockets_) {
    if (entry.socket.state() == Socket::State::connected) {
      std::array<std::uint8_t, kHeaderSize> bytes;
      const ByteView datagram(bytes.data(), write_packet_head(bytes, entry.socket.reset(now)));
      sink_.send(key.remote, std::span(&datagram, 1));
    }
    entry.socket.abort();
    touch(entry);
  }
}

}  // namespace swarmfs::utp
