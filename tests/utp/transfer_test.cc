// Transfers over bad links, in virtual time: every byte compared, and how fast and how fair it is.
#include <gtest/gtest.h>

#include "tests/utp/link_world.h"

namespace swarmfs::test {
namespace {

using namespace std::chrono_literals;

struct Transfer {
  Transfer(Timeline& time, Link& there, Link& back, std::uint8_t number, std::uint64_t bytes,
           std::uint64_t answer = 0)
      : a(time, {IpAddress::v4({10, 0, 0, number}), 6881}, number),
        b(time, {IpAddress::v4({10, 0, 1, number}), 6881}, number + 100U),
        to_send(bytes),
        to_answer(answer) {
    a.connect_to(b, there);
    b.connect_to(a, back);
    b.clock_offset = 37s;
    b.on_accepted = [this](utp::Socket& socket) {
      receiver = std::make_unique<Party>(b, socket, 2, to_answer, 1);
    };
  }
  void start() {
    sender = std::make_unique<Party>(a, *a.mux().connect(b.self(), a.clock()), 1, to_send, 2);
    a.flush();
  }
  bool done() const {
    return receiver && receiver->received == to_send && sender->received == to_answer;
  }
  std::uint64_t received() const { return receiver ? receiver->received : 0; }

  UtpHost a, b;
  std::uint64_t to_send, to_answer;
  std::unique_ptr<Party> sender, receiver;
};

constexpr std::uint64_t kEndless = std::uint64_t{1} << 40;

TEST(UtpTransfer, ArrivesWholeOverEveryKindOfBadLink) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const auto up_to = [&](double most) { return std::uniform_real_distribution<>(0, most)(rng); };
    Timeline time;
    LinkShape shape;
    shape.bits_per_second = 1e6 + up_to(30e6);
    shape.delay = from_seconds(up_to(0.1));
    shape.queue = from_seconds(0.005 + up_to(0.2));
    shape.jitter = from_seconds(up_to(0.02));
    shape.reorder = seed % 2 == 0;
    shape.loss = up_to(0.1);
    shape.duplicate = up_to(0.05);
    Link there(time, shape, seed), back(time, shape, seed + 1000);
    Transfer transfer(time, there, back, 1, 300'000, 100'000);
    transfer.b.clock_rate = 1 + up_to(0.0002);
    transfer.start();
    ASSERT_TRUE(time.run_until([&] { return transfer.done(); }, 300s))
        << transfer.received() << " of " << transfer.to_send;
    EXPECT_EQ(transfer.receiver->wrong + transfer.sender->wrong, 0U);
    transfer.sender->close();
    transfer.a.flush();
    EXPECT_TRUE(time.run_until([&] { return transfer.receiver->ended; }, 60s));
  }
}

/// Mbit/s of payload in the second half of `time`.
double steady(Timeline& timeline, const Transfer& transfer, Duration time) {
  timeline.run_until(timeline.now() + time / 2);
  const std::uint64_t before = transfer.received();
  timeline.run_until(timeline.now() + time / 2);
  return static_cast<double>(transfer.received() - before) * 8e-6 / to_seconds(time / 2);
}

TEST(UtpTransfer, FillsALongLink) {
  Timeline time;
  const LinkShape shape{.bits_per_second = 100e6, .delay = 25ms};
  Link there(time, shape, 1), back(time, shape, 2);
  Transfer transfer(time, there, back, 1, kEndless);
  transfer.start();
  EXPECT_GT(steady(time, transfer, 20s), 90);
  EXPECT_EQ(there.dropped, 0U);
}

TEST(UtpTransfer, IsNotCrippledByLossesThatNoQueueCaused) {
  double got[2];
  for (const bool cubic : {false, true}) {
    Timeline time;
    const LinkShape shape{.bits_per_second = 100e6, .delay = 100ms, .loss = 0.001};
    Link there(time, shape, 3), back(time, shape, 4);
    Transfer transfer(time, there, back, 1, kEndless);
    CubicFlow flow(time, there, 100ms);
    if (!cubic) {
      transfer.start();
      got[0] = steady(time, transfer, 200s);
    } else {
      flow.start();
      time.run_until(time.now() + 100s);
      const std::uint64_t before = flow.delivered_packets;
      time.run_until(time.now() + 100s);
      got[1] = static_cast<double>(flow.delivered_packets - before) * 1448 * 8e-6 / 100;
    }
  }
  EXPECT_GT(got[0], got[1]) << "of CUBIC";
}

TEST(UtpTransfer, MakesRoomForAFlowThatFillsTheQueue) {
  for (const Duration queue : {100ms, 20ms}) {
    SCOPED_TRACE(queue / 1ms);
    Timeline time;
    const LinkShape shape{.bits_per_second = 20e6, .queue = queue, .delay = 25ms};
    Link there(time, shape, 5), back(time, shape, 6);
    Transfer transfer(time, there, back, 1, kEndless);
    CubicFlow flow(time, there, 25ms);
    transfer.start();
    time.run_until(time.now() + 5s);
    flow.start();
    const double share = steady(time, transfer, 60s) / 20;
    EXPECT_LT(share, 0.2);
    EXPECT_GT(share, 0.0);
  }
}

TEST(UtpTransfer, FillsALinkWithAShortQueueWhenAlone) {
  Timeline time;
  const LinkShape shape{.bits_per_second = 20e6, .queue = 20ms, .delay = 25ms};
  Link there(time, shape, 5), back(time, shape, 6);
  Transfer transfer(time, there, back, 1, kEndless);
  transfer.start();
  EXPECT_GT(steady(time, transfer, 120s), 17);
}

TEST(UtpTransfer, SharesWithALaterOneOfItsKind) {
  Timeline time;
  const LinkShape shape{.bits_per_second = 20e6, .queue = 300ms, .delay = 25ms};
  Link there(time, shape, 7), back(time, shape, 8);
  Transfer first(time, there, back, 1, kEndless), second(time, there, back, 2, kEndless);
  first.start();
  time.run_until(time.now() + 5s);
  second.start();
  time.run_until(time.now() + 60s);
  const std::uint64_t before = first.received();
  const double later = steady(time, second, 120s);
  const double earlier = static_cast<double>(first.received() - before) * 8e-6 / 120;
  EXPECT_GT(later, 3);
  EXPECT_GT(earlier, 3);
}

TEST(UtpTransfer, IsTheSameRunForTheSameSeed) {
  std::uint64_t sent[2];
  for (auto& one : sent) {
    Timeline time;
    const LinkShape shape{
        .bits_per_second = 10e6, .delay = 25ms, .jitter = 5ms, .reorder = true, .loss = 0.01};
    Link there(time, shape, 9), back(time, shape, 10);
    Transfer transfer(time, there, back, 1, 1'000'000);
    transfer.start();
    ASSERT_TRUE(time.run_until([&] { return transfer.done(); }, 100s));
    one = transfer.a.sent_datagrams + 1000 * transfer.b.sent_datagrams;
  }
  EXPECT_EQ(sent[0], sent[1]);
}

}  // namespace
}  // namespace swarmfs::test
