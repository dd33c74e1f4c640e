#include "swarm/utp/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "swarm/utp/sequence.h"

namespace swarmfs::utp {

using namespace std::chrono_literals;

/// A datagram that no usual path has to cut: with the headers of UDP and IP it stays below the MTU
/// of Ethernet less what tunnels take. Where a path is narrower still, the network cuts it.
static constexpr std::size_t kDatagramV4 = 1400;
static constexpr std::size_t kDatagramV6 = 1360;
/// How far behind an ack may be and still be taken for one of a packet that was overtaken.
static constexpr std::uint64_t kLateAcks = 256;
static constexpr std::uint64_t kLateResets = 16;
/// libutp: a base that moves by more than this at once is a new path, not a clock that drifts.
static constexpr std::uint32_t kMostSkewUs = 10'000;
/// Shorter round trips are not worth a timer for each few packets.
static constexpr Duration kLeastPaced = 2ms;
static constexpr Duration kPaceStep = 1ms;
/// Datagrams handed over at once: what UDP segmentation offload of Linux takes.
static constexpr std::size_t kBatch = 44;

static std::uint32_t clock_us(TimePoint now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count());
}

static std::size_t max_payload(const Endpoint& remote) {
  return (remote.address.is_v4() ? kDatagramV4 : kDatagramV6) - kHeaderSize;
}

Socket::Socket(const Start& start, ReceiveBudget& budget, TimePoint now)
    : id_(start.id),
      remote_(start.remote),
      receive_id_(start.receive_id),
      send_id_(start.send_id),
      state_(State::syn_sent),
      sender_(kFirstEpoch + start.seq + 1, max_payload(start.remote)),
      receiver_(budget),
      congestion_(max_payload(start.remote)),
      syn_due_(true),
      began_(now),
      last_heard_(now),
      last_sent_(now) {}

Socket::Socket(const Start& start, const Packet& syn, ReceiveBudget& budget, TimePoint now)
    : id_(start.id),
      remote_(start.remote),
      receive_id_(start.receive_id),
      send_id_(start.send_id),
      state_(State::syn_received),
      sender_(kFirstEpoch + start.seq, max_payload(start.remote)),
      receiver_(budget),
      congestion_(max_payload(start.remote)),
      ack_now_(true),
      began_(now),
      last_heard_(now),
      last_sent_(now) {
  receiver_.start(kFirstEpoch + syn.seq + 1);
  measure(syn, now);
}

// What its user does.

bool Socket::readable() const {
  return receiver_.readable() > 0 || receiver_.ended() || state_ == State::ended;
}

bool Socket::writable() const {
  return state_ == State::ended || (state_ == State::connected && sender_.roomy());
}

std::ptrdiff_t Socket::read(MutableByteView into, int& error) {
  if (receiver_.readable() > 0) {
    const std::size_t n = receiver_.read(into);
    // The other side stands still, or will soon, unless it hears that there is room again.
    const std::size_t room = receiver_.window();
    if (state_ == State::connected && room > told_window_ &&
        room - told_window_ >= std::min<std::size_t>(Receiver::kMaxHeld / 4, told_window_ + 1))
      ack_now_ = true;
    return static_cast<std::ptrdiff_t>(n);
  }
  if (receiver_.ended()) return 0;
  error = state_ == State::ended ? error_ : EAGAIN;
  return -1;
}

std::ptrdiff_t Socket::write(ByteView bytes, int& error) {
  if (state_ == State::ended || closed_) {
    error = error_ != 0 ? error_ : EPIPE;
    return -1;
  }
  sender_.set_window(congestion_.window());
  const std::size_t n = state_ == State::connected ? sender_.write(bytes) : 0;
  if (n < bytes.size()) was_full_ = true;
  if (n > 0 || bytes.empty()) return static_cast<std::ptrdiff_t>(n);
  error = EAGAIN;
  return -1;
}

void Socket::close(TimePoint now) {
  if (closed_) return;
  closed_ = true;
  closed_at_ = now;
  watcher_ = nullptr;
  receiver_.discard();
  if (state_ == State::connected) {
    sender_.finish();
  } else {
    end(ECONNABORTED);
  }
}

