#include "swarm/wire/krpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace swarmfs::wire {
namespace {

Sha1Hash id(std::string_view text) {
  Sha1Hash out{};
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}
Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }
std::string text(const Bytes& b) { return std::string(as_text(b)); }
Endpoint at(const char* where) { return *Endpoint::parse(where); }

const Sha1Hash kId = id("abcdefghij0123456789");
const Sha1Hash kTarget = id("mnopqrstuvwxyz123456");

KrpcMessage query(KrpcMethod method) {
  KrpcMessage out{bytes("aa"), KrpcQuery{}, "", {}, false};
  auto& q = std::get<KrpcQuery>(out.body);
  q.method = method;
  q.id = kId;
  if (method != KrpcMethod::ping) q.target = kTarget;
  return out;
}

KrpcMessage response() {
  return {bytes("aa"), KrpcResponse{kTarget, {}, {}, {}, {}, {}, {}, {}, {}, {}}, "", {}, false};
}

void expect_both_ways(const KrpcMessage& message, const std::string& encoded) {
  EXPECT_EQ(text(encode(message)), encoded);
  const auto decoded = decode_krpc(as_bytes(encoded));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, message);
}

TEST(Krpc, QueriesAreThoseOfBep5) {
  expect_both_ways(query(KrpcMethod::ping),
                   "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe");
  expect_both_ways(
      query(KrpcMethod::find_node),
      "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:"
      "t2:aa1:y1:qe");
  expect_both_ways(query(KrpcMethod::get_peers),
                   "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_"
                   "peers1:t2:aa1:y1:qe");
  KrpcMessage announce = query(KrpcMethod::announce_peer);
  auto& q = std::get<KrpcQuery>(announce.body);
  q.implied_port = true;
  q.port = 6881;
  q.token = bytes("aoeusnth");
  expect_both_ways(
      announce,
      "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:"
      "mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:"
      "qe");
}

TEST(Krpc, ResponsesAreThoseOfBep5) {
  expect_both_ways(response(), "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re");
  KrpcMessage with_peers{bytes("aa"), KrpcResponse{}, "", {}, false};
  auto& r = std::get<KrpcResponse>(with_peers.body);
  r.id = kId;
  r.token = bytes("aoeusnth");
  r.values = {*Endpoint::from_compact(as_bytes("axje.u")),
              *Endpoint::from_compact(as_bytes("idhtnm"))};
  expect_both_ways(with_peers,
                   "d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:"
                   "t2:aa1:y1:re");
  expect_both_ways({bytes("aa"), KrpcError{201, "A Generic Error Ocurred"}, "", {}, false},
                   "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee");
}

TEST(Krpc, ExtensionsGoBothWays) {
  KrpcMessage asked = query(KrpcMethod::get_peers);
  asked.read_only = true;
  asked.version = "SF01";
  auto& q = std::get<KrpcQuery>(asked.body);
  q.want_v4 = q.want_v6 = q.scrape = q.noseed = true;
  EXPECT_EQ(decode_krpc(encode(asked)).value(), asked);
  KrpcMessage seed = query(KrpcMethod::announce_peer);
  std::get<KrpcQuery>(seed.body).port = 1;
  std::get<KrpcQuery>(seed.body).seed = true;
  EXPECT_EQ(decode_krpc(encode(seed)).value(), seed);
  EXPECT_EQ(decode_krpc(encode(query(KrpcMethod::sample_infohashes))).value(),
            query(KrpcMethod::sample_infohashes));

  KrpcMessage answer = response();
  answer.ip = at("9.8.7.6:54321");
  auto& r = std::get<KrpcResponse>(answer.body);
  r.nodes = {{kId, at("1.2.3.4:5")}, {kTarget, at("4.3.2.1:7")}};
  r.nodes6 = {{kId, at("[2001:db8::1]:6")}};
  r.values = {at("1.1.1.1:1"), at("[2001:db8::2]:2")};
  r.seeds.emplace().fill(3);
  r.peers.emplace().fill(5);
  r.samples = {kId, kTarget};
  r.interval = 60;
  r.num = 2;
  r.token = bytes("t");
  EXPECT_EQ(decode_krpc(encode(answer)).value(), answer);
  std::get<KrpcResponse>(answer.body).samples.emplace();  // none is something else than no answer
  EXPECT_EQ(decode_krpc(encode(answer)).value(), answer);
}

