// A fixed-size set of piece numbers that knows how many it holds.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/strong_index.h"

namespace swarmfs {

class Bitfield {
 public:
  Bitfield() = default;
  explicit Bitfield(std::uint32_t size) : size_(size), words_((size + 63) / 64) {}

  std::uint32_t size() const { return size_; }
  std::uint32_t count() const { return count_; }
  bool all() const { return count_ == size_; }
  bool test(PieceIndex i) const { return (words_[i.value / 64] >> (i.value % 64)) & 1; }
  /// Returns whether the bit was clear before.
  bool set(PieceIndex i) {
    if (test(i)) return false;
    words_[i.value / 64] |= std::uint64_t{1} << (i.value % 64);
    ++count_;
    return true;
  }
  /// Returns whether the bit was set before.
  bool clear(PieceIndex i) {
    if (!test(i)) return false;
    words_[i.value / 64] &= ~(std::uint64_t{1} << (i.value % 64));
    --count_;
    return true;
  }
  void set_all() {
    for (std::uint32_t i = 0; i < size_; ++i) set(PieceIndex(i));
  }
  /// True if some bit is set here and clear in `other`; sizes must be equal.
  bool has_beyond(const Bitfield& other) const {
    for (std::size_t w = 0; w < words_.size(); ++w)
      if ((words_[w] & ~other.words_[w]) != 0) return true;
    return false;
  }

  /// The wire form (BEP 3): the high bit of the first byte is piece 0.
  Bytes to_wire() const {
    Bytes out((size_ + 7) / 8);
    for (std::uint32_t i = 0; i < size_; ++i)
      if (test(PieceIndex(i)))
        out[i / 8] = static_cast<std::uint8_t>(out[i / 8] | (0x80 >> (i % 8)));
    return out;
  }
  /// False, and unchanged, if the length is wrong or a spare bit is set.
  bool from_wire(ByteView bits) {
    if (bits.size() != (size_ + 7) / 8) return false;
    if (size_ % 8 != 0 && (bits.back() & (0xff >> (size_ % 8))) != 0) return false;
    Bitfield fresh(size_);
    for (std::uint32_t i = 0; i < size_; ++i)
      if ((bits[i / 8] & (0x80 >> (i % 8))) != 0) fresh.set(PieceIndex(i));
    *this = std::move(fresh);
    return true;
  }

 private:
  std::uint32_t size_ = 0;
  std::uint32_t count_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace swarmfs
