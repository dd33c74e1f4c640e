#include "swarm/engine/choker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const TimePoint kStart = TimePoint{} + 1h;

/// A set of connected peers to which a Choker's answers are applied.
struct Swarm {
  explicit Swarm(ChokerConfig config = {}, std::uint64_t seed = 1) : choker(config), rng(seed) {}

  ChokePeer& join(bool interested = true) {
    ChokePeer peer;
    peer.id = PeerId(next_id++);
    peer.interested = interested;
    peer.connected_at = now;
    peers.push_back(peer);
    return peers.back();
  }
  ChokePeer& at(std::uint64_t id) {
    return *std::find_if(peers.begin(), peers.end(),
                         [id](const ChokePeer& p) { return p.id.value == id; });
  }
  void set_unchoked(ChokePeer& peer, bool unchoked) {
    if (unchoked) {
      peer.unchoked_at = now;
      peer.sent_since_unchoke = 0;
    }
    peer.unchoked = unchoked;
  }
  bool ask(std::uint64_t id) {
    const bool yes = choker.unchoke_now(peers, PeerId(id));
    if (yes) set_unchoked(at(id), true);
    return yes;
  }
  Choker::Decision round(bool seeding = false) {
    Choker::Decision d = choker.round(peers, seeding, now, rng);
    for (const PeerId id : d.choke) set_unchoked(at(id.value), false);
    for (const PeerId id : d.unchoke) set_unchoked(at(id.value), true);
    return d;
  }
  /// Lets a round's time pass, in which every unchoked peer takes some bytes.
  void pass() {
    now += 10s;
    for (ChokePeer& peer : peers)
      if (peer.unchoked && peer.interested) peer.sent_since_unchoke += 100'000;
  }
  unsigned unchoked() const {
    return static_cast<unsigned>(
        std::count_if(peers.begin(), peers.end(), [](const ChokePeer& p) { return p.unchoked; }));
  }

  Choker choker;
  Rng rng;
  TimePoint now = kStart;
  std::vector<ChokePeer> peers;
  std::uint64_t next_id = 0;
};

TEST(Choker, UnchokesAtOnceWhileASlotIsFree) {
  Swarm s;
  for (std::uint64_t id = 0; id < 7; ++id) {
    s.join();
    EXPECT_TRUE(s.ask(id));
  }
  s.join();
  EXPECT_FALSE(s.ask(7)) << "the eighth slot is a newcomer's";
  s.join().newcomer = true;
  EXPECT_TRUE(s.ask(8));
  s.join().newcomer = true;
  EXPECT_FALSE(s.ask(9)) << "all slots are taken";
}

TEST(Choker, UnchokesNobodyAtOnceWhoHasNoUseOrRightToIt) {
  Swarm s;
  s.join(false);
  s.join().upload_only = true;
  s.join().snubbed = true;
  s.join();
  EXPECT_FALSE(s.ask(0));
  EXPECT_FALSE(s.ask(1));
  EXPECT_FALSE(s.ask(2));
  EXPECT_TRUE(s.ask(3));
  EXPECT_FALSE(s.ask(3)) << "it has a slot already";
  EXPECT_FALSE(s.ask(99)) << "nobody knows it";
}

TEST(Choker, GivesAFreeSlotToWhoeverWaitsLongest) {
  ChokerConfig config;
  config.slots = 2;
  config.newcomer_slots = 0;
  Swarm s(config);
  for (std::uint64_t id = 0; id < 2; ++id) {
    s.join();
    EXPECT_TRUE(s.ask(id));
  }
  s.now += 1s;
  s.join();
  s.now += 1s;
  s.join();
  EXPECT_FALSE(s.ask(2));
  s.set_unchoked(s.at(0), false);
  s.at(0).interested = false;
  EXPECT_FALSE(s.ask(3)) << "2 came first";
  EXPECT_TRUE(s.ask(2));
  EXPECT_FALSE(s.ask(3));
}