void Socket::tell() {
  if (!news_ || watcher_ == nullptr) return;
  news_ = false;
  watcher_->changed();
}

void Socket::end(int error) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  error_ = error;
  ack_now_ = syn_due_ = false;
  ack_at_ = again_at_ = probe_at_ = pace_at_ = std::nullopt;
  news_ = true;
}

// What comes.

void Socket::on_packet(const Packet& packet, TimePoint now) {
  if (state_ == State::ended) return;
  if (packet.type == PacketType::reset) return on_reset(packet);
  if (packet.type == PacketType::syn) {
    // Our answer was lost.
    if (state_ == State::syn_received) ack_now_ = true;
    return;
  }
  if (state_ == State::syn_sent && !on_answer(packet, now)) return;
  const std::uint64_t acked = unwrap(packet.ack, sender_.end_of_sent());
  if (!sender_.plausible(acked, state_ == State::syn_received ? 0 : kLateAcks)) return;
  last_heard_ = now;
  if (state_ == State::syn_received) {
    state_ = State::connected;
    news_ = true;
  }
  on_ack(packet, acked, now);
  take(packet, now);
}

/// BEP 29: the first packet that comes back names the number before that of the first data.
bool Socket::on_answer(const Packet& packet, TimePoint now) {
  const std::uint64_t syn = sender_.first() - 1;
  if (packet.type != PacketType::state || packet.ack != static_cast<std::uint16_t>(syn))
    return false;
  receiver_.start(kFirstEpoch + packet.seq);
  if (timeouts_ == 0) rtt_.add(now - began_, now);
  timeouts_ = 0;
  again_at_.reset();
  state_ = State::connected;
  news_ = true;
  return true;
}

/// Returns how long our packets wait in queues.
Duration Socket::measure(const Packet& packet, TimePoint now) {
  if (packet.timestamp_us != 0) {
    their_delay_us_ = clock_us(now) - packet.timestamp_us;
    const auto before = theirs_.base();
    theirs_.add(their_delay_us_, now);
    // Either their way to us has become shorter, or their clock is ahead of what it was, and then
    // our way to them looks longer by the same.
    if (before) {
      const std::uint32_t skew = *before - *theirs_.base();
      if (skew > 0 && skew < kMostSkewUs) ours_.shift(skew);
    }
  }
  if (packet.timestamp_difference_us == 0) return Duration{};
  return ours_.add(packet.timestamp_difference_us, now);
}

void Socket::on_ack(const Packet& packet, std::uint64_t acked, TimePoint now) {
  Duration queueing = measure(packet, now);
  const bool pure = packet.type == PacketType::state && packet.payload.empty();
  const Sender::Acked result =
      sender_.on_ack(acked, packet.selective_ack, pure, rtt_.shortest().value_or(Duration{}), now);
  peer_window_ = packet.window;
  if (result.rtt) {
    rtt_.add(*result.rtt, now);
    queueing = std::min(queueing, *result.rtt);
  }
  if (result.bytes > 0)
    congestion_.on_ack(result.bytes, queueing, rtt_.smoothed().value_or(Rtt::kFirstTimeout),
                       std::exchange(limited_, false), now);
  if (result.loss) congestion_.on_loss(now);
  if (!result.progress) return;
  timeouts_ = 0;
  again_at_.reset();
  probe_at_.reset();
  arm(now);
}

void Socket::take(const Packet& packet, TimePoint now) {
  const std::uint64_t seq = unwrap(packet.seq, receiver_.next());
  if (packet.type == PacketType::fin) {
    receiver_.on_fin(seq);
    ack_now_ = news_ = true;
    return;
  }
  if (packet.type != PacketType::data) return;
  if (closed_) {
    // As TCP answers who sends to a closed socket.
    if (seq >= receiver_.next()) end(ECONNABORTED);
    return;
  }
  const std::size_t before = receiver_.readable();
  const std::uint64_t expected = receiver_.next();
  receiver_.on_data(seq, packet.payload);
  if (receiver_.readable() > before) news_ = true;
  // Gaps, repetitions and every second packet are told at once, which is: after what came together.
  ++unacked_packets_;
  if (seq != expected || receiver_.has_gaps() || receiver_.next() > expected + 1 ||
      unacked_packets_ >= 2) {
    ack_now_ = true;
  } else if (!ack_at_) {
    ack_at_ = now + kDelayedAck;
  }
}

