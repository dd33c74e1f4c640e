// The tokens that show that who announces is where it says (BEP 5).
#pragma once

#include <array>
#include <cstdint>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"

namespace swarmfs::dht {

/// A token is bound to an address and an info hash, and holds for five to ten minutes. Nothing is
/// kept for those handed out.
class Tokens {
 public:
  static constexpr Duration kRotation = std::chrono::minutes(5);
  static constexpr std::size_t kSize = 8;

  /// `seed` must not be guessable.
  explicit Tokens(std::uint64_t seed) : rng_(seed) {}
  Bytes make(const IpAddress& address, const Sha1Hash& info_hash, TimePoint now);
  bool valid(ByteView token, const IpAddress& address, const Sha1Hash& info_hash, TimePoint now);

 private:
  using Secret = std::array<std::uint8_t, 16>;
  void rotate(TimePoint now);
  Secret new_secret();
  static Bytes sign(const Secret& secret, const IpAddress& address, const Sha1Hash& info_hash);

  Rng rng_;
  Secret current_ = new_secret();
  Secret previous_ = new_secret();
  TimePoint since_{};
};

}  // namespace swarmfs::dht
