// The worked example: a torrent of four pieces, a seeder that leaves, and peers that go on.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

struct Example {
  Example(Format format, std::uint64_t seed)
      : world(Content::make(format, 4, 256 << 10), seed),
        s(world.add<EngineNode>(seeder(1e6))),
        a(world.add<EngineNode>(node(4e6, 8e6))),
        b(world.add<EngineNode>(node(4e6, 8e6))),
        c(world.add<EngineNode>(node(4e6, 8e6))) {
    a.meet(s.number);
    b.meet({s.number, a.number});
    c.meet({s.number, a.number, b.number});
  }
  /// A copy is out: every piece is somewhere else than at the seeder.
  bool one_copy_out() const {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const PieceIndex piece(i);
      if (!a.torrent().have().test(piece) && !b.torrent().have().test(piece) &&
          !c.torrent().have().test(piece))
        return false;
    }
    return true;
  }

  World world;
  EngineNode& s;
  EngineNode& a;
  EngineNode& b;
  EngineNode& c;
};

class ExampleTest : public testing::TestWithParam<Format> {};

TEST_P(ExampleTest, SeederHandsDifferentPiecesOutFirstAndLittleMoreThanOneCopy) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Example e(GetParam(), seed);
    ASSERT_TRUE(
        e.world.run_until([&] { return e.a.complete() && e.b.complete() && e.c.complete(); }, 60s))
        << e.world.wrong();
    // Nobody gets a piece that another has got or is getting, until all four are out.
    std::map<PieceIndex, unsigned> first;
    for (const SentBlock& sent : e.world.sent) {
      if (sent.from != e.s.number || first.size() == 3) continue;
      first.emplace(sent.piece, sent.to);
    }
    std::set<unsigned> receivers;
    for (const auto& [piece, to] : first) receivers.insert(to);
    EXPECT_EQ(receivers.size(), 3U) << "three peers begin with three different pieces";
    // One copy, and the second piece that two of the three have begun with the seeder by the time
    // the others could give it to them: of four pieces, half a copy.
    EXPECT_LE(e.world.copies_sent(e.s.number), 1.6);
    EXPECT_EQ(e.world.wrong(), "");
  }
}

TEST_P(ExampleTest, TheRestGoesOnAfterTheSeederLeftAndServesANewPeer) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    Example e(GetParam(), seed);
    ASSERT_TRUE(e.world.run_until([&] { return e.one_copy_out(); }, 60s)) << e.world.wrong();
    e.s.leave();
    auto& d = e.world.add<EngineNode>(node(4e6, 8e6));
    d.meet({e.a.number, e.b.number, e.c.number});
    EXPECT_TRUE(e.world.run_until(
        [&] { return e.a.complete() && e.b.complete() && e.c.complete() && d.complete(); }, 60s))
        << e.world.wrong();
    EXPECT_EQ(e.world.wrong(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ExampleTest,
                         testing::Values(Format::v1, Format::v2, Format::hybrid),
                         [](const auto& instance) {
                           return instance.param == Format::v1   ? "V1"
                                  : instance.param == Format::v2 ? "V2"
                                                                 : "Hybrid";
                         });

TEST(Simulation, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
  const auto trace = [](std::uint64_t seed) {
    Example e(Format::hybrid, seed);
    e.world.run_for(5s);
    return e.world.trace();
  };
  EXPECT_EQ(trace(1), trace(1));
  EXPECT_EQ(trace(2), trace(2));
  EXPECT_NE(trace(1), trace(2));
}

}  // namespace
}  // namespace swarmfs::sim
