// The depth of a peer's queue, from how its blocks arrive.
#include "swarm/engine/peer_pace.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;

/// A peer whose queue is kept at its depth: `rate` bytes a second after `delay`; with a `tick`, it
/// looks at its requests only so often.
struct Peer {
  PeerPace pace;
  double rate;
  Duration delay;
  Duration tick{};
  /// What would arrive in the first `hold` of each `hold_every`, after `hold_after`, comes at its
  /// end, as after a lost segment.
  Duration hold{}, hold_every = 24h, hold_after{};
  TimePoint now = TimePoint{} + 1h;
  TimePoint free = now;
  struct Asked {
    TimePoint sent, arrives;
  };
  std::deque<Asked> queue{};
  std::optional<PathRtt> path{};  ///< what the kernel says when it is asked

  void ask() {
    TimePoint seen = now + delay / 2;
    if (tick > Duration{}) {
      const auto past = (seen - TimePoint{}) % tick;
      seen += past > Duration{} ? tick - past : Duration{};
    }
    free = std::max(free, seen) + from_seconds(kBlockSize / rate);
    queue.push_back({now, free + delay / 2});
  }
  TimePoint held(TimePoint arrives) const {
    const Duration since = arrives - (TimePoint{} + 1h + hold_after);
    if (since < Duration{} || since % hold_every >= hold) return arrives;
    return arrives + hold - since % hold_every;
  }
  void run(Duration time, unsigned reqq = 1000) {
    const TimePoint end = now + time;
    while (now < end) {
      while (queue.size() < pace.depth(reqq)) ask();
      now = held(queue.front().arrives);
      if (path && pace.wants_path_rtt(now)) pace.path_rtt_is(path, now);
      pace.on_block(kBlockSize, queue.front().sent, now, queue.size());
      queue.pop_front();
    }
  }
  /// How long a block asked now would take.
  Duration wait() {
    ask();
    const Duration took = queue.back().arrives - now;
    queue.pop_back();
    free -= from_seconds(kBlockSize / rate);
    return took;
  }
};

TEST(PeerPace, FillsThePipeAndKeepsTheQueueShortForMinutes) {
  for (const Duration delay : {10ms, 50ms, 400ms}) {
    Peer peer{{}, 4e6, delay};
    peer.run(5s);
    const Duration early = peer.wait();
    EXPECT_GE(peer.pace.depth(1000) * kBlockSize, 4e6 * to_seconds(delay));
    peer.run(180s);
    EXPECT_LE(peer.wait(), early * 5 / 4);
    EXPECT_LE(peer.wait(), delay * 3 / 2 + 60ms);
  }
}

TEST(PeerPace, ALostSegmentDoesNotEndTheStart) {
  Peer peer{{}, 4e6, 200ms};
  peer.hold = 250ms;
  peer.hold_after = 500ms;
  peer.run(1600ms);
  EXPECT_GE(peer.pace.depth(1000) * kBlockSize, 4e6 * 0.2);
}

TEST(PeerPace, TheStartLeavesNoLongQueue) {
  // Depth is told of a full line a round trip late, and has doubled meanwhile; on a long path it
  // has half a round trip to spare.
  for (const Duration delay : {20ms, 50ms, 200ms}) {
    Peer peer{{}, 4e6, delay};
    peer.pace.set_connect_rtt(delay);
    Duration longest{};
    for (int i = 0; i < 100; ++i) {
      peer.run(delay / 5);
      longest = std::max(longest, peer.wait());
    }
    EXPECT_LE(longest, delay * 11 / 4 + 20ms) << to_seconds(delay);
    EXPECT_LE(peer.wait(), delay * 3 / 2 + 20ms) << to_seconds(delay);
  }
}

TEST(PeerPace, TheStartOfThePeersOwnWindowDoesNotEndOurs) {
  // A cold TCP window lets out less than a block, and doubles: each block takes two round trips,
  // though nothing queues.
  PeerPace pace;
  pace.set_connect_rtt(50ms);
  TimePoint now = TimePoint{} + 1h;
  pace.on_block(kBlockSize, now - 50ms, now, 1);
  for (int trip = 0; trip < 4; ++trip) {
    now += 50ms;
    for (int b = 0; b < 1 << trip; ++b)
      pace.on_block(kBlockSize, now - 100ms, now + b * 1ms, pace.depth(1000));
  }
  EXPECT_EQ(pace.depth(1000), PeerPace::kMinDepth) << "what queues is no reason for more";
  for (int trip = 0; trip < 3; ++trip) {
    now += 50ms;
    for (unsigned b = 0, n = pace.depth(1000); b < n; ++b)
      pace.on_block(kBlockSize, now - 50ms, now, pace.depth(1000));
  }
  EXPECT_GE(pace.depth(1000), 8 * PeerPace::kMinDepth) << "it still doubles";
}

