// What web servers and the engine may do to a web seed.
#include <cstdint>

#include "tests/support/web_chaos.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  swarmfs::test::web_chaos({data + 1, size - 1}, swarmfs::test::chaos_content(data[0]));
  return 0;
}
