#include "swarm/engine/tracker_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
using wire::TrackerEvent;
using Announce = TrackerSchedule::Announce;

using Tiers = std::vector<std::vector<std::string>>;

/// A torrent's announces in virtual time.
class World {
 public:
  explicit World(Tiers tiers, std::size_t hashes = 1, std::uint64_t seed = 1)
      : schedule({std::move(tiers), make_hashes(hashes)}, Rng(seed), now) {}

  /// Everything the schedule wants sent at this instant.
  std::vector<Announce> drain() {
    std::vector<Announce> out;
    while (auto action = schedule.next_action(now)) {
      EXPECT_LT(out.size(), 1000U) << "the schedule never rests";
      out.push_back(*action);
      log.push_back(*action);
    }
    return out;
  }
  /// The one announce it wants now.
  Announce only() {
    const auto all = drain();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Announce{} : all.front();
  }
  void advance(Duration d) { now += d; }
  /// Goes to the deadline; returns how long that took.
  Duration wait() {
    const auto at = schedule.deadline();
    EXPECT_TRUE(at.has_value());
    const Duration step = at && *at > now ? *at - now : Duration::zero();
    now += step;
    return step;
  }
  void ok(const Announce& a, std::chrono::seconds interval = 1800s,
          std::optional<std::chrono::seconds> min_interval = std::nullopt, bool peers = true) {
    schedule.on_success(a.id, {interval, min_interval, peers, ""}, now);
  }
  void bad(const Announce& a) { schedule.on_failure(a.id, now); }

  static std::vector<Sha1Hash> make_hashes(std::size_t n) {
    std::vector<Sha1Hash> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(Sha1Hash{static_cast<std::uint8_t>(i + 1)});
    return out;
  }

  TimePoint now{1h};
  std::vector<Announce> log;
  TrackerSchedule schedule;
};

std::vector<std::string> urls(const std::vector<Announce>& announces) {
  std::vector<std::string> out;
  for (const auto& a : announces) out.push_back(a.url);
  return out;
}

TEST(TrackerSchedule, StartsAllTiersAtOnce) {
  World w(Tiers{{"a"}, {"b"}, {"c"}});
  const auto first = w.drain();
  EXPECT_THAT(urls(first), testing::ElementsAre("a", "b", "c"));
  for (const auto& a : first) EXPECT_EQ(a.event, TrackerEvent::started);
  EXPECT_TRUE(w.drain().empty());
  EXPECT_FALSE(w.schedule.deadline());
}

TEST(TrackerSchedule, ShufflesATierOnceAndDifferentlyBySeed) {
  std::set<std::string> heads;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    World w(Tiers{{"a", "b", "c"}}, 1, seed);
    heads.insert(w.only().url);
  }
  EXPECT_EQ(heads.size(), 3U);
}

TEST(TrackerSchedule, AHashThatComesLaterIsStartedAtEveryTier) {
  World w(Tiers{{"a"}, {"b"}});
  for (const Announce& first : w.drain()) w.ok(first);
  EXPECT_TRUE(w.drain().empty());
  const Sha1Hash later = World::make_hashes(2)[1];
  w.schedule.add_hash(later, w.now);
  const auto more = w.drain();
  EXPECT_THAT(urls(more), testing::ElementsAre("a", "b"));
  for (const Announce& a : more) {
    EXPECT_EQ(a.event, TrackerEvent::started);
    EXPECT_EQ(a.info_hash, later);
    w.ok(a);
  }
  w.schedule.stop();
  EXPECT_EQ(w.drain().size(), 4U) << "both are told goodbye";
}

TEST(TrackerSchedule, DoesNotWaitOutASilentTracker) {
  World w(Tiers{{"a", "b"}});
  const Announce silent = w.only();
  EXPECT_EQ(w.wait(), TrackerSchedule::kHedgeDelay);
  const Announce hedge = w.only();
  EXPECT_NE(hedge.url, silent.url);
  w.ok(hedge);
  w.advance(10s);
  EXPECT_TRUE(w.drain().empty());
  w.bad(silent);
  EXPECT_EQ(w.wait(), 1800s - 10s);
  EXPECT_EQ(w.only().url, hedge.url) << "the one that answered has moved to the front";
}

