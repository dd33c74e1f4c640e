#include "swarm/wire/rc4.h"

#include <numeric>
#include <utility>

namespace swarmfs::wire {

Rc4::Rc4(ByteView key, std::size_t skip) {
  std::iota(state_.begin(), state_.end(), 0U);
  std::uint32_t j = 0;
  for (std::size_t i = 0; i < state_.size(); ++i) {
    j = (j + state_[i] + key[i % key.size()]) & 0xff;
    std::swap(state_[i], state_[j]);
  }
  std::array<std::uint8_t, 64> unused{};
  for (std::size_t n = 0; n < skip;) {
    const std::size_t step = std::min(unused.size(), skip - n);
    apply(MutableByteView(unused).first(step));
    n += step;
  }
}

void Rc4::apply(MutableByteView bytes) {
  std::uint32_t i = i_;
  std::uint32_t j = j_;
  for (std::uint8_t& byte : bytes) {
    i = (i + 1) & 0xff;
    const std::uint32_t a = state_[i];
    j = (j + a) & 0xff;
    const std::uint32_t b = state_[j];
    state_[i] = b;
    state_[j] = a;
    byte ^= static_cast<std::uint8_t>(state_[(a + b) & 0xff]);
  }
  i_ = i;
  j_ = j;
}

}  // namespace swarmfs::wire
