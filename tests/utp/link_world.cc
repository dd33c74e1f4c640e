#include "tests/utp/link_world.h"

#include <algorithm>
#include <cerrno>
#include <cmath>

namespace swarmfs::test {

using namespace std::chrono_literals;

/// IP and UDP, and the frame around them.
static constexpr std::size_t kHeaders = 20 + 8 + 14;

void Timeline::at(TimePoint when, std::function<void()> what) {
  events_.push({std::max(when, now_), next_++, std::move(what)});
}

void Timeline::run_until(TimePoint end) {
  while (!events_.empty() && events_.top().when <= end) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.when;
    event.what();
  }
  now_ = end;
}

bool Timeline::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  while (!done()) {
    if (events_.empty() || events_.top().when > end) return false;
    const Event event = events_.top();
    events_.pop();
    now_ = event.when;
    event.what();
  }
  return true;
}

void Link::send(std::size_t size, std::function<void()> arrive) {
  const TimePoint now = time_.now();
  TimePoint leaves = now;
  if (shape_.bits_per_second > 0) {
    const TimePoint begins = std::max(now, free_at_);
    const Duration takes = from_seconds(static_cast<double>(size) * 8 / shape_.bits_per_second);
    if (begins - now > std::max<Duration>(shape_.queue, 2 * takes)) {
      ++dropped;
      return;
    }
    leaves = free_at_ = begins + takes;
  }
  carried_bytes += size;
  if (chance(shape_.loss)) {
    ++lost;
    return;
  }
  for (int copies = chance(shape_.duplicate) ? 2 : 1; copies > 0; --copies) {
    const auto more = static_cast<Duration::rep>(std::uniform_real_distribution<>(0, 1)(rng_) *
                                                 static_cast<double>(shape_.jitter.count()));
    TimePoint arrives = leaves + shape_.delay + Duration(more);
    if (!shape_.reorder) arrives = last_arrival_ = std::max(arrives, last_arrival_);
    time_.at(arrives, arrive);
  }
}

UtpHost::UtpHost(Timeline& time, const Endpoint& self, std::uint64_t seed)
    : time_(time),
      self_(self),
      mux_(
          *this, [this](utp::Socket& socket) { on_accepted(socket); }, seed) {}

TimePoint UtpHost::clock() const {
  const auto run = time_.now().time_since_epoch();
  return TimePoint(std::chrono::duration_cast<Duration>(run * clock_rate)) + clock_offset;
}

bool UtpHost::send(const Endpoint& to, std::span<const ByteView> datagrams) {
  const auto way = ways_.find(to);
  for (const ByteView view : datagrams) {
    ++sent_datagrams;
    if (way == ways_.end()) continue;
    Bytes bytes(view.begin(), view.end());
    if (on_send) on_send(bytes);
    UtpHost* const host = way->second.host;
    const std::size_t size = bytes.size() + kHeaders;
    way->second.link->send(size, [host, from = self_, bytes] { host->receive(from, bytes); });
  }
  return true;
}

void UtpHost::receive(const Endpoint& from, Bytes datagram) {
  mux_.on_datagram(from, datagram, clock());
  flush();
}

void UtpHost::flush() {
  mux_.flush(clock());
  set_timer();
}

void UtpHost::set_timer() {
  const auto due = mux_.deadline();
  const std::uint64_t mine = ++timer_;
  if (!due) return;
  const Duration left = std::max<Duration>(*due - clock(), 0ns);
  const auto real = std::chrono::duration_cast<Duration>(left / clock_rate) + 1us;
  time_.at(time_.now() + real, [this, mine] {
    if (mine != timer_) return;
    mux_.on_timer(clock());
    flush();
  });
}

std::uint8_t stream_byte(std::uint64_t stream, std::uint64_t at) {
  std::uint64_t x = (stream + 1) * 0x9e3779b97f4a7c15ULL + at / 8;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  return static_cast<std::uint8_t>(x >> (8 * (at % 8)));
}

Party::Party(UtpHost& host, utp::Socket& socket, std::uint64_t sends, std::uint64_t to_send,
             std::uint64_t expects)
    : host_(host), socket_(&socket), sends_(sends), to_send_(to_send), expects_(expects) {
  socket.watch(this);
}

void Party::changed() {
  if (socket_ == nullptr) return;
  std::array<std::uint8_t, 16384> buffer;
  int reason = 0;
  while (reads && !ended && error == 0) {
    const auto n = socket_->read(buffer, reason);
    if (n == 0) ended = true;
    if (n < 0 && reason != EAGAIN) error = reason;
    if (n <= 0) break;
    for (std::ptrdiff_t i = 0; i < n; ++i)
      wrong += buffer[static_cast<std::size_t>(i)] != stream_byte(expects_, received++) ? 1 : 0;
  }
  while (sent < to_send_) {
    const std::size_t size = std::min<std::uint64_t>(buffer.size(), to_send_ - sent);
    for (std::size_t i = 0; i < size; ++i) buffer[i] = stream_byte(sends_, sent + i);
    const auto n = socket_->write(ByteView(buffer).first(size), reason);
    if (n <= 0) break;
    sent += static_cast<std::uint64_t>(n);
  }
  host_.mux().touch(*socket_);
}

void Party::close() {
  if (socket_ == nullptr) return;
  socket_->close(host_.clock());
  host_.mux().touch(*socket_);
  socket_ = nullptr;
}

void CubicFlow::start() {
  last_ack_ = time_.now();
  send_more();
  watch();
}

void CubicFlow::watch() {
  time_.at(time_.now() + 200ms, [this] {
    if (time_.now() - last_ack_ > 1s) {  // a time limit, roughly
      under_way_.clear();
      threshold_ = std::max(window_ / 2, 2.0);
      window_ = 1;
      rising_ = false;
      last_ack_ = time_.now();
      send_more();
    }
    watch();
  });
}

void CubicFlow::send_more() {
  while (static_cast<double>(under_way_.size()) < window_) {
    const std::uint64_t seq = next_++;
    under_way_[seq] = time_.now();
    forward_.send(1514,
                  [this, seq] { time_.at(time_.now() + back_, [this, seq] { on_ack(seq); }); });
  }
}

void CubicFlow::on_ack(std::uint64_t seq) {
  const auto found = under_way_.find(seq);
  if (found == under_way_.end()) return;
  ++delivered_packets;
  last_ack_ = time_.now();
  rtt_ = time_.now() - found->second;
  under_way_.erase(found);
  highest_ = std::max(highest_, seq);
  bool loss = false;
  while (!under_way_.empty() && under_way_.begin()->first + 3 <= highest_) {
    loss = loss || under_way_.begin()->first >= recovery_;
    under_way_.erase(under_way_.begin());
  }
  if (loss) {
    recovery_ = next_;
    peak_ = window_;
    window_ = threshold_ = std::max(2.0, window_ * 0.7);
    rising_ = false;
  } else if (window_ < threshold_) {
    window_ += 1;
  } else {
    if (!rising_) {
      rising_ = true;
      epoch_ = time_.now();
    }
    const double t = to_seconds(time_.now() - epoch_ + rtt_);
    const double k = std::cbrt(peak_ * 0.3 / 0.4);
    const double goal = peak_ + 0.4 * std::pow(t - k, 3);
    const double friendly = peak_ * 0.7 + 0.53 * t / to_seconds(rtt_);
    const double aim = std::max(goal, friendly);
    window_ += std::clamp((aim - window_) / window_, 0.0, 0.5);
  }
  send_more();
}

}  // namespace swarmfs::test