TEST(TrackerSchedule, TriesTheNextOfATierAtOnceWhenOneFails) {
  World w(Tiers{{"a", "b"}});
  const Announce first = w.only();
  w.bad(first);
  const Announce second = w.only();
  EXPECT_NE(second.url, first.url);
  EXPECT_EQ(second.event, TrackerEvent::started);
  w.ok(second);
  EXPECT_EQ(w.wait(), 1800s);
  const Announce again = w.only();
  EXPECT_EQ(again.url, second.url);
  EXPECT_EQ(again.event, TrackerEvent::none);
}

TEST(TrackerSchedule, BacksOffFurtherWithEveryFailure) {
  World w(Tiers{{"a"}});
  Duration last{};
  for (int i = 0; i < 40; ++i) {
    w.bad(w.only());
    const Duration pause = w.wait();
    EXPECT_GE(pause, TrackerSchedule::kFirstBackoff);
    EXPECT_LE(pause, TrackerSchedule::kLongestBackoff * 6 / 5);
    if (i < 6) {
      EXPECT_GT(pause, last);
    }
    last = pause;
  }
  EXPECT_GE(last, TrackerSchedule::kLongestBackoff);
}

TEST(TrackerSchedule, AnnouncesBothHashesOfAHybrid) {
  World w(Tiers{{"a"}}, 2);
  const auto first = w.drain();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_NE(first[0].info_hash, first[1].info_hash);
  w.ok(first[0]);
  w.bad(first[1]);
  EXPECT_LT(w.wait(), 10s);
  const Announce retry = w.only();
  EXPECT_EQ(retry.info_hash, first[1].info_hash);
  EXPECT_EQ(retry.event, TrackerEvent::started);
}

TEST(TrackerSchedule, WantingPeersWaitsForTheMinInterval) {
  World w(Tiers{{"a"}});
  w.ok(w.only(), 1800s, 90s);
  w.schedule.want_peers(w.now);
  EXPECT_TRUE(w.drain().empty());
  EXPECT_EQ(w.wait(), 90s);
  w.ok(w.only(), 1800s, 90s);
  EXPECT_EQ(w.wait(), 1800s) << "one wish is one announce";
}

TEST(TrackerSchedule, WithoutAMinIntervalAnEmptySwarmIsAskedSooner) {
  World w(Tiers{{"a"}});
  w.ok(w.only(), 1800s, std::nullopt, false);
  w.schedule.want_peers(w.now);
  EXPECT_EQ(w.wait(), 60s);
  w.ok(w.only(), 1800s, std::nullopt, true);
  w.schedule.want_peers(w.now);
  EXPECT_EQ(w.wait(), 300s);
}

TEST(TrackerSchedule, IsNotHurriedByAnAbsurdInterval) {
  World w(Tiers{{"a"}});
  w.ok(w.only(), 0s, 0s);
  EXPECT_EQ(w.wait(), 30s);
  w.ok(w.only(), std::chrono::seconds(0xffffffff), std::chrono::seconds(0xffffffff));
  EXPECT_EQ(w.wait(), 24h);
}

TEST(TrackerSchedule, TellsCompletedOnceAndAtOnce) {
  World w(Tiers{{"a"}});
  w.ok(w.only(), 1800s, 900s);
  w.advance(1s);
  w.schedule.completed();
  const Announce done = w.only();
  EXPECT_EQ(done.event, TrackerEvent::completed);
  w.bad(done);
  w.wait();
  const Announce again = w.only();
  EXPECT_EQ(again.event, TrackerEvent::completed);
  w.ok(again, 1800s);
  EXPECT_EQ(w.wait(), 1800s);
  EXPECT_EQ(w.only().event, TrackerEvent::none);
}

TEST(TrackerSchedule, CompletionDuringStartedIsToldAfterIt) {
  World w(Tiers{{"a"}});
  const Announce started = w.only();
  w.schedule.completed();
  EXPECT_TRUE(w.drain().empty()) << "one in flight per tracker and hash";
  w.ok(started);
  EXPECT_EQ(w.only().event, TrackerEvent::completed);
}

