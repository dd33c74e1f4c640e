#include "swarm/nat/gateway_client.h"

#include <gtest/gtest.h>

#include "swarm/nat/nat_pmp.h"

namespace swarmfs::nat {
namespace {

using namespace std::chrono_literals;

const IpAddress kOutside = *IpAddress::parse("203.0.113.9");

/// A client in virtual time, and what it has sent.
class GatewayClientTest : public testing::Test {
 protected:
  void begin(const char* address = "192.168.1.7") {
    GatewayClient::Config config;
    config.client = *IpAddress::parse(address);
    config.ports = {{Protocol::tcp, 6881}, {Protocol::udp, 6881}};
    config.secret.fill(7);
    client.emplace(
        config, [this](ByteView datagram) { sent.emplace_back(datagram.begin(), datagram.end()); });
    client->start(now);
  }
  /// Lets time pass, timers included.
  void pass(Duration time) {
    const TimePoint end = now + time;
    while (const auto at = client->deadline()) {
      if (*at > end) break;
      now = std::max(now, *at);
      client->on_timer(now);
    }
    now = end;
  }
  std::vector<Bytes> take() { return std::exchange(sent, {}); }
  std::uint32_t epoch() const {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(now - booted).count());
  }
  static bool is_pcp(const Bytes& datagram) { return datagram[0] == 2; }
  static std::uint16_t suggested(const Bytes& pcp) { return load_be<std::uint16_t>(&pcp[42]); }
  static std::uint32_t lifetime(const Bytes& pcp) { return load_be<std::uint32_t>(&pcp[4]); }

  /// What a PCP server answers to a request.
  Bytes pcp_answer(const Bytes& request, std::uint16_t external,
                   pcp::Code code = pcp::Code::success,
                   std::optional<std::uint32_t> lifetime_s = std::nullopt) {
    Bytes out = request;
    out[1] |= 0x80;
    out[3] = static_cast<std::uint8_t>(code);
    if (lifetime_s) store_be<std::uint32_t>(&out[4], *lifetime_s);
    store_be<std::uint32_t>(&out[8], epoch());
    std::fill(out.begin() + 12, out.begin() + 24, 0);
    store_be<std::uint16_t>(&out[42], external);
    const Bytes address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9};
    std::copy(address.begin(), address.end(), out.begin() + 44);
    return out;
  }
  Bytes pmp_answer(const Bytes& request, std::uint16_t external, std::uint16_t code = 0) {
    Bytes out{0, static_cast<std::uint8_t>(request[1] | 0x80)};
    append_be<std::uint16_t>(out, code);
    append_be<std::uint32_t>(out, epoch());
    if (request[1] == 0) {
      append(out, kOutside.bytes());
    } else {
      append_be<std::uint16_t>(out, load_be<std::uint16_t>(&request[4]));
      append_be<std::uint16_t>(out, external);
      append_be<std::uint32_t>(out, load_be<std::uint32_t>(&request[8]));
    }
    return out;
  }
  /// Answers everything that has been asked, and what is asked then.
  void answer_all(std::uint16_t external, bool pcp) {
    for (int round = 0; round < 4; ++round)
      for (const Bytes& request : take()) {
        if (is_pcp(request) && pcp) client->on_datagram(pcp_answer(request, external), now);
        if (!is_pcp(request) && !pcp) client->on_datagram(pmp_answer(request, external), now);
      }
  }

  TimePoint now = TimePoint{} + 1000h;
  TimePoint booted = now - 100s;
  std::vector<Bytes> sent;
  std::optional<GatewayClient> client;
};

TEST_F(GatewayClientTest, MapsBothPortsToOneNumberByPcp) {
  begin();
  auto first = take();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(suggested(first[0]), 6881);
  client->on_datagram(pcp_answer(first[0], 7000), now);
  const auto second = take();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(suggested(second[0]), 7000);
  client->on_datagram(pcp_answer(second[0], 7000), now);
  EXPECT_EQ(client->method(), Method::pcp);
  EXPECT_EQ(client->external(0), (Endpoint{kOutside, 7000}));
  EXPECT_EQ(client->external(1), (Endpoint{kOutside, 7000}));
}

TEST_F(GatewayClientTest, RenewsHalfwayAndLosesWhatIsNotRenewed) {
  begin();
  answer_all(6881, true);
  pass(29min);
  EXPECT_TRUE(take().empty());
  pass(61s);
  EXPECT_EQ(take().size(), 2U);
  EXPECT_TRUE(client->external(0));
  pass(30min);
  EXPECT_FALSE(client->external(0));
  take();
  pass(20min);
  const auto asked = take();
  EXPECT_GE(asked.size(), 1U);  // it does not give up
  EXPECT_LE(asked.size(), 6U);  // nor ask often
  client->on_datagram(pcp_answer(asked[0], 6881), now);
  EXPECT_TRUE(client->external(0));
}

TEST_F(GatewayClientTest, FallsBackToNatPmpWhenTheVersionIsNotKnown) {
  begin();
  take();
  Bytes refusal{0, 0x81, 0, 1};
  append_be<std::uint32_t>(refusal, epoch());
  client->on_datagram(refusal, now);
  for (const Bytes& datagram : sent) EXPECT_FALSE(is_pcp(datagram));
  answer_all(6883, false);
  EXPECT_EQ(client->method(), Method::nat_pmp);
  EXPECT_EQ(client->external(0), (Endpoint{kOutside, 6883}));
  EXPECT_EQ(client->external(1), (Endpoint{kOutside, 6883}));
}