/// BEP 29: the ack of a reset is the number of the packet that it answers, and of one that carries
/// no data that is the next number. A stranger does not know it.
void Socket::on_reset(const Packet& packet) {
  if (state_ == State::syn_sent) {
    if (packet.ack == static_cast<std::uint16_t>(sender_.first() - 1)) end(ECONNREFUSED);
    return;
  }
  const std::uint64_t answered = unwrap(packet.ack, sender_.end_of_sent());
  if (answered == sender_.end_of_sent() || sender_.plausible(answered, kLateResets))
    end(ECONNRESET);
}

// Time.

void Socket::arm(TimePoint now) {
  if (sender_.idle() && sender_.all_sent()) return again_at_.reset();
  if (!again_at_) {
    if (timeouts_ == 0) waiting_since_ = now;
    again_at_ = now + std::min<Duration>(rtt_.timeout() * (1U << std::min(timeouts_, 7U)), 60s);
  }
  // RFC 8985: a packet at the end of a burst has none behind it that would show its loss, and the
  // time limit is long.
  if (!probe_at_ && timeouts_ == 0 && !sender_.idle() && rtt_.smoothed())
    probe_at_ = now + 2 * *rtt_.smoothed() + 2 * kDelayedAck + rtt_.deviation();
}

void Socket::on_silence(TimePoint now) {
  again_at_.reset();
  if (now - std::max(last_heard_, waiting_since_) > kSilenceLimit) return end(ETIMEDOUT);
  ++timeouts_;
  if (state_ == State::syn_sent) {
    syn_due_ = true;
  } else if (sender_.idle()) {
    window_probe_ = true;
  } else {
    sender_.on_timeout();
    congestion_.on_timeout();
    if (peer_window_ < sender_.max_payload()) window_probe_ = true;
  }
  probe_at_.reset();
}

void Socket::on_timer(TimePoint now) {
  if (state_ == State::ended) return;
  if (state_ != State::connected && now - began_ >= kConnectLimit) return end(ETIMEDOUT);
  if (closed_ && now - closed_at_ >= kLinger) return end(ETIMEDOUT);
  if (ack_at_ && *ack_at_ <= now) ack_now_ = true;
  if (pace_at_ && *pace_at_ <= now) pace_at_.reset();
  if (again_at_ && *again_at_ <= now) on_silence(now);
  if (probe_at_ && *probe_at_ <= now) {
    // The next comes with the next sign of progress.
    probe_at_ = TimePoint::max();
    sender_.probe();
  }
  if (state_ == State::connected && now - last_sent_ >= kKeepAlive) ack_now_ = true;
}

std::optional<TimePoint> Socket::deadline() const {
  if (state_ == State::ended) return std::nullopt;
  TimePoint first = state_ == State::connected ? last_sent_ + kKeepAlive : began_ + kConnectLimit;
  if (closed_) first = std::min(first, closed_at_ + kLinger);
  for (const auto& at : {ack_at_, again_at_, probe_at_, pace_at_})
    if (at) first = std::min(first, *at);
  return first;
}

// What goes.

Packet Socket::head(PacketType type, std::uint64_t seq, TimePoint now) const {
  Packet packet;
  packet.type = type;
  packet.connection = type == PacketType::syn ? receive_id_ : send_id_;
  packet.timestamp_us = clock_us(now);
  packet.timestamp_difference_us = their_delay_us_;
  packet.window = static_cast<std::uint32_t>(receiver_.window());
  packet.seq = static_cast<std::uint16_t>(seq);
  packet.ack = type == PacketType::syn ? 0 : static_cast<std::uint16_t>(receiver_.next() - 1);
  return packet;
}

