// One node and strangers: what it answers, what it keeps, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/dht/dht_world.h"

namespace swarmfs::dht {
namespace {

using namespace std::chrono_literals;
using test::World;
using wire::KrpcError;
using wire::KrpcMessage;
using wire::KrpcMethod;
using wire::KrpcQuery;
using wire::KrpcResponse;

Endpoint at(const char* text) { return *Endpoint::parse(text); }

class DhtNode : public testing::Test {
 protected:
  KrpcMessage query(KrpcMethod method, const Sha1Hash& target = {7}) {
    KrpcMessage out;
    out.transaction = {'x', 'y'};
    KrpcQuery body;
    body.method = method;
    body.id = {9, 9};
    body.target = target;
    out.body = body;
    return out;
  }
  /// What the node sends back to `from`, pings of its own left out.
  std::vector<KrpcMessage> ask(const Endpoint& from, const Bytes& datagram) {
    world.strangers.clear();
    world.inject(from, world.where(0), datagram);
    world.run_for(150ms);
    std::vector<KrpcMessage> out;
    for (const Bytes& got : world.strangers[from]) {
      auto message = wire::decode_krpc(got);
      EXPECT_TRUE(message);
      if (message && !std::holds_alternative<KrpcQuery>(message->body)) out.push_back(*message);
    }
    return out;
  }
  KrpcResponse answer(const Endpoint& from, const KrpcMessage& message) {
    const auto got = ask(from, wire::encode(message));
    EXPECT_EQ(got.size(), 1U);
    if (got.size() != 1 || !std::holds_alternative<KrpcResponse>(got[0].body)) {
      ADD_FAILURE() << "no response";
      return {};
    }
    EXPECT_EQ(got[0].transaction, message.transaction);
    EXPECT_EQ(got[0].ip, from);  // BEP 42
    return std::get<KrpcResponse>(got[0].body);
  }
  std::int64_t error(const Endpoint& from, const Bytes& datagram) {
    const auto got = ask(from, datagram);
    if (got.size() != 1 || !std::holds_alternative<KrpcError>(got[0].body)) return 0;
    return std::get<KrpcError>(got[0].body).code;
  }
  Bytes announce(const Bytes& token, std::uint16_t port, bool implied = false) {
    KrpcMessage out = query(KrpcMethod::announce_peer);
    auto& body = std::get<KrpcQuery>(out.body);
    body.token = token;
    body.port = port;
    body.implied_port = implied;
    return wire::encode(out);
  }

