#include "swarm/utp/sender.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace swarmfs::utp {

/// A path that reorders by more than this many packets is taken to lose them.
static constexpr std::uint64_t kMaxReordering = 128;
/// BEP 29: acks of the same packet that say that the next one is lost.
static constexpr unsigned kDuplicateAcks = 3;

std::size_t Sender::write(ByteView bytes) {
  bytes = bytes.first(std::min(bytes.size(), room()));
  const std::size_t taken = bytes.size();
  while (!bytes.empty()) {
    if (packets_.size() == sent_ || packets_.back().payload == max_payload_ ||
        std::exchange(cut_, false)) {
      packets_.emplace_back();
      packets_.back().bytes =
          std::make_unique_for_overwrite<std::uint8_t[]>(kHeaderSize + max_payload_);
    }
    Outgoing& last = packets_.back();
    const std::size_t n = std::min(bytes.size(), max_payload_ - last.payload);
    std::memcpy(last.bytes.get() + kHeaderSize + last.payload, bytes.data(), n);
    last.payload += n;
    bytes = bytes.subspan(n);
  }
  unsent_bytes_ += taken;
  return taken;
}

void Sender::finish() {
  if (!packets_.empty() && packets_.back().fin) return;
  Outgoing& last = packets_.emplace_back();
  last.bytes = std::make_unique_for_overwrite<std::uint8_t[]>(kHeaderSize);
  last.fin = true;
}

std::size_t Sender::next_index() const {
  if (lost_ == 0) return sent_;
  while (!packets_[lost_hint_].lost) ++lost_hint_;
  return lost_hint_;
}

const Sender::Outgoing* Sender::next(std::size_t window) const {
  const std::size_t index = next_index();
  if (index == packets_.size()) return nullptr;
  const Outgoing& packet = packets_[index];
  if (flight_ > 0 && flight_ + packet.payload > window) return nullptr;
  if (index == sent_ && sent_ >= kMaxUnderWay) return nullptr;
  return &packet;
}

std::uint64_t Sender::next_seq() const { return first_ + next_index(); }

MutableByteView Sender::next_bytes() {
  Outgoing& packet = packets_[next_index()];
  return {packet.bytes.get(), kHeaderSize + packet.payload};
}

void Sender::sent(TimePoint now) {
  const std::size_t index = next_index();
  Outgoing& packet = packets_[index];
  packet.order = next_order_++;
  packet.sent = now;
  if (packet.transmissions < 255) ++packet.transmissions;
  flight_ += packet.payload;
  if (packet.lost) {
    packet.lost = false;
    --lost_;
  } else {
    unsent_bytes_ -= packet.payload;
    ++sent_;
  }
}

bool Sender::probe() {
  for (std::size_t i = sent_; i > 0; --i) {
    Outgoing& packet = packets_[i - 1];
    if (packet.arrived || packet.lost) continue;
    packet.lost = true;
    flight_ -= packet.payload;
    lost_hint_ = lost_ == 0 ? i - 1 : std::min(lost_hint_, i - 1);
    ++lost_;
    return true;
  }
  return false;
}

void Sender::on_timeout() {
  Acked ignored;
  for (std::size_t i = 0; i < sent_; ++i)
    if (!packets_[i].arrived && !packets_[i].lost) lose(packets_[i], ignored);
  lost_hint_ = 0;
  cut_order_ = next_order_;
  duplicate_acks_ = 0;
}

void Sender::lose(Outgoing& packet, Acked& result) {
  packet.lost = true;
  flight_ -= packet.payload;
  ++lost_;
  if (packet.order < cut_order_) return;
  result.loss = true;
  cut_order_ = next_order_;
}

void Sender::arrive(Outgoing& packet, Acked& result, Duration min_rtt, TimePoint now) {
  if (packet.arrived) return;
  packet.arrived = true;
  result.progress = true;
  result.bytes += packet.payload;
  if (packet.lost) {
    packet.lost = false;
    --lost_;
    // It was only late, as was said of it before it could be sent again.
    if (packet.transmissions == 1) reordering_ = std::min(reordering_ * 2, kMaxReordering);
  } else {
    flight_ -= packet.payload;
  }
  arrived_order_ = std::max(arrived_order_, packet.order);
  const Duration took = now - packet.sent;
  if (packet.transmissions == 1) {
    if (!result.rtt || took < *result.rtt) result.rtt = took;
  } else if (took < min_rtt / 2) {
    // What has arrived is the transmission before: it was late, not lost.
    reordering_ = std::min(reordering_ * 2, kMaxReordering);
  }
}

Sender::Acked Sender::on_ack(std::uint64_t acked, ByteView selective_ack, bool pure,
                             Duration min_rtt, TimePoint now) {
  Acked result;
  if (acked + 1 > first_) {
    duplicate_acks_ = 0;
  } else if (acked + 1 == first_ && pure && selective_ack.empty() && sent_ > 0) {
    // Other clients that know no selective acks (BEP 29) have only this to say.
    if (++duplicate_acks_ == kDuplicateAcks && !packets_[0].lost && !packets_[0].arrived) {
      lose(packets_[0], result);
      lost_hint_ = 0;
    }
  }
  while (first_ <= acked && sent_ > 0) {
    arrive(packets_.front(), result, min_rtt, now);
    packets_.pop_front();
    --sent_;
    ++first_;
    if (lost_hint_ > 0) --lost_hint_;
  }
  std::size_t index = 1;  // of packet acked + 2, if acked is all that has arrived in order
  if (acked + 1 == first_)
    for (const std::uint8_t byte : selective_ack) {
      for (unsigned bit = 0; bit < 8; ++bit, ++index)
        if ((byte >> bit & 1) != 0 && index < sent_) arrive(packets_[index], result, min_rtt, now);
      if (index >= sent_) break;
    }
  if (result.progress) find_losses(result);
  return result;
}

void Sender::find_losses(Acked& result) {
  // Without a gap the oldest packet was sent after all that have arrived, or the search ends soon.
  bool any_late = false;
  for (std::size_t i = 0; i < sent_; ++i) {
    Outgoing& packet = packets_[i];
    if (packet.arrived || packet.lost) continue;
    if (packet.order + reordering_ <= arrived_order_) {
      lose(packet, result);
      any_late = true;
    } else if (packet.transmissions == 1 && packet.order > arrived_order_) {
      break;  // as are all after it: sent for the first time, in order
    }
  }
  if (any_late) lost_hint_ = 0;
}

}  // namespace swarmfs::utp
