// Anything at once: random swarms, networks and users, and the invariants of every step. What the
// seed decides is in mix(); what must hold is in the probe, the watch and settle().
#include "swarm/engine/torrent_limits.h"
#include "tests/sim/policy_scene.h"

namespace swarmfs::sim {
namespace {

using std::chrono::milliseconds;

class Mix {
 public:
  explicit Mix(std::uint64_t seed) : s_(content(seed), seed, seed % 4 < 2, 20s) {
    const auto count = 2 + s_.below(5);
    for (std::uint64_t i = 0; i < count; ++i) sources_.push_back(&s_.add_source(some_seed()));
    if (s_.chance(50)) s_.add_source(one_that_chokes());
    s_.world.run_for(milliseconds(s_.below(500)));
  }

  void run() {
    for (int step = 0; step < 150 && s_.world.violations.empty(); ++step) {
      act();
      s_.world.run_for(milliseconds(s_.below(80)));
    }
    for (EngineNode* away : away_) away->come_back();
    for (std::uint64_t h = 1; h <= kHandles; ++h)
      if (s_.chance(70)) s_.reader.close(HandleId(h));
    // Peers that freeze and wake have both sides ask again: one seed in ten comes to 5 to 8 %.
    s_.settle({.useless = 0.08,
               .crossed = 0.2,
               .stuck = frozen_ * std::uint64_t{engine::limits::kSendAhead}});
  }
  const PolicyScene& scene() const { return s_; }

 private:
  static constexpr std::uint64_t kHandles = 6;

  static std::shared_ptr<const Content> content(std::uint64_t seed) {
    const Format format = seed % 2 == 0 ? Format::v1 : Format::v2;
    return seed % 3 == 0 ? Content::make(format, 256, 64 << 10)
                         : Content::make(format, 48, 512 << 10);
  }
  NodeOptions some_seed() {
    NodeOptions o = seeder(0.2e6 + 1e4 * static_cast<double>(s_.below(200)), 10e6,
                           milliseconds(2 + s_.below(80)));
    if (s_.chance(30)) o.line.jitter = milliseconds(s_.below(60));
    if (s_.chance(30)) o.line.loss = 0.02;
    return o;
  }
  static Script one_that_chokes() {
    Script script;
    script.line = {1e6, 10e6, 15ms, {}, 0};
    script.on_request = [](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
      if (self.requests % 23 != 0) return self.send_block(socket, block);
      self.plain(socket, wire::MessageId::choke);
      self.reject(socket, block);
      self.world().timeline.after(
          200ms, [&self, socket] { self.plain(socket, wire::MessageId::unchoke); });
    };
    return script;
  }

  void act() {
    const HandleId handle(1 + s_.below(kHandles));
    const auto what = s_.below(100);
    if (what < 50) {
      const auto length = static_cast<std::uint32_t>(1 + s_.below(200 << 10));
      reads_.push_back(s_.reader.read(s_.below(s_.size() - length), length, handle));
    } else if (what < 65) {
      const PieceIndex first = s_.piece_at(s_.below(s_.size()));
      s_.reader.window(first, PieceIndex(first.value + static_cast<std::uint32_t>(s_.below(12))),
                       handle, s_.chance(30) ? 0.5e6 : 0);
    } else if (what < 80) {
      if (reads_.empty()) return;
      const ReadId read = reads_[s_.below(reads_.size())];
      if (!s_.reader.result(read).ended) s_.reader.cancel(read);
    } else if (what < 85) {
      s_.reader.close(handle);
    } else if (what < 90) {
      ++frozen_;
      s_.world.network.freeze(World::address(any_source().number), milliseconds(s_.below(9000)));
    } else if (what < 95 && away_.empty()) {
      away_.push_back(&any_source());
      away_.back()->leave();
    } else if (what >= 95) {
      for (EngineNode* away : std::exchange(away_, {})) away->come_back();
    }
  }
  EngineNode& any_source() { return *sources_[s_.below(sources_.size())]; }

  PolicyScene s_;
  std::vector<EngineNode*> sources_, away_;
  std::vector<ReadId> reads_;
  std::uint64_t frozen_ = 0;
};

TEST(Policy, HoldsInRandomSwarmsWithRandomUsers) {
  for (const auto seed : seeds(24)) {
    SCOPED_TRACE(replay(seed));
    Mix mix(seed);
    mix.run();
    mix.scene().print(seed, mix.scene().waits());
  }
}

TEST(Policy, TheSameSeedGivesTheSameTrace) {
  std::vector<std::uint64_t> traces;
  for (int i = 0; i < 2; ++i) {
    Mix mix(5);
    mix.run();
    traces.push_back(mix.scene().world.trace());
  }
  EXPECT_EQ(traces[0], traces[1]);
}

}  // namespace
}  // namespace swarmfs::sim
