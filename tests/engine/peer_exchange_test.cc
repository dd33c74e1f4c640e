#include "swarm/engine/peer_exchange.h"

#include <gtest/gtest.h>

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;

Endpoint peer(unsigned n) {
  return {IpAddress::v4({20, 1, static_cast<std::uint8_t>(n / 256), static_cast<std::uint8_t>(n)}),
          6881};
}

Endpoint at(const char* text) { return Endpoint::parse(text).value(); }

struct PeerExchangeTest : testing::Test {
  TimePoint now = TimePoint{} + 1h;
  PeerExchange exchange;

  void join(unsigned n, std::uint8_t flags = 0) { exchange.joined(PeerId(n), peer(n), flags); }
  void listen(unsigned n) { exchange.subscribe(PeerId(n), peer(n).address, true, now); }
  PeerExchange::Heard hear(unsigned from, unsigned first, unsigned count) {
    wire::PexMessage message;
    for (unsigned i = 0; i < count; ++i) message.added.push_back({peer(first + i), 0});
    return exchange.on_message(PeerId(from), peer(from).address, message, now);
  }
};

TEST_F(PeerExchangeTest, TellsOfTheOthersAndThenOfWhatHasChanged) {
  join(1);
  join(2, wire::pex_flags::kSeed);
  join(3);
  listen(1);
  EXPECT_EQ(exchange.deadline(), now + PeerExchange::kFirstAfter);
  EXPECT_FALSE(exchange.next(now));
  now += PeerExchange::kFirstAfter;
  const auto first = exchange.next(now);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->to, PeerId(1));
  EXPECT_EQ(first->message.added,
            (std::vector<wire::PexPeer>{{peer(2), wire::pex_flags::kSeed}, {peer(3), 0}}))
      << "nobody is told of itself";
  EXPECT_TRUE(first->message.dropped.empty());
  EXPECT_FALSE(exchange.next(now));
  EXPECT_FALSE(exchange.deadline()) << "nothing has changed";

  exchange.left(PeerId(2));
  join(4);
  EXPECT_EQ(exchange.deadline(), now + 1min);
  now += 59s;
  EXPECT_FALSE(exchange.next(now)) << "once a minute";
  now += 1s;
  const auto second = exchange.next(now);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->message.added, (std::vector<wire::PexPeer>{{peer(4), 0}}));
  EXPECT_EQ(second->message.dropped, (std::vector<Endpoint>{peer(2)}));
}

TEST_F(PeerExchangeTest, WhoCameAndWentBetweenTwoMessagesIsNotMentioned) {
  join(2);
  listen(1);
  now += 5s;
  ASSERT_TRUE(exchange.next(now));
  join(3);
  exchange.left(PeerId(3));
  exchange.left(PeerId(2));
  join(2);
  now += 1min;
  EXPECT_FALSE(exchange.next(now));
  EXPECT_FALSE(exchange.deadline());
}

TEST_F(PeerExchangeTest, AMessageIsBoundedAndTheRestFollows) {
  for (unsigned n = 10; n < 170; ++n) join(n);
  listen(1);
  now += 5s;
  EXPECT_EQ(exchange.next(now)->message.added.size(), PeerExchange::kMostAtFirst);
  now += 1min;
  EXPECT_EQ(exchange.next(now)->message.added.size(), PeerExchange::kMost);
  now += 1min;
  EXPECT_EQ(exchange.next(now)->message.added.size(), 10U);
  now += 1min;
  EXPECT_FALSE(exchange.next(now));
  for (unsigned n = 10; n < 170; ++n) exchange.left(PeerId(n));
  EXPECT_EQ(exchange.next(now)->message.dropped.size(), PeerExchange::kMost);
}

