// Datagrams of the hash table: what is understood is said again and understood the same.
#include <cstddef>
#include <cstdint>

#include "swarm/wire/krpc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const ByteView packet(data, size);
  (void)wire::krpc_query_transaction(packet);
  auto message = wire::decode_krpc(packet);
  if (!message) return 0;
  // A list of nodes holds one family; what else was in it is not said again.
  const Bytes once = wire::encode(*message);
  const auto again = wire::decode_krpc(once);
  if (once.size() > wire::kMaxKrpcRead) return 0;
  if (!again || wire::encode(*again) != once) __builtin_trap();
  return 0;
}
