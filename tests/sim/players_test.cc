// Players: readers that take their bytes at a steady rate and must never wait once they have begun.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

constexpr std::uint32_t kChunk = 64 << 10;

/// Reads [begin, end) of the content at a rate, with a window ahead of it as the filesystem has.
struct Player {
  HandleId handle;
  std::uint64_t at;
  std::uint64_t end;
  double bps;
  std::uint64_t window;  ///< bytes ahead of it that are asked for
  double due = 0;
  std::optional<ReadId> waits{};
  Duration stalled{};
  std::optional<TimePoint> began{};

  bool done() const { return at >= end; }
};

void tick(World& world, EngineNode& node, Player& player, Duration step) {
  if (player.waits) {
    if (!node.result(*player.waits).ended) {
      if (player.began) player.stalled += step;
      return;
    }
    player.waits.reset();
    player.at += kChunk;
    if (!player.began) player.began = world.now();
  }
  if (player.began) player.due += player.bps * to_seconds(step);
  const std::uint64_t piece = world.content->metainfo()->layout.piece_length();
  while (!player.done() && (player.due >= kChunk || !player.began)) {
    player.due = std::max(0.0, player.due - kChunk);
    node.window(PieceIndex(static_cast<std::uint32_t>(player.at / piece)),
                PieceIndex(static_cast<std::uint32_t>(
                    std::min(player.end, player.at + player.window) / piece)),
                player.handle, player.began ? player.bps : 0);
    const ReadId read = node.read(player.at, kChunk, player.handle);
    if (!node.result(read).ended) {
      player.waits = read;
      return;
    }
    player.at += kChunk;
  }
}

/// Plays until all are at their end; false if they are not within `limit`.
bool play(World& world, EngineNode& node, std::vector<Player>& players, Duration limit) {
  constexpr Duration kStep = 10ms;
  for (Duration time{}; time < limit; time += kStep) {
    if (std::all_of(players.begin(), players.end(), [](const Player& p) { return p.done(); }))
      return true;
    for (Player& player : players) tick(world, node, player, kStep);
    world.run_for(kStep);
  }
  return false;
}

TEST(Players, TwoOnOneLineDoNotStarveEachOther) {
  for (const auto seed : seeds(3)) {
    for (const Format format : {Format::v1, Format::v2}) {
      SCOPED_TRACE(replay(seed));
      World world(Content::make(format, 160, 512 << 10), seed);
      std::vector<EngineNode*> sources;
      for (int i = 0; i < 4; ++i) sources.push_back(&world.add<EngineNode>(seeder(2e6)));
      auto& reader = world.add<EngineNode>(node(1e6, 8e6));
      for (const EngineNode* source : sources) reader.meet(source->number);
      const std::uint64_t half = world.content->size() / 2;
      std::vector<Player> players{{HandleId(1), 0, 30 << 20, 3e6, 16 << 20},
                                  {HandleId(2), half, half + (30 << 20), 3e6, 16 << 20}};
      EXPECT_TRUE(play(world, reader, players, 60s));
      for (const Player& player : players)
        EXPECT_LE(player.stalled, 300ms) << "handle " << player.handle.value;
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

TEST(Players, AreNotHeldUpBySeedsThatDieStallOrAreSlow) {
  for (const auto seed : seeds(3)) {
    for (const Format format : {Format::v1, Format::v2}) {
      SCOPED_TRACE(replay(seed));
      World world(Content::make(format, 128, 512 << 10), seed);
      std::vector<EngineNode*> sources;
      for (int i = 0; i < 5; ++i) sources.push_back(&world.add<EngineNode>(seeder(2e6)));
      NodeOptions slow = seeder(0.12e6);
      slow.line.delay = 140ms;
      sources.push_back(&world.add<EngineNode>(slow));
      auto& reader = world.add<EngineNode>(node(1e6, 12e6));
      for (const EngineNode* source : sources) reader.meet(source->number);
      world.timeline.after(4s, [&] { sources[0]->leave(); });
      world.timeline.after(6s, [&] { world.network.freeze(sources[1]->address(), 10s); });
      world.timeline.after(7s, [&] { world.network.freeze(sources[2]->address(), 10s); });
      // Four fifths of what the two that stay can bring. The window is half a second long, so that
      // what a seed leaves undone is reached before it is given up for lost.
      std::vector<Player> players{{HandleId(1), 0, 60 << 20, 3.2e6, 3 << 19}};
      EXPECT_TRUE(play(world, reader, players, 60s));
      std::printf("seed %llu: stalled for %.0f ms, %.2f %% thrown away\n",
                  static_cast<unsigned long long>(seed), to_seconds(players[0].stalled) * 1000,
                  waste(world, reader) * 100);
      // With so little ahead, what was lost can only come again out of the fifth that is to spare.
      EXPECT_LE(players[0].stalled, 500ms);
      EXPECT_LE(waste(world, reader), 0.02);
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

/// Reads the first 64 KiB of one piece after another as fast as it can, each with a new handle, and
/// never the same piece twice.
struct Scanner {
  std::uint32_t next = 0, read_count = 0;
  std::optional<ReadId> waits{};
  void tick(World& world, EngineNode& node) {
    if (waits && !node.result(*waits).ended) return;
    if (waits) ++read_count;
    const auto& layout = world.content->metainfo()->layout;
    ++next;
    waits = node.read(std::uint64_t{next} * layout.piece_length(), kChunk, HandleId(1000 + next));
  }
};

TEST(Players, AScannerTakesWhatTheyLeaveAndNotMore) {
  for (const auto seed : seeds(3)) {
    for (const Format format : {Format::v1, Format::v2}) {
      SCOPED_TRACE(replay(seed));
      World world(Content::make(format, 220, 1 << 20), seed);
      std::vector<EngineNode*> sources;
      for (int i = 0; i < 4; ++i) sources.push_back(&world.add<EngineNode>(seeder(2e6)));
      auto& reader = world.add<EngineNode>(node(1e6, 8e6));
      for (const EngineNode* source : sources) reader.meet(source->number);
      // Two films that take 70 % of the line between them, begun before the scanner.
      std::vector<Player> players{{HandleId(1), 0, 40 << 20, 2.8e6, 16 << 20},
                                  {HandleId(2), 60 << 20, 100 << 20, 2.8e6, 16 << 20}};
      Scanner scanner{120};
      const auto playing = [&] {
        return std::any_of(players.begin(), players.end(),
                           [](const Player& p) { return !p.done(); });
      };
      for (int step = 0; step < 3000 && playing(); ++step) {
        for (Player& player : players) tick(world, reader, player, 10ms);
        if (step == 100)  // how they start is no matter of the scanner's
          for (Player& player : players) player.stalled = {};
        if (step > 100 && scanner.next < 210) scanner.tick(world, reader);
        world.run_for(10ms);
      }
      EXPECT_FALSE(playing());
      std::printf("seed %llu: stalled for %.0f and %.0f ms, %u scanned\n",
                  static_cast<unsigned long long>(seed), to_seconds(players[0].stalled) * 1000,
                  to_seconds(players[1].stalled) * 1000, scanner.read_count);
      for (const Player& player : players) EXPECT_LE(player.stalled, 30ms);
      EXPECT_GE(scanner.read_count, 20U);  // and it is not starved itself
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

}  // namespace
}  // namespace swarmfs::sim