TEST(Krpc, WhatItDoesNotKnowIsPassedOver) {
  const auto odd = decode_krpc(
      as_bytes("d1:ad3:fooli1ed1:a1:bee2:id20:abcdefghij01234567894:wantl2:n42:xxi5eee1:q4:ping"
               "1:t2:aa1:v40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1:y1:q1:zd1:yleee"));
  ASSERT_TRUE(odd) << odd.error().message;
  EXPECT_TRUE(std::get<KrpcQuery>(odd->body).want_v4);
  EXPECT_EQ(odd->version.size(), 16U);
  const auto method =
      decode_krpc(as_bytes("d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t1:x1:y1:qe"));
  ASSERT_TRUE(method);
  EXPECT_EQ(std::get<KrpcQuery>(method->body).method, KrpcMethod::unknown);
  const auto values =
      decode_krpc(as_bytes("d1:rd2:id20:abcdefghij01234567896:valuesl3:abc6:axje.ui7ee"
                           "e1:t1:x1:y1:re"));
  ASSERT_TRUE(values);
  EXPECT_EQ(std::get<KrpcResponse>(values->body).values.size(), 1U);
}

TEST(Krpc, RefusesWrongSizes) {
  const auto refused = [](const std::string& packet) {
    const auto decoded = decode_krpc(as_bytes(packet));
    return !decoded && decoded.error().kind == ErrorKind::protocol;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("d"));
  EXPECT_TRUE(refused("le"));
  EXPECT_TRUE(refused("de"));
  EXPECT_TRUE(refused("d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe"));
  EXPECT_TRUE(refused("d1:ad2:id21:abcdefghij01234567890e1:q4:ping1:t2:aa1:y1:qe"));
  EXPECT_TRUE(refused("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe"));
  EXPECT_TRUE(refused("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t33:" + std::string(33, 'a') +
                      "1:y1:qe"));
  EXPECT_TRUE(refused("d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe"));
  EXPECT_TRUE(refused("d1:rd2:id20:abcdefghij01234567895:nodes9:def456...e1:t2:aa1:y1:re"));
  EXPECT_TRUE(refused("d1:rd2:id20:abcdefghij01234567896:nodes626:" + std::string(26, 'n') +
                      "e1:t2:aa1:y1:re"));
  EXPECT_TRUE(refused("d1:rd4:BFpe255:" + std::string(255, 'b') +
                      "2:id20:abcdefghij0123456789e1:t2:aa1:y1:re"));
  EXPECT_TRUE(refused("d1:rd2:id20:abcdefghij01234567895:token65:" + std::string(65, 't') +
                      "e1:t2:aa1:y1:re"));
  EXPECT_TRUE(refused("d1:rd2:id20:abcdefghij01234567897:samples21:" + std::string(21, 's') +
                      "e1:t2:aa1:y1:re"));
  EXPECT_TRUE(refused("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe "));
  EXPECT_TRUE(refused("d1:x" + std::string(20, 'l') + std::string(20, 'e') + "e"));
  EXPECT_TRUE(
      refused("d1:x2000:" + std::string(2000, 'x') + "1:t40:" + std::string(40, 't') + "e"));
  for (const char* port : {"0", "-1", "65536"}) {
    const std::string announce = std::string(
                                     "d1:ad2:id20:abcdefghij01234567899:info_hash20:"
                                     "mnopqrstuvwxyz1234564:porti") +
                                 port + "e5:token1:te1:q13:announce_peer1:t2:aa1:y1:qe";
    EXPECT_TRUE(refused(announce)) << port;
    EXPECT_EQ(krpc_query_transaction(as_bytes(announce)), bytes("aa"));
  }
  EXPECT_FALSE(krpc_query_transaction(as_bytes("d1:t2:aa1:y1:re")));
}

TEST(Krpc, EveryTruncationIsRefusedAndNoMutationCrashes) {
  KrpcMessage full = response();
  full.ip = at("9.8.7.6:54321");
  auto& r = std::get<KrpcResponse>(full.body);
  r.nodes = {{kId, at("1.2.3.4:5")}};
  r.values = {at("1.1.1.1:1")};
  r.seeds.emplace();
  r.samples = {kId};
  r.token = bytes("token");
  std::mt19937 rng(3);
  for (const Bytes& good : {encode(full), encode(query(KrpcMethod::get_peers))}) {
    for (std::size_t n = 0; n < good.size(); ++n)
      EXPECT_FALSE(decode_krpc(ByteView(good).first(n))) << n;
    for (int i = 0; i < 20000; ++i) {
      Bytes mutated = good;
      for (int n = 0; n < 1 + i % 4; ++n)
        mutated[rng() % mutated.size()] = static_cast<std::uint8_t>(rng());
      const auto decoded = decode_krpc(mutated);
      // Whatever was understood can be said again, and is understood the same.
      if (decoded && !std::holds_alternative<KrpcError>(decoded->body)) {
        const Bytes again = encode(*decoded);
        if (again.size() <= kMaxKrpcRead) (void)decode_krpc(again).value();
      }
    }
  }
}

}  // namespace
}  // namespace swarmfs::wire