TEST_F(PeerExchangeTest, ALocalAddressIsNoBusinessOfThePublicNetwork) {
  exchange.joined(PeerId(2), at("192.168.1.5:7000"), 0);
  exchange.joined(PeerId(3), at("127.0.0.1:7000"), 0);
  listen(1);
  exchange.subscribe(PeerId(4), IpAddress::parse("192.168.1.9").value(), true, now);
  now += 5s;
  const auto told = exchange.next(now);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->to, PeerId(4));
  EXPECT_EQ(told->message.added.size(), 1U) << "and our own is no other's";
  EXPECT_FALSE(exchange.next(now));

  wire::PexMessage message;
  message.added = {{at("192.168.1.5:7000"), 0}, {at("[64:ff9b::7f00:1]:7000"), 0}};
  EXPECT_TRUE(exchange.on_message(PeerId(1), peer(1).address, message, now).learnt.empty());
}

TEST_F(PeerExchangeTest, WhoToldOfWhomIsKnownUntilItIsTakenBack) {
  wire::PexMessage message;
  message.added = {{peer(7), wire::pex_flags::kHolepunch}};
  EXPECT_EQ(exchange.on_message(PeerId(1), peer(1).address, message, now).learnt,
            (std::vector<Endpoint>{peer(7)}));
  EXPECT_EQ(exchange.can_introduce(PeerId(1), peer(7)), wire::pex_flags::kHolepunch);
  EXPECT_FALSE(exchange.can_introduce(PeerId(1), peer(8)));
  EXPECT_FALSE(exchange.can_introduce(PeerId(2), peer(7)));
  EXPECT_TRUE(exchange.on_message(PeerId(1), peer(1).address, message, now).learnt.empty())
      << "known already";
  exchange.on_message(PeerId(1), peer(1).address, {{}, {peer(7)}}, now);
  EXPECT_FALSE(exchange.can_introduce(PeerId(1), peer(7)));
  exchange.on_message(PeerId(1), peer(1).address, message, now);
  exchange.left(PeerId(1));
  EXPECT_FALSE(exchange.can_introduce(PeerId(1), peer(7)));
}

TEST_F(PeerExchangeTest, ALiarIsBelievedSoMuchAndNoMore) {
  EXPECT_EQ(hear(1, 1000, 500).learnt.size(), PeerExchange::kBelievedAtOnce);
  exchange.left(PeerId(1));
  EXPECT_TRUE(hear(1, 2000, 100).learnt.empty()) << "coming back does not help";
  EXPECT_EQ(hear(2, 3000, 40).learnt.size(), 40U) << "others are believed";
  std::size_t learnt = 0;
  for (unsigned minute = 1; minute <= 10; ++minute) {
    now += 1min;
    exchange.left(PeerId(1));
    learnt += hear(1, 4000 + minute * 200, 100).learnt.size();
  }
  EXPECT_EQ(learnt, 10 * PeerExchange::kBelievedPerMinute);
}

TEST_F(PeerExchangeTest, WhatOnePeerNamesIsBounded) {
  std::size_t learnt = 0;
  for (unsigned minute = 0; minute < 20; ++minute, now += 1min)
    learnt += hear(1, 1000 + minute * 50, 50).learnt.size();
  EXPECT_EQ(learnt, PeerExchange::kRemembered);
}

TEST_F(PeerExchangeTest, WhoSendsFarTooOftenFloods) {
  for (unsigned i = 0; i < PeerExchange::kFlood; ++i) EXPECT_FALSE(hear(1, 1000 + i, 1).flood);
  EXPECT_TRUE(hear(1, 2000, 1).flood);
  EXPECT_FALSE(hear(2, 2000, 1).flood);
  now += 1min;
  EXPECT_FALSE(hear(1, 3000, 1).flood);
}

TEST_F(PeerExchangeTest, WhoSwitchesItOffIsToldNothing) {
  join(2);
  listen(1);
  exchange.subscribe(PeerId(1), peer(1).address, false, now);
  EXPECT_FALSE(exchange.deadline());
  EXPECT_FALSE(exchange.next(now + 1h));
}

}  // namespace
}  // namespace swarmfs::engine
