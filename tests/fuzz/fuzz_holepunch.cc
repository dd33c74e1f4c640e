// ut_holepunch (BEP 55): what is read is written as it was read.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "swarm/wire/holepunch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const ByteView bytes(data, size);
  const auto message = wire::parse_holepunch(bytes);
  if (!message) return 0;
  const auto again = wire::parse_holepunch(wire::encode(*message));
  if (!again || *again != *message) __builtin_trap();
  return 0;
}