TEST(TrackerSchedule, CompletionBeforeATrackerKnowsUsIsNotTold) {
  World w(Tiers{{"a"}});
  w.bad(w.only());
  w.schedule.completed();
  w.wait();
  const Announce started = w.only();
  EXPECT_EQ(started.event, TrackerEvent::started);
  w.ok(started);
  EXPECT_TRUE(w.drain().empty());
}

TEST(TrackerSchedule, ADeadTrackersCompletedDoesNotHoldUpItsTier) {
  World w(Tiers{{"a", "b"}});
  const Announce a = w.only();
  w.ok(a);
  w.wait();
  w.bad(w.only());  // a is gone: b takes over
  const Announce b = w.only();
  ASSERT_NE(a.url, b.url);
  w.ok(b, 60s);
  w.schedule.completed();
  for (const auto& announce : w.drain()) {
    if (announce.url == a.url) {
      w.bad(announce);
    } else {
      w.ok(announce, 60s);
    }
  }
  for (int i = 0; i < 50; ++i) {
    w.wait();
    for (const auto& announce : w.drain()) {
      if (announce.url == a.url) {
        w.bad(announce);
      } else {
        w.ok(announce, 60s);
      }
    }
  }
  int to_b = 0;
  for (const auto& announce : w.log) to_b += announce.url == b.url;
  EXPECT_GT(to_b, 30);
}

TEST(TrackerSchedule, StopIsOwedToWhoeverMayKnowUs) {
  World w(Tiers{{"answers"}, {"silent"}, {"fails"}});
  const auto first = w.drain();
  w.ok(first[0]);
  w.bad(first[2]);
  EXPECT_FALSE(w.schedule.finished());
  w.schedule.stop();
  const auto last = w.drain();
  EXPECT_THAT(urls(last), testing::ElementsAre("answers", "silent"));
  for (const auto& a : last) EXPECT_EQ(a.event, TrackerEvent::stopped);
  w.ok(first[1]);  // the answer to the abandoned announce changes nothing
  EXPECT_FALSE(w.schedule.finished());
  w.ok(last[0]);
  w.bad(last[1]);
  EXPECT_TRUE(w.schedule.finished());
  EXPECT_FALSE(w.schedule.deadline());
  EXPECT_TRUE(w.drain().empty());
}

TEST(TrackerSchedule, StopBeforeAnythingWasSentIsFinished) {
  World w(Tiers{{"a"}});
  w.schedule.stop();
  EXPECT_TRUE(w.drain().empty());
  EXPECT_TRUE(w.schedule.finished());
}

TEST(TrackerSchedule, RepeatedUrlsCountOnceAndTheirNumberIsBounded) {
  std::vector<std::string> many(1000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = std::to_string(i);
  EXPECT_EQ(World(Tiers{{"a", "a"}, {"a"}, {}}).schedule.status().size(), 1U);
  EXPECT_EQ(World(Tiers{many}).schedule.status().size(), TrackerSchedule::kMaxTrackers);
}

TEST(TrackerSchedule, RemembersTheTrackerId) {
  World w(Tiers{{"a"}});
  w.schedule.on_success(w.only().id, {1800s, std::nullopt, true, "ticket"}, w.now);
  w.wait();
  EXPECT_EQ(w.only().tracker_id, "ticket");
}

TEST(TrackerSchedule, NeverHasTwoInFlightForATrackerAndHash) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    World w(Tiers{{"a", "b", "c"}, {"d"}, {"e", "f"}}, 2, seed);
    Rng rng(seed);
    std::map<std::uint64_t, Announce> flying;
    std::set<std::pair<std::string, Sha1Hash>> busy;
    bool stopped = false;
    const auto land = [&](std::map<std::uint64_t, Announce>::iterator it) {
      busy.erase({it->second.url, it->second.info_hash});
      if (rng() % 3 == 0) {
        w.bad(it->second);
      } else {
        w.ok(it->second, std::chrono::seconds(rng() % 4000));
      }
      flying.erase(it);
    };
    for (int step = 0; step < 400; ++step) {
      const auto dice = rng() % 20;
      if (dice == 0) w.schedule.completed();
      if (dice == 1) w.schedule.want_peers(w.now);
      if (dice == 2 && step > 300 && !std::exchange(stopped, true)) {
        w.schedule.stop();
        flying.clear();
        busy.clear();
      }
      for (const auto& a : w.drain()) {
        ASSERT_TRUE(busy.emplace(a.url, a.info_hash).second) << "seed " << seed;
        flying.emplace(a.id, a);
      }
      if (!flying.empty() && dice > 8) {
        land(std::next(flying.begin(), static_cast<std::ptrdiff_t>(rng() % flying.size())));
      } else {
        const auto at = w.schedule.deadline();
        ASSERT_TRUE(!at || *at > w.now) << "nothing was left to do now, seed " << seed;
        w.advance(at && rng() % 2 ? *at - w.now : Duration(1s));
      }
    }
  }
}

