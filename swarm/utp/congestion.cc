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
static constexpr double kAfterEmptyQueue = 0.85;
static constexpr Duration kFirstLook = 5s;
static constexpr Duration kLookInterval = 20s;
static constexpr double kLookPackets = 2;
/// The target is at most this part of a queue that loses packets when full, which is known for as
/// long as this after it was nearly full. Losses after less than the least wait tell nothing of it.
static constexpr int kPartOfQueue = 4;
static constexpr Duration kQueueMemory = 40s;
static constexpr Duration kLeastQueue = 6ms;

Congestion::Congestion(std::size_t packet)
    : packet_(static_cast<double>(packet)),
      window_(kFirstPackets * packet_),
      threshold_(kMostBytes) {}

Duration Congestion::queueing() const {
  return *std::min_element(samples_.begin(), samples_.end());
}

void Congestion::on_ack(std::size_t bytes, Duration queueing_now, Duration rtt, bool limited,
                        TimePoint now) {
  samples_[next_sample_++ % samples_.size()] = queueing_now;
  const Duration waited = queueing();
  remember_queue(waited, now);
  if (look_again(waited, rtt, now)) return;
  const double off = 1 - to_seconds(waited) / to_seconds(target_);
  const auto arrived = static_cast<double>(bytes);
  if (off <= 0) {
    threshold_ = std::min(threshold_, window_);
    window_ = std::max(packet_, window_ - arrived * std::min(0.5, -off / 2));
    epoch_.reset();
    peak_ = window_;
  } else if (in_slow_start() && off < 0.5) {
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

/// LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus): who came when the queue was not empty takes a part
/// of it for the path, and would keep the queue that much longer for ever. So a queue that has been
/// there for long is let run empty now and then. True while that goes on.
bool Congestion::look_again(Duration waited, Duration rtt, TimePoint now) {
  if (looking_until_) {
    if (now < *looking_until_) return true;
    looking_until_.reset();
    next_look_ = now + kLookInterval;
    shortest_wait_ = Duration::max();
    return false;
  }
  if (next_look_ == TimePoint{}) next_look_ = now + kFirstLook;
  shortest_wait_ = std::min(shortest_wait_, waited);
  if (now < next_look_) return false;
  if (in_slow_start() || shortest_wait_ < target_ / 8) {
    next_look_ = now + kFirstLook;
    shortest_wait_ = Duration::max();
    return false;
  }
  looking_until_ = now + 2 * rtt;
  epoch_.reset();
  return true;
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
  const Duration waited = queueing();
  shrink(waited > target_ / 2 ? kAfterFullQueue : kAfterEmptyQueue);
  if (waited < kLeastQueue) return;
  lossy_queue_ = std::max(lossy_queue_, waited);
  lossy_until_ = now + kQueueMemory;
  target_ = std::min(kTarget, lossy_queue_ / kPartOfQueue);
}

/// A flow that goes by losses keeps a queue full, so one that is still full is still another's.
void Congestion::remember_queue(Duration waited, TimePoint now) {
  if (lossy_queue_ == Duration{}) return;
  if (waited > lossy_queue_ * 3 / 4) {
    lossy_until_ = now + kQueueMemory;
  } else if (now >= lossy_until_) {
    lossy_queue_ = {};
    target_ = kTarget;
  }
}

std::size_t Congestion::window() const {
  return static_cast<std::size_t>(looking_until_ ? std::min(window_, kLookPackets * packet_)
                                                 : window_);
}

void Congestion::on_timeout() {
  looking_until_.reset();
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
