// The policy towards peers on which a read depends: the only holder of a piece, one that chokes in
// the middle, one that answers only some requests, one that is asked again for what was taken back.
#include <memory>

#include "swarm/engine/torrent_limits.h"
#include "tests/sim/policy_scene.h"

namespace swarmfs::sim {
namespace {

class PolicyPeersTest : public testing::TestWithParam<Format> {};

INSTANTIATE_TEST_SUITE_P(Formats, PolicyPeersTest, testing::Values(Format::v1, Format::v2),
                         [](const auto& instance) {
                           return instance.param == Format::v1 ? "V1" : "V2";
                         });

constexpr std::uint32_t kPieceLength = 256 << 10;

/// A fast seed of all but one piece, and a far and slow peer that has nothing else.
struct OneHolder {
  static constexpr std::uint32_t kPieces = 32, kRare = 7;
  OneHolder(Format format, std::uint64_t seed, Duration read_timeout)
      : s(Content::make(format, kPieces, kPieceLength), seed, true, read_timeout) {
    NodeOptions most = node(3e6, 10e6), rare = node(0.3e6, 10e6, 70ms);
    for (std::uint32_t i = 0; i < kPieces; ++i)
      if (i != kRare) most.has.push_back(i);
    rare.has = {kRare};
    for (NodeOptions* options : {&most, &rare}) options->config.on_demand = true;
    s.add_source(most);
    holder = &s.add_source(rare);
    s.world.run_for(1s);
  }
  ReadId read_rare() { return s.reader.read(kRare * std::uint64_t{kPieceLength}, kPieceLength); }
  PolicyScene s;
  EngineNode* holder = nullptr;
};

TEST_P(PolicyPeersTest, ThePieceOfOnlyOnePeerWaitsForItAndNothingElseDoes) {
  for (const auto seed : seeds(2)) {
    SCOPED_TRACE(replay(seed));
    OneHolder o(GetParam(), seed, 60s);
    const ReadId rare = o.read_rare();
    o.s.world.run_for(400ms);
    o.holder->leave();
    std::vector<Duration> others;
    for (int i = 0; i < 10; ++i) {
      const auto offset = (OneHolder::kRare + 1 + 2 * static_cast<std::uint64_t>(i)) * kPieceLength;
      others.push_back(o.s.wait(o.s.reader.read(offset, 16 << 10, HandleId(2))));
      o.s.world.run_for(300ms);
    }
    EXPECT_LE(quantile(others, 1), 300ms);
    EXPECT_FALSE(o.s.reader.result(rare).ended);
    const TimePoint back = o.s.world.now();
    o.holder->come_back();
    o.s.wait(rare);
    EXPECT_TRUE(o.s.reader.result(rare).answered());
    std::printf("seed %llu: answered %.1f s after it came back\n",
                static_cast<unsigned long long>(seed), to_seconds(o.s.world.now() - back));
    EXPECT_LE(o.s.world.now() - back, 30s) << "a dial or two, and the piece";
    o.s.settle();
  }
}

TEST_P(PolicyPeersTest, WithoutItsOnlyHolderAReadFailsInTime) {
  OneHolder o(GetParam(), 1, 10s);
  const ReadId rare = o.read_rare();
  o.s.world.run_for(400ms);
  o.holder->leave();
  EXPECT_LE(o.s.wait(rare), 11s);
  EXPECT_EQ(o.s.reader.result(rare).error, ErrorKind::timed_out);
  o.s.settle();
}

/// What it does with requests while it chokes depends on the fast extension (BEP 6).
TEST_P(PolicyPeersTest, AChokeInTheMiddleOfEveryThirdReadCostsNoMoreThanTheChoke) {
  constexpr Duration kChoke = 300ms;
  for (const bool fast : {true, false}) {
    SCOPED_TRACE(fast ? "fast" : "not fast");
    struct State {
      bool armed = false, choking = false;
      unsigned answered = 0;
    };
    const auto state = std::make_shared<State>();
    PolicyScene s(Content::make(GetParam(), 64, 64 << 10), 1, true);
    Script script;
    script.line = {1e6, 1e6, 10ms, {}, 0};
    script.fast = fast;
    script.on_request = [state, fast](ScriptedPeer& self, SocketId socket,
                                      const wire::BlockRef& block) {
      if (state->choking) {
        if (fast) self.reject(socket, block);
        return;
      }
      if (!state->armed || ++state->answered < 2) return self.send_block(socket, block);
      *state = {false, true, 0};
      self.plain(socket, wire::MessageId::choke);
      if (fast) self.reject(socket, block);
      self.world().timeline.after(kChoke, [&self, state, socket] {
        state->choking = false;
        self.plain(socket, wire::MessageId::unchoke);
      });
    };
    s.add_source(std::move(script));
    s.world.run_for(500ms);
    std::vector<Duration> quiet, choked;
    for (std::uint64_t i = 0; i < 15; ++i) {
      state->armed = i % 3 == 2;
      const Duration took = s.wait(s.reader.read(i * (64 << 10), 64 << 10));
      (i % 3 == 2 ? choked : quiet).push_back(took);
      s.world.run_for(50ms);
    }
    // A piece of 64 KiB takes 70 ms, a round trip 40 ms.
    EXPECT_LE(quantile(quiet, 1), 250ms);
    EXPECT_GE(quantile(choked, 0), kChoke);
    EXPECT_LE(quantile(choked, 1), kChoke + 250ms);
    s.settle();
  }
}

/// It is never silent for long, so that only the age of single requests tells.
TEST_P(PolicyPeersTest, ASeedThatAnswersEverySecondRequestHoldsNobodyUp) {
  for (const auto seed : seeds(3)) {
    for (const bool on_demand : {true, false}) {
      SCOPED_TRACE(replay(seed));
      PolicyScene s(Content::make(GetParam(), 192, kPieceLength), seed, on_demand);
      Script script;
      script.line = {4e6, 10e6, 5ms, {}, 0};
      script.on_request = [](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
        if (self.requests % 2 == 0) self.send_block(socket, block);
      };
      s.add_source(std::move(script));
      s.add_source(seeder(1e6));
      s.world.run_for(500ms);
      for (int i = 0; i < 30; ++i) {
        const auto read = s.cold_read(16 << 10);
        if (!read) break;
        s.wait(*read);
        s.world.run_for(std::chrono::milliseconds(s.below(100)));
      }
      const auto took = s.waits();
      s.print(seed, took);
      EXPECT_LE(quantile(took, 0.5), 800ms);
      // A block that backfill asked it for long ago is missed once it is silent, or snubbed.
      EXPECT_LE(quantile(took, 1), on_demand ? 2s : engine::limits::kBlockTimeout);
      // What it ignores is asked of another, whose answer it may cross after all.
      s.settle({.useless = 0.03});
    }
  }
}

/// A seed that keeps to BEP 6 answers a cancel with a reject, which may cross a new request for the
/// same block. It has the piece nevertheless.
TEST_P(PolicyPeersTest, WhatIsTakenBackAndWantedAgainStillComesFromTheOnlySeed) {
  PolicyScene s(Content::make(GetParam(), 64, kPieceLength), 1, true, 20s);
  const auto queue = std::make_shared<std::vector<wire::BlockRef>>();
  const auto take = [queue](const wire::BlockRef& block) {
    const auto it = std::find(queue->begin(), queue->end(), block);
    if (it == queue->end()) return false;
    queue->erase(it);
    return true;
  };
  Script script;
  script.line = {1e6, 1e6, 10ms, {}, 0};
  script.on_request = [=](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
    queue->push_back(block);
    self.world().timeline.after(50ms, [=, &self] {
      if (take(block)) self.send_block(socket, block);
    });
  };
  script.on_cancel = [=](ScriptedPeer& self, SocketId socket, const wire::BlockRef& block) {
    if (take(block)) self.reject(socket, block);
  };
  s.add_source(std::move(script));
  s.world.run_for(500ms);
  const auto look_at = [&](std::uint32_t piece) {
    s.reader.window(PieceIndex(piece), PieceIndex(piece + 6));
    return s.reader.read(piece * std::uint64_t{kPieceLength}, 64 << 10);
  };
  for (std::uint32_t at = 0; at < 30; at += 6) {
    s.reader.cancel(look_at(at));
    s.world.run_for(25ms);
    const ReadId away = look_at(40);
    s.world.run_for(5ms);
    s.reader.cancel(away);
    EXPECT_LE(s.wait(look_at(at)), 1500ms);
  }
  s.settle({.crossed = 0.3});
}

}  // namespace
}  // namespace swarmfs::sim