TEST(Choker, KeepsThoseWhoGiveMostWhileDownloading) {
  ChokerConfig config;
  config.optimistic_slots = 0;
  config.newcomer_slots = 0;
  config.slots = 3;
  Swarm s(config);
  for (int i = 0; i < 6; ++i) s.join().down_bps = 1000.0 * i;
  EXPECT_THAT(s.round().unchoke, ElementsAre(PeerId(3), PeerId(4), PeerId(5)));
  s.pass();
  s.at(0).down_bps = 9000;
  const auto next = s.round();
  EXPECT_THAT(next.choke, ElementsAre(PeerId(3)));
  EXPECT_THAT(next.unchoke, ElementsAre(PeerId(0)));
}

TEST(Choker, TakesTheRegularSlotOfASnubbedPeer) {
  ChokerConfig config;
  config.optimistic_slots = 0;
  Swarm s(config);
  s.join().down_bps = 5000;
  EXPECT_THAT(s.round().unchoke, ElementsAre(PeerId(0)));
  s.pass();
  s.at(0).snubbed = true;
  EXPECT_THAT(s.round().choke, ElementsAre(PeerId(0)));
  s.pass();
  EXPECT_THAT(s.round(true).unchoke, ElementsAre(PeerId(0))) << "while seeding nobody owes us";
}

TEST(Choker, ChokesAPeerThatLostInterestEvenIfFresh) {
  Swarm s;
  s.join();
  ASSERT_TRUE(s.ask(0));
  s.at(0).interested = false;
  EXPECT_THAT(s.round().choke, ElementsAre(PeerId(0)));
}

TEST(Choker, DoesNotChokeAPeerUnchokedLessThanARoundAgo) {
  ChokerConfig config;
  config.optimistic_slots = 0;
  config.newcomer_slots = 0;
  config.slots = 1;
  Swarm s(config);
  s.join();
  ASSERT_TRUE(s.ask(0));
  s.join().down_bps = 1e6;
  s.now += 9s;
  EXPECT_THAT(s.round().choke, IsEmpty());
  s.now += 1s;
  EXPECT_THAT(s.round().choke, ElementsAre(PeerId(0)));
  EXPECT_TRUE(s.at(1).unchoked);
}

TEST(Choker, KeepsASlotForNewcomersAmongGenerousPeers) {
  Swarm s;
  for (int i = 0; i < 12; ++i) s.join().down_bps = 1e6 + i;
  s.round();
  EXPECT_EQ(s.unchoked(), 7u) << "six regular, one optimistic, the newcomers' slot stays free";
  s.join().newcomer = true;
  EXPECT_TRUE(s.ask(12));
  s.pass();
  s.round();
  EXPECT_TRUE(s.at(12).unchoked);
  EXPECT_EQ(s.unchoked(), 8u);
}

TEST(Choker, LeavesTheNewcomersSlotOutOfTheLottery) {
  Swarm s;
  for (std::uint64_t id = 0; id < 7; ++id) {
    s.join();
    ASSERT_TRUE(s.ask(id));
  }
  s.join();
  s.now += 1s;
  EXPECT_THAT(s.round().unchoke, IsEmpty()) << "the fresh ones fill all other slots";
}

TEST(Choker, RotatesTheOptimisticSlotEveryPeriod) {
  Swarm s;
  for (int i = 0; i < 12; ++i) s.join().down_bps = i < 6 ? 1e6 : 0;
  const auto optimistic = [&s] {
    std::vector<std::uint64_t> ids;
    for (const ChokePeer& p : s.peers)
      if (p.unchoked && p.down_bps == 0) ids.push_back(p.id.value);
    return ids;
  };
  s.round();
  for (int turn = 0; turn < 20; ++turn) {
    const auto held = optimistic();
    ASSERT_THAT(held, SizeIs(1));
    s.pass();
    s.round();
    s.pass();
    s.round();
    EXPECT_EQ(optimistic(), held) << "20 s are less than the period";
    s.pass();
    s.round();
    EXPECT_THAT(optimistic(), Not(Contains(held[0])));
  }
}

