#include "swarm/utp/receiver.h"

#include <algorithm>
#include <cstring>

#include "swarm/utp/packet.h"

namespace swarmfs::utp {

Receiver::~Receiver() { release(held_); }

void Receiver::hold(std::size_t n) {
  held_ += n;
  budget_.used += n;
}

void Receiver::release(std::size_t n) {
  held_ -= n;
  budget_.used -= n;
}

std::size_t Receiver::window() const {
  const std::size_t own = held_ < kOwnShare ? kOwnShare - held_ : 0;
  const std::size_t most = held_ < kMaxHeld ? kMaxHeld - held_ : 0;
  return std::max(own, std::min(most, budget_.left()));
}

bool Receiver::on_data(std::uint64_t seq, ByteView payload) {
  if (seq < next_ || (fin_ && seq >= *fin_)) return true;
  if (seq - next_ > kMaxAhead) return false;
  if (seq > next_) {
    if (early_.contains(seq)) return true;
    const std::size_t cost = payload.size() + kEarlyCost;
    if (cost > window()) return false;
    hold(cost);
    early_.emplace(seq, Bytes(payload.begin(), payload.end()));
    return true;
  }
  if (payload.size() > window()) return false;
  hold(payload.size());
  append(payload);
  ++next_;
  while (!early_.empty() && early_.begin()->first == next_) {
    append(early_.begin()->second);
    release(kEarlyCost);
    early_.erase(early_.begin());
    ++next_;
  }
  if (fin_ && next_ == *fin_) ++next_;
  return true;
}

void Receiver::on_fin(std::uint64_t seq) {
  if (fin_ || seq < next_ || seq - next_ > kMaxAhead) return;
  fin_ = seq;
  for (auto it = early_.lower_bound(seq); it != early_.end(); it = early_.erase(it))
    release(it->second.size() + kEarlyCost);
  if (next_ == seq) ++next_;
}

void Receiver::append(ByteView payload) {
  readable_ += payload.size();
  while (!payload.empty()) {
    if (chunks_.empty() || chunks_.back().end == kChunk)
      chunks_.push_back({std::make_unique_for_overwrite<std::uint8_t[]>(kChunk), 0, 0});
    Chunk& last = chunks_.back();
    const std::size_t n = std::min(payload.size(), kChunk - last.end);
    std::memcpy(last.bytes.get() + last.end, payload.data(), n);
    last.end += n;
    payload = payload.subspan(n);
  }
}

std::size_t Receiver::read(MutableByteView into) {
  std::size_t done = 0;
  while (done < into.size() && !chunks_.empty()) {
    Chunk& first = chunks_.front();
    const std::size_t n = std::min(into.size() - done, first.end - first.begin);
    std::memcpy(into.data() + done, first.bytes.get() + first.begin, n);
    first.begin += n;
    done += n;
    if (first.begin == first.end) chunks_.pop_front();
  }
  readable_ -= done;
  release(done);
  return done;
}

void Receiver::discard() {
  chunks_.clear();
  early_.clear();
  readable_ = 0;
  release(held_);
}

Bytes Receiver::selective_ack() const {
  if (early_.empty()) return {};
  const std::uint64_t last =
      std::min<std::uint64_t>(early_.rbegin()->first - next_ - 1, 8 * kMaxSelectiveAck - 1);
  Bytes bits((last / 32 + 1) * 4);
  for (const auto& [seq, payload] : early_) {
    const std::uint64_t bit = seq - next_ - 1;
    if (bit > last) break;
    bits[bit / 8] |= static_cast<std::uint8_t>(1U << (bit % 8));
  }
  return bits;
}

}  // namespace swarmfs::utp