  World world{{}, 1};
  Node& node = world.add();
  const Endpoint one = at("40.0.0.1:5001"), two = at("41.0.0.1:5002"), three = at("42.0.0.1:5003");
};

TEST_F(DhtNode, AnswersEveryQueryOfBep5) {
  EXPECT_EQ(answer(one, query(KrpcMethod::ping)).id, node.id());
  EXPECT_TRUE(answer(one, query(KrpcMethod::find_node)).nodes);
  const auto peers = answer(one, query(KrpcMethod::get_peers));
  EXPECT_TRUE(peers.nodes);
  EXPECT_FALSE(peers.token.empty());
  EXPECT_EQ(answer(one, query(KrpcMethod::sample_infohashes)).samples->size(), 0U);
  EXPECT_EQ(error(one, wire::encode(query(KrpcMethod::unknown))), KrpcError::kUnknownMethod);
  EXPECT_EQ(error(one, {'d', '1', ':', 't', '1', ':', 'a', '1', ':', 'y', '1', ':', 'q', 'e'}),
            KrpcError::kProtocol);
  EXPECT_TRUE(ask(one, {'d', 'e'}).empty());  // nobody to answer to
}

TEST_F(DhtNode, KeepsAnnouncesThatBringItsTokenAndNamesThem) {
  const Bytes token = answer(one, query(KrpcMethod::get_peers)).token;
  EXPECT_EQ(error(two, announce(token, 7000)), KrpcError::kProtocol);  // of another address
  EXPECT_EQ(error(one, announce({1, 2, 3}, 7000)), KrpcError::kProtocol);
  EXPECT_EQ(node.storage().all_peers(), 0U);
  EXPECT_EQ(ask(one, announce(token, 7000)).size(), 1U);
  EXPECT_THAT(answer(two, query(KrpcMethod::get_peers)).values,
              testing::ElementsAre(Endpoint{one.address, 7000}));
  EXPECT_EQ(ask(one, announce(token, 7000, true)).size(), 1U);
  EXPECT_THAT(answer(two, query(KrpcMethod::get_peers)).values, testing::ElementsAre(one));
  const auto samples = answer(three, query(KrpcMethod::sample_infohashes));
  EXPECT_THAT(*samples.samples, testing::ElementsAre(Sha1Hash{7}));
  EXPECT_EQ(samples.num, 1U);
  EXPECT_TRUE(samples.interval);
}

TEST_F(DhtNode, AnUnprovenSourceGetsNoMoreThanAFewTimesWhatItSent) {
  // A torrent with more peers, and a table with more nodes, than fit.
  for (std::uint8_t i = 0; i < 200; ++i) {
    const Endpoint peer{IpAddress::v4({50, 0, i, 1}), 5000};
    const Bytes token = answer(peer, query(KrpcMethod::get_peers)).token;
    ask(peer, announce(token, 7000));
  }
  ASSERT_EQ(node.storage().all_peers(), 200U);
  for (const bool scrape : {false, true}) {
    KrpcMessage question = query(KrpcMethod::get_peers);
    std::get<KrpcQuery>(question.body).scrape = scrape;
    std::get<KrpcQuery>(question.body).want_v4 = scrape;
    std::get<KrpcQuery>(question.body).want_v6 = scrape;
    const Bytes sent = wire::encode(question);
    const auto got = ask(one, sent);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_LE(wire::encode(got[0]).size(), 4 * sent.size());
    EXPECT_GE(std::get<KrpcResponse>(got[0].body).values.size(), 10U);
    EXPECT_FALSE(std::get<KrpcResponse>(got[0].body).peers);
  }
  // One that has shown where it is gets what fits, filters included.
  const Endpoint proven{IpAddress::v4({50, 0, 3, 1}), 5000};
  KrpcMessage question = query(KrpcMethod::get_peers);
  std::get<KrpcQuery>(question.body).scrape = true;
  const KrpcResponse full = answer(proven, question);
  ASSERT_TRUE(full.peers && full.seeds);
  EXPECT_GE(full.values.size(), 20U);
  EXPECT_LE(world.longest(), wire::kMaxKrpcSent);
}

TEST_F(DhtNode, AFloodIsPassedOverInSilence) {
  const Bytes ping = wire::encode(query(KrpcMethod::ping));
  world.strangers.clear();
  for (int i = 0; i < 1000; ++i) {
    world.inject(one, world.where(0), ping);
    world.run_for(1ms);
  }
  world.run_for(1s);
  EXPECT_LE(world.strangers[one].size(), 40U);
  EXPECT_EQ(ask(two, ping).size(), 1U);  // others are served meanwhile
}

TEST_F(DhtNode, BelievesNoAnswerThatItDidNotAskFor) {
  node.offer(one, world.now());
  world.run_for(500ms);
  ASSERT_GE(world.strangers[one].size(), 1U);
  const auto asked = wire::decode_krpc(world.strangers[one][0]).value();
  KrpcMessage reply;
  reply.transaction = asked.transaction;
  reply.body = KrpcResponse{{5}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  world.inject(two, world.where(0), wire::encode(reply));  // from elsewhere
  world.run_for(200ms);
  EXPECT_EQ(node.table().size(), 0U);
  reply.transaction = {1, 2, 3, 4};  // another question
  world.inject(one, world.where(0), wire::encode(reply));
  world.run_for(200ms);
  EXPECT_EQ(node.table().size(), 0U);
  reply.transaction = asked.transaction;
  world.inject(one, world.where(0), wire::encode(reply));
  world.run_for(200ms);
  EXPECT_EQ(node.table().size(), 1U);
  world.inject(one, world.where(0), wire::encode(reply));  // twice
  world.run_for(200ms);
  EXPECT_EQ(node.table().size(), 1U);
}

TEST_F(DhtNode, NobodyFromOutsideLeadsItToLocalAddressesOrSystemPorts) {
  node.add_entries({one}, false, world.now());
  world.run_for(200ms);
  const auto asked = wire::decode_krpc(world.strangers[one].at(0)).value();
  KrpcMessage reply;
  reply.transaction = asked.transaction;
  KrpcResponse body;
  body.id = {5};
  body.nodes = {{NodeId{1}, at("192.168.0.1:6881")},
                {NodeId{2}, at("127.0.0.1:6881")},
                {NodeId{3}, at("43.0.0.1:53")},
                {NodeId{4}, at("224.0.0.1:6881")},
                {NodeId{6}, at("43.0.0.2:6881")}};
  reply.body = body;
  world.inject(one, world.where(0), wire::encode(reply));
  world.run_for(10s);
  EXPECT_TRUE(world.strangers.contains(at("43.0.0.2:6881")));
  for (const char* local : {"192.168.0.1:6881", "127.0.0.1:6881", "43.0.0.1:53", "224.0.0.1:6881"})
    EXPECT_FALSE(world.strangers.contains(at(local))) << local;
}

TEST_F(DhtNode, IsNotFilledFromOneAddressOrNetwork) {
  RoutingTable table(NodeId{1});
  Rng rng(2);
  const TimePoint now = world.now();
  for (std::uint16_t port = 1024; port < 2024; ++port)
    table.on_reply({random_id(rng), {IpAddress::v4({60, 1, 1, 1}), port}}, now);
  EXPECT_EQ(table.size(), 1U);
  for (unsigned i = 0; i < 256; ++i)
    table.on_reply(
        {random_id(rng), {IpAddress::v4({60, 1, 1, static_cast<std::uint8_t>(i)}), 1024}}, now);
  EXPECT_LE(table.size(), 10U);  // one a bucket, and there are few buckets
  for (std::uint16_t port = 1024; port < 1524; ++port)
    table.on_reply({random_id(rng), {IpAddress::v4({10, 1, 1, 1}), port}}, now);
  EXPECT_GE(table.size(), 60U);  // a local network is the user's own affair
}

TEST_F(DhtNode, AStolenIdDoesNotTakeItsOwnersPlace) {
  RoutingTable table(NodeId{1});
  const NodeInfo owner{NodeId{0x80}, one}, thief{NodeId{0x80}, two};
  table.on_reply(owner, world.now());
  table.on_reply(thief, world.now());
  EXPECT_TRUE(table.contains(one));
  EXPECT_FALSE(table.contains(two));
  table.on_failure(one, world.now());
  table.on_reply(thief, world.now());  // the owner no longer answers
  EXPECT_TRUE(table.contains(two));
}

TEST_F(DhtNode, NothingThatComesCrashesIt) {
  std::mt19937_64 rng(3);
  node.find_peers({7}, {}, {}, {}, world.now());
  node.add_entries({one, two, three}, false, world.now());
  for (int i = 0; i < 20'000; ++i) {
    KrpcMessage message = query(static_cast<KrpcMethod>(rng() % 6));
    // Answers to what it asked, cut and bent.
    const Endpoint from = std::array{one, two, three}[rng() % 3];
    auto& sent = world.strangers[from];
    if (!sent.empty() && rng() % 2 == 0) {
      const auto asked = wire::decode_krpc(sent.back());
      sent.pop_back();
      if (asked) message.transaction = asked->transaction;
      KrpcResponse body;
      body.id = random_id(rng);
      body.nodes.emplace();
      for (int n = 0; n < 20; ++n) {
        std::array<std::uint8_t, 4> address;
        store_be(address.data(), static_cast<std::uint32_t>(rng()));
        body.nodes->push_back(
            {random_id(rng), {IpAddress::v4(address), static_cast<std::uint16_t>(rng() | 1)}});
        body.values.push_back(body.nodes->back().endpoint);
      }
      body.token = Bytes(rng() % 65, 't');
      message.body = body;
    }
    Bytes datagram = wire::encode(message);
    if (rng() % 3 == 0) datagram[rng() % datagram.size()] = static_cast<std::uint8_t>(rng());
    world.inject(from, world.where(0), datagram);
    world.run_for(3ms);
    if (world.strangers.size() > 5000) world.strangers.clear();
  }
  EXPECT_LE(node.table().size(), 2000U);
  EXPECT_LE(node.searches(), 5U);
}

}  // namespace
}  // namespace swarmfs::dht