TEST(Choker, DrawsNewcomersThriceAsOften) {
  int newcomers = 0;
  constexpr int kDraws = 4000;
  ChokerConfig config;
  config.slots = 1;  // the optimistic one
  for (int i = 0; i < kDraws; ++i) {
    Swarm s(config, static_cast<std::uint64_t>(i));
    s.join().newcomer = true;
    s.join();
    const auto d = s.round();
    ASSERT_THAT(d.unchoke, SizeIs(1));
    newcomers += d.unchoke[0] == PeerId(0);
  }
  EXPECT_GT(newcomers, kDraws * 72 / 100);
  EXPECT_LT(newcomers, kDraws * 78 / 100);
}

TEST(Choker, WorksWithEveryNumberOfSlots) {
  for (unsigned slots = 0; slots < 12; ++slots) {
    ChokerConfig config;
    config.slots = slots;
    config.optimistic_slots = 4;
    config.newcomer_slots = 4;
    Swarm s(config);
    for (int i = 0; i < 20; ++i) s.join().newcomer = i % 2 == 0;
    s.round();
    EXPECT_EQ(s.unchoked(), slots);
  }
}

TEST(Choker, AnswersTheSameWhateverTheOrderOfPeers) {
  Swarm a;
  for (int i = 0; i < 30; ++i) {
    ChokePeer& p = a.join();
    p.newcomer = i % 3 == 0;
    p.down_bps = i % 4 == 0 ? 0 : i;
  }
  Swarm b = a;
  std::reverse(b.peers.begin(), b.peers.end());
  for (int i = 0; i < 30; ++i) {
    const auto x = a.round();
    const auto y = b.round();
    EXPECT_EQ(x.choke, y.choke);
    EXPECT_EQ(x.unchoke, y.unchoke);
    a.pass();
    b.pass();
  }
}

TEST(Choker, IsDueAtOnceAndThenEveryRound) {
  Swarm s;
  EXPECT_LE(s.choker.next_round(), kStart);
  s.round();
  EXPECT_EQ(s.choker.next_round(), kStart + 10s);
}

TEST(Choker, TakesTheSlotOfASeedsIdleGuestBeforeThatOfABusyOne) {
  for (const std::uint64_t idle : {0u, 1u}) {
    ChokerConfig config;
    config.slots = 2;
    config.optimistic_slots = 0;
    config.newcomer_slots = 0;
    Swarm s(config);
    s.join();
    s.join();
    s.round(true);
    s.now += 40s;
    s.at(1 - idle).sent_since_unchoke = 1'000'000;
    s.join();
    EXPECT_THAT(s.round(true).choke, ElementsAre(PeerId(idle)));
  }
}

/// One random life of a swarm, checking the rules at every step.
void live(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng dice(seed);
  const auto roll = [&dice](unsigned sides) { return static_cast<unsigned>(dice() % sides); };
  ChokerConfig config;
  config.slots = 1 + roll(12);
  Swarm s(config, seed);
  std::map<PeerId, TimePoint> since;  // unchoked
  for (int step = 0; step < 1500; ++step) {
    s.now += std::chrono::milliseconds(roll(3000));
    if (s.peers.size() < 30 && roll(2) == 0) s.join(roll(2) == 0).newcomer = roll(3) == 0;
    if (!s.peers.empty()) {
      ChokePeer& p = s.peers[roll(static_cast<unsigned>(s.peers.size()))];
      switch (roll(7)) {
        case 0:
          p.interested = true;
          s.ask(p.id.value);
          break;
        case 1:
          p.interested = false;
          if (roll(2) == 0) s.set_unchoked(p, false);
          break;
        case 2:
          p.snubbed = !p.snubbed;
          break;
        case 3:
          p.newcomer = false;
          break;
        case 4:
          p.down_bps = roll(5000);
          break;
        case 5:
          p.upload_only = roll(10) == 0;
          break;
        case 6:
          std::swap(p, s.peers.back());
          s.peers.pop_back();
          break;
      }
    }
    if (s.now >= s.choker.next_round()) {
      const auto before = s.peers;
      const auto d = s.round(roll(2) == 0);
      for (const PeerId id : d.choke) {
        const auto p = std::find_if(before.begin(), before.end(),
                                    [id](const ChokePeer& x) { return x.id == id; });
        ASSERT_NE(p, before.end());
        ASSERT_TRUE(p->unchoked);
        ASSERT_TRUE(!p->interested || p->upload_only || s.now - p->unchoked_at >= 10s);
      }
      for (const PeerId id : d.unchoke)
        ASSERT_TRUE(s.at(id.value).interested && !s.at(id.value).upload_only);
      for (const ChokePeer& p : s.peers)
        ASSERT_TRUE(!p.unchoked || p.interested) << "idle slots end with the round";
    }
    ASSERT_LE(s.unchoked(), config.slots);
  }
}

