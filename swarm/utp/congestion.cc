#include "swarm/utp/congestion.h"

#include <algorithm>
#include <cmath>

namespace swarmfs::utp {

using namespace std::chrono_literals;

/// RFC 6928.
static constexpr double kFirstPackets = 10;
static constexpr double kMostBytes = 16 << 20;
/// RFC 9438: C.
static constexpr double kCubic = 0.4;
/// What is left of the window after a loss, where the queue was long and where it was not.
static constexpr double kAfterFullQueue = 0.5;
static constexpr double kAfterEmptyQueue = 0.8;
/// Delays below this are the machine's, not the path's.
static constexpr Duration kNoise = 10ms;
/// What is known of a queue's length is forgotten after so long a time without need of it.
static constexpr Duration kForget = 60s;

Congestion::Congestion(std::size_t packet)
    : packet_(static_cast<double>(packet)),
      window_(kFirstPackets * packet_),
      threshold_(kMostBytes) {}

Duration Congestion::queueing() const {
  return *std::min_element(samples_.begin(), samples_.end());
}

Duration Congestion::target() const {
  if (full_queue_ == Duration{}) return kTarget;
  return std::clamp<Duration>(full_queue_ / 4, kNoise, kTarget);
}

void Congestion::on_ack(std::size_t bytes, Duration queueing_now, Duration rtt, bool limited,
                        TimePoint now) {
  samples_[next_sample_++ % samples_.size()] = queueing_now;
  const Duration waited = queueing();
  const double off = 1 - to_seconds(waited) / to_seconds(target());
  const auto arrived = static_cast<double>(bytes);
  if (off > 0) quiet_ += std::min(now - last_ack_, rtt);
  if (quiet_ > kForget) full_queue_ = Duration{};
  last_ack_ = now;
  if (off <= 0) {
    threshold_ = std::min(threshold_, window_);
    window_ = std::max(packet_, window_ - arrived * std::min(0.5, -off / 2));
    epoch_.reset();
    peak_ = window_;
  } else if (in_slow_start() && off < 0.75) {
    // What is seen was sent a round trip ago, with half of this window.
    window_ *= 0.75;
    threshold_ = peak_ = window_;
  } else if (limited) {
    if (in_slow_start()) {
      window_ += arrived;
    } else {
      grow(arrived, std::min(1.0, 2 * off), rtt, now);
    }
  } else {
    epoch_.reset();
  }
  window_ = std::min(window_, kMostBytes);
}

void Congestion::grow(double bytes, double share, Duration rtt, TimePoint now) {
  double more = packet_ * bytes / window_;  // RFC 6817 with GAIN 1: a packet a round trip
  if (share < 1) {
    epoch_.reset();
    peak_ = window_;
  } else {
    if (!epoch_) {
      epoch_ = now;
      peak_ = std::max(peak_, window_);
      rise_seconds_ = std::cbrt((peak_ - window_) / packet_ / kCubic);
    }
    const double t = to_seconds(now - *epoch_ + rtt) - rise_seconds_;
    const double goal = peak_ + kCubic * t * t * t * packet_;
    more = std::max(more, bytes * std::clamp((goal - window_) / window_, 0.0, 0.5));
  }
  window_ += more * share;
}

void Congestion::shrink(double factor) {
  peak_ = window_;
  epoch_.reset();
  window_ = std::max(packet_, window_ * factor);
  threshold_ = window_;
}

void Congestion::on_loss(TimePoint now) {
  last_ack_ = now;
  const Duration waited = queueing();
  const bool full = waited > target() / 2;
  if (waited > kNoise) {
    full_queue_ = std::max(full_queue_, waited);
    quiet_ = Duration{};
  }
  shrink(full ? kAfterFullQueue : kAfterEmptyQueue);
}

void Congestion::on_timeout() {
  threshold_ = std::max(window_ / 2, 2 * packet_);
  peak_ = threshold_;
  epoch_.reset();
  window_ = packet_;
}

void Congestion::on_idle() {
  const double first = kFirstPackets * packet_;
  if (window_ <= first) return;
  threshold_ = std::max(threshold_, window_ * 0.75);
  window_ = first;
  epoch_.reset();
}

}  // namespace swarmfs::utp