TEST_F(GatewayClientTest, AsksInBothWhereNobodyAnswers) {
  begin();
  pass(2900ms);
  for (const Bytes& datagram : take()) EXPECT_TRUE(is_pcp(datagram));
  pass(200ms);
  answer_all(6881, false);
  EXPECT_EQ(client->method(), Method::nat_pmp);
  EXPECT_TRUE(client->external(0));
}

TEST_F(GatewayClientTest, WhatPcpRefusesIsTriedInNatPmp) {
  begin();
  const auto request = take().at(0);
  client->on_datagram(pcp_answer(request, 0, pcp::Code::not_authorized, 1800), now);
  answer_all(6881, false);
  EXPECT_TRUE(client->external(0));
}

TEST_F(GatewayClientTest, WaitsWhereTheServerHasNoRoom) {
  begin();
  const auto request = take().at(0);
  client->on_datagram(pcp_answer(request, 0, pcp::Code::no_resources, 40), now);
  take();  // the second port is asked for all the same
  client->on_datagram(pcp_answer(request, 0, pcp::Code::no_resources, 1), now);
  pass(29s);
  for (const Bytes& datagram : take()) {
    // UDP, of which nothing was heard, is asked for by NAT-PMP as well (opcode 1; 2 is TCP).
    const bool tcp = is_pcp(datagram) ? datagram.at(36) == 6 : datagram.at(1) == 2;
    EXPECT_FALSE(tcp) << "TCP again too soon";
  }
  pass(2s);
  EXPECT_FALSE(take().empty());
}

TEST_F(GatewayClientTest, Ipv6HasNoNatPmp) {
  begin("2001:db8::7");
  pass(1min);
  for (const Bytes& datagram : take()) EXPECT_TRUE(is_pcp(datagram));
  Bytes refusal{0, 0x81, 0, 1, 0, 0, 0, 9};
  client->on_datagram(refusal, now);
  EXPECT_TRUE(take().empty());
}

TEST_F(GatewayClientTest, TakesNobodyElsesAnswer) {
  begin();
  Bytes answer = pcp_answer(take().at(0), 6881);
  answer[24] ^= 1;  // the nonce
  client->on_datagram(answer, now);
  EXPECT_FALSE(client->external(0));
  EXPECT_TRUE(take().empty());
}

TEST_F(GatewayClientTest, MapsAnewWhenTheRouterSaysThatItHasStarted) {
  begin();
  answer_all(6881, true);
  pass(1min);
  // The same as before: nothing is lost.
  Bytes announcement{2, 0x80, 0, 0, 0, 0, 0, 0};
  append_be<std::uint32_t>(announcement, epoch());
  announcement.resize(24);
  client->on_announcement(announcement, now);
  EXPECT_TRUE(take().empty());
  booted = now;
  pass(2s);
  store_be<std::uint32_t>(&announcement[8], epoch());
  client->on_announcement(announcement, now);
  client->on_announcement(announcement, now);
  answer_all(6999, true);
  EXPECT_EQ(client->external(0), (Endpoint{kOutside, 6999}));
}

TEST_F(GatewayClientTest, MapsAnewWhenARenewalShowsThatTheRouterHasStarted) {
  begin();
  answer_all(6881, true);
  pass(20min);
  booted = now;
  pass(10min + 1ms);  // the first port's renewal, and the second's
  const auto asked = take();
  ASSERT_EQ(asked.size(), 2U);
  client->on_datagram(pcp_answer(asked[0], 6881), now);
  EXPECT_EQ(take().size(), 1U);
}

TEST_F(GatewayClientTest, AnAnswerFromAfterARestartStandsForNatPmpToo) {
  begin();
  client->on_datagram(Bytes{0, 0x81, 0, 1, 0, 0, 0, 100}, now);
  answer_all(6881, false);
  pass(1min);
  booted = now;
  Bytes announcement{0, 0x80, 0, 0, 0, 0, 0, 0, 203, 0, 113, 10};
  client->on_announcement(announcement, now);
  EXPECT_FALSE(take().empty());
}

TEST_F(GatewayClientTest, GivesBackWhatItHas) {
  begin();
  answer_all(6881, true);
  client->release(now);
  const auto asked = take();
  ASSERT_EQ(asked.size(), 2U);
  for (const Bytes& request : asked) {
    EXPECT_EQ(lifetime(request), 0U);
    EXPECT_FALSE(client->released());
    client->on_datagram(pcp_answer(request, 0), now);
  }
  EXPECT_TRUE(client->released());
}

TEST_F(GatewayClientTest, HasNothingToGiveBackToWhoNeverAnswered) {
  begin();
  take();
  client->release(now);
  EXPECT_TRUE(take().empty());
  EXPECT_TRUE(client->released());
}

TEST_F(GatewayClientTest, AsksForTheSameMappingAfterACrash) {
  begin();
  const auto before = take().at(0);
  begin();
  EXPECT_EQ(take().at(0), before);
}

}  // namespace
}  // namespace swarmfs::nat