TEST(TrackerSchedule, APrivateTorrentAsksOneTrackerAtATime) {
  World world({{"http://a"}, {"http://b"}, {"http://c"}});
  world.schedule.one_at_a_time();
  const Announce first = world.only();
  EXPECT_EQ(first.url, "http://a");
  world.advance(30s);
  EXPECT_TRUE(world.drain().empty()) << "a slow one is waited for";
  world.bad(first);
  const Announce second = world.only();
  EXPECT_EQ(second.url, "http://b");
  world.ok(second, 1800s);
  EXPECT_TRUE(world.drain().empty());
  world.wait();
  const Announce again = world.only();
  EXPECT_EQ(again.url, "http://b") << "it works, so it is kept";
  world.bad(again);
  const Announce third = world.only();
  EXPECT_NE(third.url, "http://b");
}

TEST(TrackerSchedule, OneThatHasAnsweredStaysWhenATorrentTurnsOutPrivate) {
  World world({{"http://a"}, {"http://b"}}, 2);
  auto begun = world.drain();
  ASSERT_EQ(begun.size(), 4U);
  for (const Announce& a : begun) a.url == "http://b" ? world.ok(a, 60s) : world.bad(a);
  world.schedule.one_at_a_time();
  for (int round = 0; round < 5; ++round) {
    world.wait();
    for (const Announce& a : world.drain()) {
      EXPECT_EQ(a.url, "http://b");
      world.ok(a, 60s);
    }
  }
}

TEST(TrackerSchedule, WhoWorksIsToldSoonThatWeHaveMoved) {
  World w({{"a"}});
  w.ok(w.only());
  w.schedule.moved(w.now);
  EXPECT_EQ(w.wait(), TrackerSchedule::kMovedDelay);
  const Announce again = w.only();
  EXPECT_EQ(again.event, TrackerEvent::none);
  w.ok(again);
  EXPECT_GT(w.wait(), 10min);
}

TEST(TrackerSchedule, AnAnnounceThatWasUnderWayWhenWeMovedIsMadeAgain) {
  World w({{"a"}});
  const Announce first = w.only();
  w.schedule.moved(w.now);
  EXPECT_TRUE(w.drain().empty()) << "one at a time";
  w.ok(first);
  EXPECT_EQ(w.wait(), TrackerSchedule::kMovedDelay);
  w.ok(w.only());
  EXPECT_GT(w.wait(), 10min);
}

TEST(TrackerSchedule, MovingWakesNoTrackerThatFails) {
  World w({{"a"}});
  w.bad(w.only());
  const auto before = w.schedule.deadline();
  w.schedule.moved(w.now);
  EXPECT_EQ(w.schedule.deadline(), before);
}

TEST(TrackerSchedule, ANetworkThatIsBackWakesThoseThatFail) {
  World w(Tiers{{"a"}, {"b"}});
  const auto first = w.drain();
  w.ok(first[0]);
  w.bad(first[1]);
  for (int failures = 1; failures < 8; ++failures) {
    w.wait();
    w.bad(w.only());
  }
  EXPECT_GT(*w.schedule.deadline(), w.now + 10min);
  w.schedule.network_changed(w.now);
  const Announce at_once = w.only();
  EXPECT_EQ(at_once.url, "b");
  w.bad(at_once);
  EXPECT_EQ(w.wait(), TrackerSchedule::kMovedDelay);
  EXPECT_EQ(w.only().url, "a") << "who works is told where we are";
  EXPECT_LT(w.wait(), 2 * TrackerSchedule::kFirstBackoff) << "b begins with short rests again";
}

}  // namespace
}  // namespace swarmfs::engine
