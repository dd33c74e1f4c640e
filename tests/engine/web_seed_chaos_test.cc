// WebSeed through random courses of events.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/web_chaos.h"

namespace swarmfs::engine {
namespace {

TEST(WebSeedChaos, HoldsItsRulesWhateverHappens) {
  for (unsigned seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    Bytes course(50 + rng() % 400);
    for (std::uint8_t& byte : course) byte = static_cast<std::uint8_t>(rng());
    test::web_chaos(course, test::chaos_content(seed));
  }
}

}  // namespace
}  // namespace swarmfs::engine
