#include "swarm/dht/tokens.h"

#include <algorithm>
#include <utility>

namespace swarmfs::dht {

Tokens::Secret Tokens::new_secret() {
  Secret out;
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(rng_() >> 32);
  return out;
}

void Tokens::rotate(TimePoint now) {
  if (now - since_ < kRotation) return;
  previous_ = now - since_ < 2 * kRotation ? current_ : new_secret();
  current_ = new_secret();
  since_ = now;
}

Bytes Tokens::sign(const Secret& secret, const IpAddress& address, const Sha1Hash& info_hash) {
  Bytes text(secret.begin(), secret.end());
  append(text, address.bytes());
  append(text, info_hash);
  const Sha1Hash digest = sha1(text);
  return Bytes(digest.begin(), digest.begin() + kSize);
}

Bytes Tokens::make(const IpAddress& address, const Sha1Hash& info_hash, TimePoint now) {
  rotate(now);
  return sign(current_, address, info_hash);
}

bool Tokens::valid(ByteView token, const IpAddress& address, const Sha1Hash& info_hash,
                   TimePoint now) {
  rotate(now);
  const auto is = [&](const Secret& secret) {
    return std::ranges::equal(token, sign(secret, address, info_hash));
  };
  return is(current_) || is(previous_);
}

}  // namespace swarmfs::dht
