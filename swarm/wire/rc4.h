// The stream cipher RC4, for MSE alone: it hides what a stream is, and keeps no secret.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "swarm/base/bytes.h"

namespace swarmfs::wire {

class Rc4 {
 public:
  /// A key of 1..256 bytes. The first `skip` bytes of the key stream are thrown away.
  explicit Rc4(ByteView key, std::size_t skip = 0);

  /// Encrypts or decrypts the next bytes of the stream where they stand.
  void apply(MutableByteView bytes);

 private:
  /// Words, not bytes: that is a third faster, and a connection has only two of these.
  std::array<std::uint32_t, 256> state_;
  std::uint32_t i_ = 0;
  std::uint32_t j_ = 0;
};

}  // namespace swarmfs::wire