TEST(Choker, KeepsItsRulesInRandomSwarms) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) live(seed);
}

/// Longest time, in rounds, that a peer for which `counts` holds was choked though interested.
template <class Counts>
int longest_wait(Swarm& s, bool seeding, int rounds, Counts counts) {
  std::map<PeerId, int> waited;
  int longest = 0;
  for (int i = 0; i < rounds; ++i) {
    s.round(seeding);
    for (const ChokePeer& p : s.peers) {
      int& w = waited[p.id];
      w = p.unchoked ? 0 : w + 1;
      if (counts(p)) longest = std::max(longest, w);
    }
    s.pass();
  }
  return longest;
}

TEST(Choker, ServesEveryNewcomerWithinABoundedWait) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Swarm s({}, seed);
    for (int i = 0; i < 20; ++i) s.join().down_bps = 1e6;
    for (int i = 0; i < 5; ++i) s.join().newcomer = true;
    // Four others before it, each for three rounds at most.
    EXPECT_LE(longest_wait(s, false, 400, [](const ChokePeer& p) { return p.newcomer; }), 4 * 3)
        << "seed " << seed;
  }
}

TEST(Choker, StarvesNobodyWhileDownloading) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Swarm s({}, seed);
    for (int i = 0; i < 7; ++i) s.join().down_bps = 1e6;  // they take all regular slots
    for (int i = 0; i < 15; ++i) s.join().newcomer = i < 10;
    s.at(21).snubbed = true;
    // 16 at most wait for the lottery: its patience is 4 x 16 periods, then each in turn.
    EXPECT_LE(longest_wait(s, false, 3000, [](const ChokePeer&) { return true; }), 3 * 16 * 5)
        << "seed " << seed;
  }
}

TEST(Choker, GivesEverybodyATurnWhileSeeding) {
  for (const int count : {5, 9, 20, 60}) {
    Swarm s({}, 7);
    for (int i = 0; i < count; ++i) s.join().down_bps = i;  // of no matter
    const int turns = (count + 5) / 6;
    EXPECT_LE(longest_wait(s, true, 600, [](const ChokePeer&) { return true; }), 3 * turns)
        << count << " peers";
    EXPECT_EQ(s.unchoked(), std::min(7u, static_cast<unsigned>(count)));
  }
}

TEST(Choker, SharesBytesEvenlyWhileSeeding) {
  Swarm s;
  for (int i = 0; i < 21; ++i) s.join();
  std::map<PeerId, int> rounds;
  for (int i = 0; i < 1260; ++i) {
    s.round(true);
    for (const ChokePeer& p : s.peers) rounds[p.id] += p.unchoked;
    s.pass();
  }
  // Seven are served at a time: a third of the rounds for each of 21.
  for (const auto& [id, served] : rounds) EXPECT_NEAR(served, 420, 42) << id.value;
}

TEST(Choker, EndsTheTurnOfASeedsIdleGuestEarly) {
  ChokerConfig config;
  config.slots = 1;
  config.optimistic_slots = 0;
  Swarm s(config);
  s.join();
  s.round(true);
  ASSERT_TRUE(s.at(0).unchoked);
  s.now += 10s;  // it took nothing
  s.join();
  s.round(true);
  EXPECT_TRUE(s.at(1).unchoked);
  s.pass();  // 1 takes something, so its turn lasts the period
  s.round(true);
  EXPECT_TRUE(s.at(1).unchoked);
}

}  // namespace
}  // namespace swarmfs::engine
