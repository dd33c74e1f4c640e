// Rate limits, pauses, pins and prefetches in virtual time, with all that goes over the wire
// counted.
#include "tests/sim/policy_scene.h"

namespace swarmfs::sim {
namespace {

std::shared_ptr<const Content> content(std::uint32_t pieces = 128) {
  return Content::make(Format::v1, pieces, 256 << 10);
}

/// Payload that a node gets in a time.
double fetched_in(World& world, const EngineNode& node, Duration time) {
  const std::uint64_t before = node.stats().downloaded;
  world.run_for(time);
  return static_cast<double>(node.stats().downloaded - before);
}

TEST(LimitsSim, DownloadsKeepToTheirRateFromTheStart) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    for (const std::uint64_t bps : {200'000U, 2'000'000U}) {
      PolicyScene scene(content(), seed, false);
      scene.reader.limit({bps, 0});
      for (int i = 0; i < 3; ++i) scene.add_source(seeder(4e6));
      scene.world.run_for(500ms);
      const double expected = 5.0 * static_cast<double>(bps);
      EXPECT_NEAR(fetched_in(scene.world, scene.reader, 5s), expected, 0.05 * expected) << bps;
      scene.reader.limit({});
      EXPECT_GT(fetched_in(scene.world, scene.reader, 2s), 8e6) << "it takes the line again";
      scene.settle({.useless = 0.01});
    }
  }
}

TEST(LimitsSim, UploadsKeepToTheirRateAndLeechersGetEqualParts) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(content(), seed);
    auto& source = world.add<EngineNode>(seeder(10e6));
    auto& a = world.add<EngineNode>(node(100e3, 10e6));
    auto& b = world.add<EngineNode>(node(100e3, 10e6));
    source.limit({0, 1'000'000});
    for (EngineNode* leecher : {&a, &b}) leecher->meet(source.number);
    world.run_for(1s);
    const double from_a = static_cast<double>(a.stats().downloaded);
    const double before = from_a + static_cast<double>(b.stats().downloaded);
    world.run_for(5s);
    const double got_a = static_cast<double>(a.stats().downloaded) - from_a;
    const double both = static_cast<double>(a.stats().downloaded + b.stats().downloaded) - before;
    EXPECT_NEAR(both, 5e6, 0.05 * 5e6);
    EXPECT_NEAR(got_a, both / 2, 0.1 * both);
    EXPECT_EQ(world.wrong(), "");
  }
}

/// Two torrents of one program, as far as limits know.
TEST(LimitsSim, TorrentsShareACommonLimitAndAnIdleOneTakesNothing) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(content(), seed);
    auto& source = world.add<EngineNode>(seeder(20e6));
    const auto common = std::make_shared<engine::CommonLimits>();
    common->set({2'000'000, 0}, world.now());
    NodeOptions options = node(1e6, 20e6);
    options.config.common_limits = common;
    auto& a = world.add<EngineNode>(options);
    auto& b = world.add<EngineNode>(options);
    for (EngineNode* one : {&a, &b}) one->meet(source.number);
    world.run_for(500ms);
    const std::uint64_t before = b.stats().downloaded;
    EXPECT_NEAR(fetched_in(world, a, 5s), 5e6, 0.05 * 5e6);
    EXPECT_NEAR(static_cast<double>(b.stats().downloaded - before), 5e6, 0.05 * 5e6);
    b.pause();
    world.run_for(500ms);
    EXPECT_NEAR(fetched_in(world, a, 2s), 4e6, 0.05 * 4e6) << "a paused one has no share";
    b.resume();
    world.run_for(1s);
    EXPECT_NEAR(fetched_in(world, b, 2s), 2e6, 0.1 * 2e6) << "it has its own again";
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(LimitsSim, ReadersAreAsFastAsWithoutALimitAndTheRestGivesWay) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    std::vector<Duration> limited, free;
    for (const bool limit : {false, true}) {
      PolicyScene scene(content(), seed, !limit);  // without backfill if there is no limit
      if (limit) scene.reader.limit({500'000, 0});
      for (int i = 0; i < 3; ++i) scene.add_source(seeder(4e6));
      scene.world.run_for(1s);
      for (int i = 0; i < 20; ++i)
        if (const auto read = scene.cold_read(4096)) scene.wait(*read);
      (limit ? limited : free) = scene.waits();
      if (limit) {
        // Twenty pieces came for readers, 5 MB; what came beside them before is paid for now.
        EXPECT_LT(fetched_in(scene.world, scene.reader, 500ms), 0.2e6);
        scene.world.run_for(2s);
        EXPECT_NEAR(fetched_in(scene.world, scene.reader, 2s), 1e6, 0.06 * 1e6);
      }
      scene.settle({.useless = 0.04});
    }
    EXPECT_LE(quantile(limited, 0.5), quantile(free, 0.5) + 20ms);
    EXPECT_LE(quantile(limited, 0.9), quantile(free, 0.9) * 3 / 2 + 20ms);
  }
}

