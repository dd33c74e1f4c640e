// Announcements on the local network (BEP 14): whatever is read can be written and read again.
#include <cstdint>
#include <cstdlib>

#include "swarm/wire/local_discovery.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const auto announce = wire::parse_local_announce(swarmfs::ByteView(data, size));
  if (!announce) return 0;
  if (announce->info_hashes.empty() || announce->port == 0) std::abort();
  const auto again = wire::parse_local_announce(wire::encode(*announce, true));
  if (!again || *again != *announce) std::abort();
  return 0;
}
