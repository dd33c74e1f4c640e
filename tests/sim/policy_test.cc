// The policy towards readers that jump about, many readers, and peers that are slow, stall, leave,
// choke or answer only some requests. Every scene is watched on the wire (wire_watch.h), and its
// accounts are settled at the end (policy_scene.h).
#include <algorithm>
#include <iterator>

#include "swarm/engine/torrent_limits.h"
#include "tests/sim/policy_scene.h"

namespace swarmfs::sim {
namespace {

struct Case {
  Format format;
  bool on_demand;
};

class PolicyTest : public testing::TestWithParam<Case> {
 protected:
  static Format format() { return GetParam().format; }
  static bool on_demand() { return GetParam().on_demand; }
};

INSTANTIATE_TEST_SUITE_P(Cases, PolicyTest,
                         testing::Values(Case{Format::v1, false}, Case{Format::v1, true},
                                         Case{Format::v2, false}, Case{Format::v2, true}),
                         [](const auto& instance) {
                           const Case& c = instance.param;
                           return std::string(c.format == Format::v1 ? "V1" : "V2") +
                                  (c.on_demand ? "OnDemand" : "Backfill");
                         });

/// One handle jumps 200 times; its windows open and collapse, and it does not wait for the answer.
TEST_P(PolicyTest, ASeekStormLeavesNothingBehind) {
  for (const auto seed : seeds(3)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene s(Content::make(format(), 128, 512 << 10), seed, on_demand());
    for (int i = 0; i < 2; ++i) s.add_source(seeder(3e6));
    s.add_source(seeder(0.6e6, 10e6, 30ms));
    s.world.run_for(500ms);
    std::optional<ReadId> last;
    for (int jump = 0; jump < 200; ++jump) {
      if (last && !s.reader.result(*last).ended && s.chance(60)) s.reader.cancel(*last);
      const auto length = static_cast<std::uint32_t>(1 + s.below(128 << 10));
      const std::uint64_t offset = s.below(s.size() - length);
      const PieceIndex at = s.piece_at(offset);
      const auto ahead = static_cast<std::uint32_t>(s.chance(25) ? 0 : 1 + s.below(16));
      s.reader.window(at, PieceIndex(at.value + ahead));
      last = s.reader.read(offset, length);
      s.world.run_for(std::chrono::milliseconds(s.below(60)));
    }
    s.reader.close(HandleId(1));
    EXPECT_TRUE(s.reader.all_reads_ended()) << "closing a handle ends its reads";
    // The line is as good as before.
    const auto cold = s.cold_read(4096, HandleId(2));
    if (cold) {
      EXPECT_LE(s.wait(*cold), 1s);
    }
    s.print(seed, s.waits());
    // 200 jumps in six seconds take back hundreds of requests that a seed has answered already; and
    // of 45 seeds one or two have a little more than 2 % of useless bytes.
    s.settle({.useless = 0.035, .crossed = 0.15});
  }
}

/// Half of 64 handles read on and on with a window, half jump.
TEST_P(PolicyTest, ManyHandlesAreAllServedAndNoneWaitsForAllOthers) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene s(Content::make(format(), 192, 256 << 10), seed, on_demand());
    for (int i = 0; i < 4; ++i) s.add_source(seeder(2e6));
    s.world.run_for(500ms);
    constexpr std::uint64_t kHandles = 64, kReadsEach = 12;
    constexpr std::uint32_t kLength = 32 << 10;
    struct Reader {
      std::uint64_t at = 0, reads = 0;
      std::optional<ReadId> waits{};
    };
    std::vector<Reader> readers(kHandles);
    for (std::uint64_t h = 0; h < kHandles; ++h)
      readers[h].at = s.size() / kHandles * h / kLength * kLength;
    const auto go_on = [&](std::uint64_t h) {
      Reader& r = readers[h];
      const HandleId handle(h + 1);
      while (r.reads < kReadsEach && (!r.waits || s.reader.result(*r.waits).ended)) {
        ++r.reads;
        const bool jumps = h % 2 == 1;
        if (jumps) {
          r.at = s.below(s.size() - kLength);
        } else {
          s.reader.window(s.piece_at(r.at), PieceIndex(s.piece_at(r.at).value + 4), handle);
        }
        r.waits = s.reader.read(r.at, kLength, handle);
        if (!jumps) r.at += kLength;
      }
      return r.reads == kReadsEach && s.reader.result(*r.waits).ended.has_value();
    };
    bool done = false;
    for (int step = 0; step < 2000 && !done && s.world.violations.empty(); ++step) {
      done = true;
      for (std::uint64_t h = 0; h < kHandles; ++h) done = go_on(h) && done;
      s.world.run_for(10ms);
    }
    EXPECT_TRUE(done);
    const auto took = s.waits();
    s.print(seed, took);
    // All 64 handles' pieces together are 16 MiB, two seconds of the line.
    EXPECT_LE(quantile(took, 1), 4s);
    s.settle();
  }
}

