#include "tests/netlab/switch/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/netlab/frames.h"

namespace swarmfs::netlab {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr TimePoint kStart = TimePoint{} + 1h;

/// A network in virtual time. Station N of frames.h is port N - 1.
struct World {
  struct Arrival {
    PortIndex port;
    TimePoint at;
    Frame frame;
  };

  Network network;
  TimePoint now = kStart;
  std::vector<Arrival> arrivals;

  explicit World(std::vector<Profile> profiles, std::uint64_t seed = 1)
      : network(seed, [this](PortIndex port, const Frame& f) {
          arrivals.push_back({port, now, f});
        }) {
    for (const Profile& p : profiles) network.add("p" + std::to_string(network.size()), p, now);
    for (PortIndex i = 0; i < profiles.size(); ++i) introduce(i);
  }

  /// The switch learns where the station is.
  void introduce(PortIndex port) {
    network.receive(port, small_frame(14, static_cast<std::uint8_t>(port + 1), 0xFF), now);
    run_for(10s);
    arrivals.clear();
  }

  void run_until(TimePoint end) {
    while (network.next() <= end) {
      now = std::max(now, network.next());
      network.advance(now);
    }
    now = end;
  }
  void run_for(Duration time) { run_until(now + time); }

  /// Sends frames from port 0 to port 1, `gap` apart, and returns how late each arrived.
  std::vector<Duration> delays(int count, Duration gap, std::size_t size = 100) {
    std::vector<TimePoint> sent;
    const std::size_t before = arrivals.size();
    for (int i = 0; i < count; ++i) {
      Frame frame = small_frame(size);
      frame.bytes[14] = static_cast<std::uint8_t>(i);
      sent.push_back(now);
      network.receive(0, std::move(frame), now);
      run_for(gap);
    }
    run_for(10s);
    std::vector<Duration> found;
    for (std::size_t i = before; i < arrivals.size(); ++i) {
      found.push_back(arrivals[i].at - sent[arrivals[i].frame.bytes[14]]);
    }
    return found;
  }
};

Profile with(std::initializer_list<std::pair<const char*, const char*>> values) {
  Profile profile;
  for (const auto& [key, value] : values) profile.set(key, value);
  return profile;
}

TEST(NetlabNetwork, DelaysAddUpAndRatesFollow) {
  World world(
      {with({{"delay", "10ms"}, {"up", "8mbit"}}), with({{"delay", "5ms"}, {"down", "4mbit"}})});
  EXPECT_THAT(world.delays(2, 1s, 1000), ElementsAre(18ms, 18ms));  // 1 + 10 + 5 + 2
}

TEST(NetlabNetwork, EachDirectionHasItsOwnRate) {
  World world({with({{"up", "8mbit"}, {"down", "80mbit"}}), {}});
  const TimePoint start = world.now;
  world.network.receive(1, small_frame(1000, 2, 1), start);
  world.run_for(1s);
  ASSERT_EQ(world.arrivals.size(), 1u);
  EXPECT_EQ(world.arrivals[0].at - start, 100us);
}

TEST(NetlabNetwork, TwoSendersShareTheReceiversDownlink) {
  World world({{}, with({{"down", "8mbit"}}), {}});
  const TimePoint start = world.now;
  for (int i = 0; i < 5; ++i) {
    world.network.receive(0, small_frame(1000, 1, 2), start);
    world.network.receive(2, small_frame(1000, 3, 2), start);
  }
  world.run_for(1s);
  ASSERT_EQ(world.arrivals.size(), 10u);
  EXPECT_EQ(world.arrivals.back().at - start, 10ms);
}

TEST(NetlabNetwork, GroupsAndStrangersAreFlooded) {
  World world({Profile{}, Profile{}, Profile{}});
  const auto reached = [&](std::uint8_t to) {
    world.arrivals.clear();
    world.network.receive(0, small_frame(60, 1, to), world.now);
    world.run_for(1s);
    std::vector<PortIndex> ports;
    for (const auto& arrival : world.arrivals) ports.push_back(arrival.port);
    return ports;
  };
  EXPECT_THAT(reached(0xFF), ElementsAre(1, 2));
  EXPECT_THAT(reached(99), ElementsAre(1, 2));
  EXPECT_THAT(reached(3), ElementsAre(2));
  EXPECT_THAT(reached(1), IsEmpty());  // to itself
}

TEST(NetlabNetwork, LosesTheShareOfBothEnds) {
  World world({with({{"loss", "0.1"}}), with({{"loss", "0.2"}})});
  for (int i = 0; i < 100'000; ++i) world.network.receive(0, small_frame(60), world.now);
  world.run_for(1s);
  EXPECT_NEAR(static_cast<double>(world.arrivals.size()), 72'000, 800);  // 0.9 * 0.8, 5.6 sigma
  const Counters &sender = world.network.counters(0), &receiver = world.network.counters(1);
  EXPECT_EQ(sender.up_packets, sender.up_lost + receiver.down_lost + receiver.down_packets);
}

TEST(NetlabNetwork, LossTakesSinglePacketsOutOfSuperFrames) {
  for (const bool at_sender : {true, false}) {
    World world(
        {with({{"loss", at_sender ? "0.1" : "0"}}), with({{"loss", at_sender ? "0" : "0.1"}})});
    for (int i = 0; i < 1000; ++i) world.network.receive(0, tcp_frame(20'000, 1000), world.now);
    world.run_for(1s);
    EXPECT_NEAR(static_cast<double>(world.arrivals.size()), 18'000, 250);
    for (const auto& arrival : world.arrivals) {
      ASSERT_EQ(arrival.frame.bytes.size(), 1000 + kHeaders4);
    }
  }
}

TEST(NetlabNetwork, ASlowReceiverGetsPacketsAndNotBursts) {
  World world({{}, with({{"down", "8mbit"}})});
  const TimePoint start = world.now;
  world.network.receive(0, tcp_frame(3000, 1000), start);
  world.run_for(1s);
  ASSERT_EQ(world.arrivals.size(), 3u);
  const Duration each = 1us * (1000 + kHeaders4);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(world.arrivals[static_cast<std::size_t>(i)].at - start, (i + 1) * each);
}

TEST(NetlabNetwork, AnUnshapedNetworkLeavesSuperFramesWhole) {
  World world({Profile{}, Profile{}});
  const std::uint64_t before = world.network.counters(1).down_packets;
  world.network.receive(0, tcp_frame(60'000), world.now);
  world.run_for(1s);
  ASSERT_EQ(world.arrivals.size(), 1u);
  EXPECT_EQ(world.network.counters(1).down_packets - before, 42u);
}

TEST(NetlabNetwork, JitterIsBetweenNothingAndItsMost) {
  World world({with({{"delay", "10ms"}, {"jitter", "4ms"}}), {}});
  const auto delays = world.delays(200, 20ms);
  const auto [least, most] = std::minmax_element(delays.begin(), delays.end());
  EXPECT_GE(*least, 10ms);
  EXPECT_LT(*least, 10ms + 200us);
  EXPECT_LE(*most, 14ms);
  EXPECT_GT(*most, 14ms - 200us);
}

TEST(NetlabNetwork, JitterReordersOnlyWhenAskedTo) {
  for (const bool reorder : {false, true}) {
    World world({with({{"jitter", "4ms"}, {"reorder", reorder ? "true" : "false"}}), {}});
    world.delays(200, 100us);
    ASSERT_EQ(world.arrivals.size(), 200u);
    const bool sorted = std::is_sorted(
        world.arrivals.begin(), world.arrivals.end(),
        [](const auto& a, const auto& b) { return a.frame.bytes[14] < b.frame.bytes[14]; });
    EXPECT_EQ(sorted, !reorder);
  }
}

TEST(NetlabNetwork, ChangesHoldFromThenOn) {
  World world({with({{"delay", "10ms"}}), {}});
  world.network.receive(0, small_frame(100), world.now);
  const TimePoint start = world.now;
  world.run_for(5ms);
  world.network.set(0, with({{"delay", "50ms"}}), world.now);
  world.network.receive(0, small_frame(100), world.now);
  world.run_for(1s);
  ASSERT_EQ(world.arrivals.size(), 2u);
  EXPECT_EQ(world.arrivals[0].at - start, 10ms);
  EXPECT_EQ(world.arrivals[1].at - start, 55ms);
}

TEST(NetlabNetwork, ADeadLinkLosesBothWaysAndRecovers) {
  World world({with({{"up", "8mbit"}, {"down", "8mbit"}}), {}});
  const Profile alive = world.network.profile(0);
  world.network.set(0, with({{"up", "0"}, {"down", "0"}}), world.now);
  world.network.receive(0, small_frame(100, 1, 2), world.now);
  world.network.receive(1, small_frame(100, 2, 1), world.now);
  world.run_for(1s);
  EXPECT_THAT(world.arrivals, IsEmpty());
  EXPECT_EQ(world.network.counters(0).up_dropped, 1u);
  EXPECT_EQ(world.network.counters(0).down_dropped, 1u);
  world.network.set(0, alive, world.now);
  EXPECT_THAT(world.delays(1, 1s), ElementsAre(100us));
}

TEST(NetlabNetwork, AFrameIsNotSentBeforeItIsHere) {
  World world({with({{"up", "8mbit"}}), {}});
  const TimePoint start = world.now;
  world.network.receive(0, small_frame(1000), start);
  // The first has left at 1 ms, but nobody has looked since.
  world.network.receive(0, small_frame(1000), start + 5ms);
  world.run_for(1s);
  EXPECT_EQ(world.arrivals.back().at - start, 6ms);
}

TEST(NetlabNetwork, TheSameSeedLosesTheSame) {
  const auto run = [](std::uint64_t seed) {
    World world({with({{"loss", "0.3"}}), {}}, seed);
    world.delays(200, 1ms);
    std::vector<int> numbers;
    for (const auto& arrival : world.arrivals) numbers.push_back(arrival.frame.bytes[14]);
    return numbers;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace swarmfs::netlab