TEST(PeerPace, LastsOverThePausesThatLossesMakeAgainAndAgain) {
  Peer lossy{{}, 4e6, 200ms};
  lossy.hold = 220ms;
  lossy.hold_every = 300ms;
  lossy.run(20s);
  EXPECT_GE(lossy.pace.depth(1000) * kBlockSize, 4e6 * 0.4);
  // One pause in ten seconds is no reason, nor are short ones.
  Peer seldom{{}, 4e6, 200ms};
  seldom.hold = 220ms;
  seldom.hold_every = 10s;
  seldom.run(25s);
  EXPECT_LE(seldom.pace.depth(1000) * kBlockSize, 4e6 * 0.32);
  Peer shared{{}, 4e6, 50ms};
  shared.hold = 25ms;
  shared.hold_every = 60ms;
  shared.run(20s);
  EXPECT_LE(shared.pace.depth(1000) * kBlockSize, 4e6 * 0.08);
}

TEST(PeerPace, DoesNotLastOverThePausesOfALineThatOverflows) {
  Peer full{{}, 4e6, 200ms};
  full.hold = 220ms;
  full.hold_every = 300ms;
  full.path = PathRtt{200ms, 210ms};
  full.run(5s);
  const unsigned covered = full.pace.depth(1000);
  EXPECT_GE(covered * kBlockSize, 4e6 * 0.5) << "the line has room";
  full.path = PathRtt{200ms, 380ms};
  full.run(1s);
  EXPECT_LE(full.pace.depth(1000), covered * 3 / 4) << "it is full";
  // A queue that has overflowed is empty for a moment.
  full.path = PathRtt{200ms, 200ms};
  full.run(200ms);
  EXPECT_LE(full.pace.depth(1000), covered * 3 / 4);
  full.run(2s);
  EXPECT_GE(full.pace.depth(1000), covered * 9 / 10);
}

TEST(PeerPace, GoesOnAskingMoreOfOneThatLooksAtItsRequestsTwiceASecond) {
  Peer peer{{}, 10e6, 1ms, 500ms};
  peer.pace.set_connect_rtt(1ms);
  peer.run(20s);
  // Half a second at this rate is 305 blocks; four would be 0.13 MB/s.
  EXPECT_GE(peer.pace.depth(1000), 60U);
}

TEST(PeerPace, AsksForATurnOfOneWhosePathIsMuchShorterThanItsTurns) {
  Peer peer{{}, 10e6, 1ms, 500ms};
  peer.pace.set_connect_rtt(1ms);
  peer.run(500ms);
  // What met a look at the requests was answered at once: that is the path.
  peer.pace.on_block(kBlockSize, peer.now - 1ms, peer.now, 4);
  peer.run(10s);
  EXPECT_GE(peer.pace.depth(1000), 100U);
}

TEST(PeerPace, ASlowLineHasNoTurns) {
  Peer peer{{}, 100e3, 20ms};
  peer.run(60s);
  EXPECT_LE(peer.pace.depth(1000), 2 * PeerPace::kMinDepth);
}

TEST(PeerPace, NoticesThatThePathHasBecomeLonger) {
  Peer peer{{}, 4e6, 20ms};
  peer.run(5s);
  peer.delay = 200ms;
  peer.run(60s);
  EXPECT_GE(peer.pace.depth(1000) * kBlockSize, 4e6 * 0.2 * 0.7);
}

TEST(PeerPace, TakesTheKernelsWordForALongerPath) {
  Peer peer{{}, 4e6, 20ms};
  peer.run(5s);
  peer.delay = 30ms;
  peer.run(15s);
  ASSERT_TRUE(peer.pace.rtt_is_old(peer.now));
  ASSERT_TRUE(peer.pace.wants_path_rtt(peer.now));
  peer.pace.path_rtt_is(std::nullopt, peer.now);
  EXPECT_FALSE(peer.pace.wants_path_rtt(peer.now)) << "not asked at every block";
  peer.pace.path_rtt_is(PathRtt{30ms, 30ms}, peer.now);
  peer.run(1s);
  EXPECT_GE(peer.pace.depth(1000) * kBlockSize, 4e6 * 0.03);
}

TEST(PeerPace, AsksNoMoreThanThePeerTakes) {
  Peer peer{{}, 100e6, 100ms};
  peer.run(5s, 50);
  EXPECT_EQ(peer.pace.depth(50), 50U);
}

}  // namespace
}  // namespace swarmfs::engine
