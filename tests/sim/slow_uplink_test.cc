// A reader at home: a line that brings much and takes little, and peers who want as much of us as
// we of them, so that requests and uploads share connections.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

constexpr std::uint32_t kPieces = 128, kPiece = 256 << 10;

TEST(SlowUplink, ARequestWaitsForABlockOfEachAndNotForAllThatWeUpload) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(Content::make(Format::v1, kPieces, kPiece), seed);
    const auto having = [](NodeOptions options, std::uint32_t first, std::uint32_t end) {
      for (std::uint32_t piece = first; piece < end; ++piece) options.has.push_back(piece);
      return options;
    };
    NodeOptions home = having(node(125e3, 2.5e6, 20ms), 0, kPieces / 2);
    home.config.on_demand = true;
    auto& reader = world.add<EngineNode>(home);
    for (int i = 0; i < 4; ++i)
      world.add<EngineNode>(having(node(1e6, 10e6, 20ms), kPieces / 2, kPieces))
          .meet(reader.number);
    // They fetch what the reader has, and take all its uplink for this.
    world.run_for(30s);
    const auto uploaded = reader.stats().uploaded;
    std::vector<Duration> took;
    for (std::uint32_t i = 0; i < 16; ++i) {
      const std::uint32_t piece = kPieces / 2 + (i * 7) % (kPieces / 2);
      const ReadId read = reader.read(std::uint64_t{piece} * kPiece, 4096);
      ASSERT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 70s));
      ASSERT_TRUE(reader.result(read).answered());
      took.push_back(reader.result(read).took());
      world.run_for(1s);
    }
    EXPECT_GT(reader.stats().uploaded, uploaded + 1'500'000) << "nobody wanted anything of it";
    std::sort(took.begin(), took.end());
    // A block of each of four peers takes 0.52 s to leave, then come a round trip and the piece.
    EXPECT_LE(took[took.size() / 2], 1s) << to_seconds(took[took.size() / 2]);
    EXPECT_LE(took.back(), 3s) << to_seconds(took.back());
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim
