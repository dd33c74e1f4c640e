#include "tests/netlab/switch/link.h"

#include <algorithm>
#include <cmath>

namespace swarmfs::netlab {
namespace {

constexpr std::uint64_t kLeastQueueBytes = 3028;  // two full packets
constexpr Duration kBurst = std::chrono::microseconds(125);

double bytes_in(BitsPerSecond rate, Duration time) {
  return static_cast<double>(rate) / 8 * std::chrono::duration<double>(time).count();
}

}  // namespace

std::uint64_t Link::configure(BitsPerSecond rate, QueueLimit limit, TimePoint now) {
  // What is left of the frame being sent, in bytes.
  const double left = queue_.empty() || rate_ == kUnlimited || head_leaves_ <= now
                          ? 0
                          : bytes_in(rate_, head_leaves_ - now);
  rate_ = rate;
  limit_ = limit;
  if (queue_.empty()) return 0;
  if (rate == 0) {
    std::uint64_t lost = 0;
    for (const Queued& queued : queue_) lost += shape_of(queued.frame).packets;
    queue_.clear();
    waiting_ = 0;
    return lost;
  }
  if (head_leaves_ > now)
    head_leaves_ = now + time_for(static_cast<std::uint64_t>(std::ceil(left)));
  return 0;
}

std::uint64_t Link::push(Frame frame, TimePoint now) {
  Shape shape = shape_of(frame);
  if (rate_ == 0) return shape.packets;
  std::uint64_t dropped = 0;
  if (queue_.empty()) {
    head_leaves_ = now + time_for(shape.wire_bytes);
  } else {
    if (shape.wire_bytes > room()) {
      if (shape.packets == 1) return 1;
      const std::size_t fit = room() / (shape.header_bytes + shape.segment_bytes);
      dropped = shape.packets - fit;
      if (fit == 0) return dropped;
      frame = slice(frame, shape, 0, fit);
      shape = shape_of(frame);
    }
    waiting_ += shape.wire_bytes;
  }
  queue_.push_back({std::move(frame), shape.wire_bytes});
  return dropped;
}

Frame Link::pop() {
  Frame frame = std::move(queue_.front().frame);
  queue_.pop_front();
  if (!queue_.empty()) {
    waiting_ -= queue_.front().wire_bytes;
    head_leaves_ += time_for(queue_.front().wire_bytes);
  }
  return frame;
}

std::size_t Link::burst(std::size_t packet_bytes) const {
  if (rate_ == kUnlimited) return std::numeric_limits<std::size_t>::max();
  const double packets = bytes_in(rate_, kBurst) / static_cast<double>(packet_bytes);
  return std::max<std::size_t>(1, static_cast<std::size_t>(packets));
}

Duration Link::time_for(std::uint64_t bytes) const {
  if (rate_ == kUnlimited) return Duration(0);
  // At most 64 KiB, so the product stays below 2^63.
  return Duration(bytes * 8 * 1'000'000'000 / rate_);
}

std::uint64_t Link::room() const {
  if (rate_ == kUnlimited) return std::numeric_limits<std::uint64_t>::max();
  const auto* time = std::get_if<Duration>(&limit_);
  const auto limit = time != nullptr ? static_cast<std::uint64_t>(bytes_in(rate_, *time))
                                     : std::get<std::uint64_t>(limit_);
  const std::uint64_t most = std::max(limit, kLeastQueueBytes);
  return most > waiting_ ? most - waiting_ : 0;
}

}  // namespace swarmfs::netlab