TEST(LimitsSim, AReaderInOrderGetsTheLineThoughBackfillIsLimited) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene scene(content(), seed, false);
    scene.reader.limit({100'000, 0});
    for (int i = 0; i < 3; ++i) scene.add_source(seeder(4e6));
    scene.world.run_for(1s);
    const TimePoint begun = scene.world.now();
    std::uint64_t at = 0;
    for (; at < 16'000'000; at += 128 << 10) {
      scene.reader.window(scene.piece_at(at), PieceIndex(scene.piece_at(at).value + 16));
      scene.wait(scene.reader.read(at, 128 << 10));
    }
    const double bps = static_cast<double>(at) / to_seconds(scene.world.now() - begun);
    EXPECT_GT(bps, 3e6) << "of 12 MB/s";
    scene.reader.window({}, {});
    scene.settle({.useless = 0.03, .crossed = 0.05});
  }
}

TEST(LimitsSim, AReaderThatIsNotExemptWaitsItsTurnAndStillGetsItsBytes) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    PolicyScene scene(content(16), seed, true);
    scene.reader.limit({16 << 10, 0, false});
    for (int i = 0; i < 2; ++i) scene.add_source(seeder(4e6));
    scene.world.run_for(1s);
    // A piece of 16 blocks, one a second, and nothing of it is thought to be late.
    const Duration took = scene.wait(scene.reader.read(0, 4096));
    EXPECT_GT(took, 14s);
    EXPECT_LT(took, 18s);
    EXPECT_EQ(scene.reader.stats().wasted, 0U);
    EXPECT_EQ(scene.reader.stats().peers, 2U);
    scene.settle();
  }
}

TEST(LimitsSim, OneKibibyteASecondMakesProgressForAnHourAndBlamesNobody) {
  PolicyScene scene(content(32), 1, false);
  scene.reader.limit({1024, 0});
  for (int i = 0; i < 3; ++i) scene.add_source(seeder(4e6));
  const double got = fetched_in(scene.world, scene.reader, 3600s);
  EXPECT_NEAR(got, 3600 * 1024, 0.05 * 3600 * 1024);
  EXPECT_EQ(scene.reader.stats().peers, 3U);
  EXPECT_TRUE(scene.reader.warnings().empty());
  EXPECT_EQ(scene.reader.stats().wasted, 0U);
  scene.settle();
}

TEST(LimitsSim, APausedTorrentMovesNothingAndGoesOnWhereItWas) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    PolicyScene scene(content(), seed, false, 5s);
    for (int i = 0; i < 3; ++i) scene.add_source(seeder(1e6));
    scene.world.run_for(2s);
    scene.reader.pause();
    scene.world.run_for(1s);
    const auto paused = scene.reader.stats();
    EXPECT_EQ(paused.peers, 0U);
    const unsigned dials = scene.reader.dials();
    const auto read = scene.cold_read(4096);
    ASSERT_TRUE(read);
    scene.wait(*read);
    EXPECT_EQ(scene.reader.result(*read).error, ErrorKind::timed_out);
    EXPECT_EQ(scene.reader.stats().downloaded, paused.downloaded);
    EXPECT_EQ(scene.reader.dials(), dials);
    scene.reader.resume();
    EXPECT_TRUE(scene.world.run_until([&] { return scene.reader.complete(); }, 60s));
    EXPECT_EQ(scene.world.wrong(), "");
  }
}

TEST(LimitsSim, WhatIsPrefetchedAndPinnedComesFirst) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    PolicyScene scene(content(), seed, false);
    scene.reader.pin(100, 110);
    scene.reader.prefetch(40, 50);
    for (int i = 0; i < 3; ++i) scene.add_source(seeder(1e6));
    const auto here = [&](std::uint32_t first, std::uint32_t end) {
      std::uint32_t n = 0;
      for (; first < end; ++first) n += scene.reader.torrent().have().test(PieceIndex(first));
      return n;
    };
    ASSERT_TRUE(scene.world.run_until([&] { return here(40, 50) == 10; }, 10s));
    EXPECT_LE(scene.reader.torrent().have().count(), 14U);
    ASSERT_TRUE(scene.world.run_until([&] { return here(100, 110) == 10; }, 10s));
    EXPECT_LE(scene.reader.torrent().have().count(), 24U);
    scene.settle();
  }
}

}  // namespace
}  // namespace swarmfs::sim
