// A reader whose own line is down for a while, among peers that a tracker named once.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

constexpr std::uint32_t kPiece = 256 << 10;

struct Outage {
  explicit Outage(std::uint64_t seed) : world(Content::make(Format::v1, 64, kPiece), seed) {
    std::vector<Endpoint> named;
    for (int i = 0; i < 8; ++i) named.push_back(world.add<EngineNode>(seeder(1e6)).address());
    // Of every swarm some have gone; who they are shows while the line works.
    for (unsigned gone = 0; gone < 4; ++gone) named.push_back(World::address(900 + gone));
    NodeOptions options = node(1e6, 10e6);
    options.config.on_demand = true;
    reader = &world.add<EngineNode>(options);
    reader->hear_of(named);
  }
  /// How long a read of a piece that is not here takes, if it is answered within `limit`.
  std::optional<Duration> read(std::uint32_t piece, Duration limit) {
    const TimePoint begun = world.now();
    while (world.now() < begun + limit) {  // a read ends on its own, and programs try again
      const ReadId id = reader->read(std::uint64_t{piece} * kPiece, 4096);
      world.run_until([&] { return reader->result(id).ended.has_value(); }, limit);
      if (reader->result(id).answered()) return world.now() - begun;
    }
    return std::nullopt;
  }

  World world;
  EngineNode* reader = nullptr;
};

TEST(OutageTest, ReadsGoOnSoonAfterTheLineIsBackHoweverLongItWasDown) {
  for (const auto seed : seeds()) {
    for (const Duration down : {Duration(20s), Duration(3min), Duration(10min), Duration(1h)}) {
      SCOPED_TRACE(replay(seed));
      Outage outage(seed);
      World& world = outage.world;
      ASSERT_TRUE(outage.read(3, 10s)) << world.wrong();
      world.run_for(1min);
      outage.reader->leave();
      const unsigned dials = outage.reader->dials();
      world.run_for(down);
      // Each of the eight that were there every ten seconds at first, and ever more rarely.
      EXPECT_LT(outage.reader->dials() - dials, 400U);
      outage.reader->come_back();
      const auto took = outage.read(40, 15min);
      ASSERT_TRUE(took) << "down for " << to_seconds(down) << " s; " << world.wrong();
      // An eighth of the silence, which has begun up to two minutes before.
      EXPECT_LE(*took, std::max<Duration>(10s, (down + 2min) / 8) + 5s);
      // And all of them are back at once, not one after the other.
      world.run_for(15s);
      EXPECT_EQ(outage.reader->stats().peers, 8U);
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

TEST(OutageTest, NewsOfTheNetworkBringsReadsBackAtOnce) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Outage outage(seed);
    World& world = outage.world;
    ASSERT_TRUE(outage.read(3, 10s)) << world.wrong();
    outage.reader->leave();
    world.run_for(30min);
    outage.reader->come_back();
    outage.reader->network_changed();
    const auto took = outage.read(40, 1min);
    ASSERT_TRUE(took) << world.wrong();
    EXPECT_LE(*took, 1s);
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
