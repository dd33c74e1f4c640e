#include "swarm/net/connection_id.h"

#include <chrono>

#include "swarm/base/hash.h"

namespace swarmfs::net {
namespace {

std::uint64_t minute_of(TimePoint time) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(time.time_since_epoch());
  return static_cast<std::uint64_t>(minutes.count());
}

}  // namespace

std::uint64_t ConnectionIds::digest(const IpAddress& address, std::uint64_t minute) const {
  // The secret is first and of fixed length, the message's length is fixed per family, and most of
  // the digest stays hidden: extending it tells nothing.
  Bytes message(secret_.begin(), secret_.end());
  append_be<std::uint64_t>(message, minute);
  append(message, address.bytes());
  const Sha256Hash hash = sha256(message);
  return load_be<std::uint64_t>(hash.data());
}

std::uint64_t ConnectionIds::make(const IpAddress& address, TimePoint now) const {
  return digest(address, minute_of(now));
}

bool ConnectionIds::valid(std::uint64_t id, const IpAddress& address, TimePoint now) const {
  const std::uint64_t minute = minute_of(now);
  for (std::uint64_t age = 0; age <= 2 && age <= minute; ++age)
    if (digest(address, minute - age) == id) return true;
  return false;
}

}  // namespace swarmfs::net