/// A program of 100 threads that all wait, and one that reads a little now and then: it waits for
/// what the others' turns take, not for all of them.
TEST_P(PolicyTest, OneWithManyReadsDoesNotHoldUpOneWithFew) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene s(Content::make(format(), 192, 256 << 10), seed, on_demand());
    for (int i = 0; i < 4; ++i) s.add_source(seeder(1e6));
    s.world.run_for(500ms);
    constexpr std::uint32_t kLength = 128 << 10;
    std::vector<ReadId> many, few;
    for (std::uint64_t h = 0; h < 100; ++h)
      many.push_back(s.reader.read(s.size() / 200 * h, kLength, {HandleId(h + 10), ReaderId(1)}));
    for (int i = 0; i < 5; ++i) {
      s.world.run_for(100ms);
      // Behind all that the others want.
      few.push_back(s.reader.read(s.size() / 2 + s.below(s.size() / 2 - kLength), 16 << 10,
                                  {HandleId(1), ReaderId(2)}));
      s.wait(few.back());
    }
    const auto waits = [&](ReadId id) { return s.wait(id); };
    std::vector<Duration> took_many, took_few;
    std::transform(many.begin(), many.end(), std::back_inserter(took_many), waits);
    std::transform(few.begin(), few.end(), std::back_inserter(took_few), waits);
    s.print(seed, took_few);
    // 12.5 MiB of the others' are three seconds of the line.
    EXPECT_GE(quantile(took_many, 1), 2s);
    EXPECT_LE(quantile(took_few, 1), 1s);
    s.settle();
  }
}

/// Of six seeds one dies, two freeze for ten seconds, one is far, jittery, lossy and slow; two are
/// well. Two handles read at random places, one read at a time each.
std::vector<Duration> read_among_gray_peers(PolicyScene& s) {
  std::vector<EngineNode*> sources;
  for (int i = 0; i < 5; ++i) sources.push_back(&s.add_source(seeder(1e6)));
  NodeOptions far = seeder(0.2e6, 10e6, 140ms);
  far.line.jitter = 60ms;
  far.line.loss = 0.02;
  s.add_source(far);
  s.world.run_for(1s);
  s.world.timeline.after(1s, [&] { sources[0]->leave(); });
  s.world.timeline.after(2s, [&] { s.world.network.freeze(sources[1]->address(), 10s); });
  s.world.timeline.after(2500ms, [&] { s.world.network.freeze(sources[2]->address(), 10s); });
  struct User {
    std::optional<ReadId> waits{};
    TimePoint next{};
  };
  std::vector<User> users(2);
  for (const TimePoint end = s.world.now() + 14s; s.world.now() < end; s.world.run_for(5ms)) {
    if (!s.world.violations.empty()) break;
    for (std::uint64_t u = 0; u < users.size(); ++u) {
      User& user = users[u];
      if (user.waits && s.reader.result(*user.waits).ended) {
        user.waits.reset();
        user.next = s.world.now() + std::chrono::milliseconds(s.below(100));
      }
      if (!user.waits && s.world.now() >= user.next)
        user.waits = s.cold_read(16 << 10, HandleId(u + 1));
    }
  }
  return s.waits();
}

/// Besides what a scene without them may lose: what the frozen seeds had in their sockets when
/// others brought it, and what the far one was too slow for.
constexpr PolicyScene::Most kGrayPeersLose{
    .useless = 0.02, .crossed = 0.01, .stuck = 3 * std::uint64_t{engine::limits::kSendAhead}};