Packet Socket::reset(TimePoint now) const {
  return head(PacketType::reset, sender_.end_of_sent(), now);
}

/// The other side is being told what has come.
void Socket::acked() {
  ack_now_ = false;
  unacked_packets_ = 0;
  ack_at_.reset();
}

bool Socket::send_one(PacketSink& sink, const Packet& packet, TimePoint now) {
  std::array<std::uint8_t, kHeaderSize + 2 + kMaxSelectiveAck> bytes;
  const ByteView datagram(bytes.data(), write_packet_head(bytes, packet));
  last_sent_ = now;
  return sink.send(remote_, std::span(&datagram, 1));
}

bool Socket::flush(PacketSink& sink, TimePoint now) {
  bool room = true;
  if (std::exchange(syn_due_, false)) {
    room = send_one(sink, head(PacketType::syn, sender_.first() - 1, now), now);
    again_at_ = now + Rtt::kFirstTimeout * (1U << std::min(timeouts_, 7U));
  }
  if (ack_now_ && (receiver_.has_gaps() || !may_send(now))) {
    const Bytes gaps = receiver_.selective_ack();
    Packet ack = head(PacketType::state, sender_.end_of_sent(), now);
    ack.selective_ack = gaps;
    told_window_ = ack.window;
    acked();
    room = send_one(sink, ack, now) && room;
  }
  if (room && state_ == State::connected) room = send_data(sink, now);
  return room;
}

/// Whether a packet with data may go now, as far as the windows and the pace are concerned.
bool Socket::may_send(TimePoint now) {
  if (state_ != State::connected) return false;
  // A packet that was lost goes whatever the window is: its room was counted when it went first.
  const std::size_t window =
      std::min<std::size_t>(congestion_.window(), window_probe_ ? ~0U : peer_window_);
  const Sender::Outgoing* packet = sender_.next(window);
  if (packet == nullptr) {
    limited_ = limited_ || (!sender_.all_sent() && congestion_.window() <= peer_window_);
    return false;
  }
  if (packet->payload > peer_window_ && !window_probe_) return false;
  return in_pace(now);
}

bool Socket::in_pace(TimePoint now) {
  const auto rtt = rtt_.smoothed();
  if (!rtt || *rtt < kLeastPaced) return true;
  const double per_second = (congestion_.in_slow_start() ? 2.0 : 1.25) *
                            static_cast<double>(congestion_.window()) / to_seconds(*rtt);
  const double step = std::max(per_second * to_seconds(kPaceStep), 1.0);
  pace_credit_ += per_second * to_seconds(now - paced_at_);
  pace_credit_ = std::min(pace_credit_, std::max(2 * step, 10.0 * 1400));
  paced_at_ = now;
  if (pace_credit_ > 0) return true;
  limited_ = true;
  if (!pace_at_) pace_at_ = now + from_seconds((step - pace_credit_) / per_second);
  return false;
}

bool Socket::send_data(PacketSink& sink, TimePoint now) {
  if (sender_.idle() && now - last_sent_ > rtt_.timeout()) congestion_.on_idle();
  std::array<ByteView, kBatch> batch;
  std::size_t count = 0;
  bool room = true;
  while (room && may_send(now)) {
    const bool fin = sender_.next_is_fin();
    const MutableByteView bytes = sender_.next_bytes();
    const Packet packet = head(fin ? PacketType::fin : PacketType::data, sender_.next_seq(), now);
    write_packet_head(bytes, packet);
    sender_.sent(now);
    pace_credit_ -= static_cast<double>(bytes.size());
    window_probe_ = false;
    told_window_ = packet.window;
    last_sent_ = now;
    if (!receiver_.has_gaps()) acked();
    batch[count++] = bytes;
    if (count == batch.size())
      room = sink.send(remote_, std::span(batch).first(std::exchange(count, 0)));
  }
  if (count > 0) room = sink.send(remote_, std::span(batch).first(count));
  if (sender_.roomy() && std::exchange(was_full_, false)) news_ = true;
  arm(now);
  return room;
}

}  // namespace swarmfs::utp
