// Any text as a list of addresses: no line blocks what it does not say.
#include <cstdlib>

#include "swarm/engine/address_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  engine::AddressFilter::Builder builder;
  const auto report = engine::parse_address_list(text, builder);
  if ((report.bad > 0) != report.first_bad.has_value()) std::abort();
  const engine::AddressFilter filter = builder.build();
  if (filter.ranges() > report.good) std::abort();
  if (report.good == 0 && filter.blocks(*IpAddress::parse("192.0.2.1"))) std::abort();
  return 0;
}