TEST_P(PolicyTest, RandomReadsAmongGrayPeersEndSoon) {
  for (const auto seed : seeds(3)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene s(Content::make(format(), 320, 256 << 10), seed, on_demand());
    const auto took = read_among_gray_peers(s);
    s.print(seed, took);
    EXPECT_GE(took.size(), 50U);
    EXPECT_LE(quantile(took, 0.5), format() == Format::v1 ? 800ms : 200ms);
    // Both frozen seeds may be asked for a v2 block's leaves, one after the other.
    const Duration longest = format() == Format::v1 ? 2s : 2 * engine::limits::kHashTimeout + 1s;
    EXPECT_LE(quantile(took, 0.99), longest);
    EXPECT_LE(quantile(took, 1), longest);
    s.settle(kGrayPeersLose);
  }
}

TEST(Policy, SecondCopiesForReadersAreFewAmongGrayPeers) {
  for (const auto seed : seeds(3)) {
    SCOPED_TRACE(replay(seed));
    PolicyScene s(Content::make(Format::v1, 320, 256 << 10), seed, true);
    s.print(seed, read_among_gray_peers(s));
    s.settle({.crossed = 0.01, .stuck = 2 * std::uint64_t{engine::limits::kSendAhead}});
  }
}

TEST(Policy, LeafHashesAreNotWaitedForLongerThanBlocks) {
  for (const auto seed : seeds(3)) {
    for (const bool on_demand : {true, false}) {
      SCOPED_TRACE(replay(seed));
      PolicyScene s(Content::make(Format::v2, 320, 256 << 10), seed, on_demand);
      const auto took = read_among_gray_peers(s);
      s.print(seed, took);
      EXPECT_LE(quantile(took, 1), 1500ms);
      s.settle(kGrayPeersLose);
    }
  }
}

/// The line was gone for some seconds. No peer has refused anything.
TEST(Policy, LeafHashesAreAskedForAgainAfterASilenceOfAllPeers) {
  PolicyScene s(Content::make(Format::v2, 8, 4 << 20), 1, true);
  for (int i = 0; i < 2; ++i) s.add_source(seeder(2e6));
  s.world.run_for(1s);
  for (unsigned i = 0; i < 2; ++i)
    s.world.network.freeze(World::address(s.reader.number + 1 + i), 10s);
  const ReadId during = s.reader.read(1'000'000, 4096);
  s.wait(during);
  s.world.run_for(30s);
  const std::uint64_t before = s.watch.totals().payload;
  const ReadId after = s.reader.read(20'000'000, 4096);
  EXPECT_LE(s.wait(after), 200ms);
  EXPECT_LE(s.watch.totals().payload - before, 4 * kBlockSize);
  s.settle({.useless = 1, .crossed = 1});
}

/// In on-demand mode nothing is on its way that no read and no window is for.
TEST(Reads, ASeekCancelsWhatLiesOutsideTheNewWindows) {
  for (const Format format : {Format::v1, Format::v2}) {
    for (const auto seed : seeds(3)) {
      SCOPED_TRACE(replay(seed));
      PolicyScene s(Content::make(format, 128, 512 << 10), seed, true);
      for (int i = 0; i < 3; ++i) s.add_source(seeder(1e6));
      s.world.run_for(500ms);
      using Range = std::pair<std::uint32_t, std::uint32_t>;
      const auto expect_only = [&](std::initializer_list<Range> wanted) {
        for (const PieceIndex piece : s.watch.in_flight())
          EXPECT_TRUE(std::any_of(wanted.begin(), wanted.end(),
                                  [&](const Range& range) {
                                    return range.first <= piece.value && piece.value < range.second;
                                  }))
              << "piece " << piece.value;
      };
      s.reader.window(PieceIndex(100), PieceIndex(110), HandleId(2));
      s.world.run_for(20ms);
      for (std::uint32_t at = 0; at < 90; at += 15) {
        s.reader.window(PieceIndex(at), PieceIndex(at + 10));
        const ReadId read = s.reader.read(at * s.piece_length(), 128 << 10);
        expect_only({{at, at + 10}, {100, 110}});
        s.world.run_for(std::chrono::milliseconds(50 + s.below(300)));
        s.reader.cancel(read);
      }
      s.reader.close(HandleId(1));
      expect_only({{100, 110}});
      s.reader.close(HandleId(2));
      EXPECT_TRUE(s.watch.in_flight().empty());
      s.world.run_for(1s);
      EXPECT_EQ(engine::TorrentProbe::outstanding(s.reader.torrent()), 0U);
      s.settle({.useless = 0.03, .crossed = 0.15});
    }
  }
}

}  // namespace
}  // namespace swarmfs::sim
