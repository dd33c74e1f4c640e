// The parts of a node, each alone: ids, tokens, storage, limits, votes, filters, the saved table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "swarm/base/hex.h"
#include "swarm/dht/external_address.h"
#include "swarm/dht/node_id.h"
#include "swarm/dht/patience.h"
#include "swarm/dht/peer_storage.h"
#include "swarm/dht/saved_nodes.h"
#include "swarm/dht/scrape_filter.h"
#include "swarm/dht/tokens.h"
#include "swarm/dht/traffic.h"

namespace swarmfs::dht {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart = TimePoint{} + 1h;
IpAddress ip(const char* text) { return *IpAddress::parse(text); }
Endpoint at(const char* text) { return *Endpoint::parse(text); }
NodeId hex_id(const std::string& text) {
  const auto bytes = from_hex(text);
  NodeId out{};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

TEST(NodeIds, FitTheAddressesOfBep42) {
  struct Vector {
    const char* address;
    std::uint8_t rand;
    const char* id;
  };
  for (const Vector& v : {
           Vector{"124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"},
           {"21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"},
           {"65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"},
           {"84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"},
           {"43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"},
       }) {
    NodeId id = hex_id(v.id);
    EXPECT_TRUE(is_secure(id, ip(v.address))) << v.address;
    Rng rng(1);
    const NodeId made = secure_id(ip(v.address), v.rand, rng);
    EXPECT_TRUE(is_secure(made, ip(v.address)));
    EXPECT_EQ(made[19], v.rand);
    EXPECT_GE(common_prefix(made, id), 21U);
    id[2] ^= 0x08;  // the last of the 21 bits
    EXPECT_FALSE(is_secure(id, ip(v.address)));
    id[2] ^= 0x09;  // and the first that is free
    EXPECT_TRUE(is_secure(id, ip(v.address)));
  }
  Rng rng(2);
  const NodeId v6 = secure_id(ip("2001:db8:1:2::3"), 7, rng);
  EXPECT_TRUE(is_secure(v6, ip("2001:db8:1:2:ffff::1")));  // the high half counts
  EXPECT_FALSE(is_secure(v6, ip("2001:db8:1:3::3")));
  EXPECT_TRUE(is_secure(v6, ip("192.168.1.1")));  // local addresses may have any
}

TEST(NodeIds, AreNearByTheirFirstDifferentBit) {
  const NodeId a = hex_id("ff00000000000000000000000000000000000000");
  const NodeId b = hex_id("ff00000000000000000000000000000000000001");
  const NodeId c = hex_id("0f00000000000000000000000000000000000000");
  EXPECT_EQ(common_prefix(a, a), 160U);
  EXPECT_EQ(common_prefix(a, b), 159U);
  EXPECT_EQ(common_prefix(a, c), 0U);
  EXPECT_TRUE(nearer(a, b, c));
  EXPECT_FALSE(nearer(a, c, b));
  EXPECT_FALSE(nearer(a, b, b));
  EXPECT_EQ(to_hex(distance(a, c)), "f0" + std::string(38, '0'));
  Rng rng(3);
  for (unsigned bits : {0U, 1U, 7U, 8U, 100U, 159U})
    EXPECT_EQ(common_prefix(a, random_id_sharing(a, bits, rng)), bits);
}

TEST(Tokens, HoldForOneAddressAndHashAndUpToTenMinutes) {
  Tokens tokens(1);
  const Sha1Hash hash{1}, other{2};
  const Bytes token = tokens.make(ip("1.2.3.4"), hash, kStart);
  EXPECT_TRUE(tokens.valid(token, ip("1.2.3.4"), hash, kStart));
  EXPECT_FALSE(tokens.valid(token, ip("1.2.3.5"), hash, kStart));
  EXPECT_FALSE(tokens.valid(token, ip("1.2.3.4"), other, kStart));
  EXPECT_FALSE(tokens.valid(Bytes{}, ip("1.2.3.4"), hash, kStart));
  EXPECT_TRUE(tokens.valid(token, ip("1.2.3.4"), hash, kStart + 5min + 1s));
  EXPECT_FALSE(tokens.valid(token, ip("1.2.3.4"), hash, kStart + 10min + 2s));
  Tokens idle(1);
  const Bytes old = idle.make(ip("1.2.3.4"), hash, kStart);
  EXPECT_FALSE(idle.valid(old, ip("1.2.3.4"), hash, kStart + 24h));
}

TEST(PeerStorage, IsBoundedAndForgets) {
  PeerStorage storage;
  Rng rng(4);
  const Sha1Hash hash{1};
  for (unsigned i = 0; i < 3 * PeerStorage::kMaxPeers; ++i)
    storage.add(
        hash,
        {IpAddress::v4({30, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}),
         7000},
        false, kStart);
  EXPECT_EQ(storage.all_peers(), PeerStorage::kMaxPeers);
  for (unsigned i = 0; i < 2 * PeerStorage::kMaxTorrents; ++i) {
    Sha1Hash made{9};
    store_be(made.data() + 1, i);
    storage.add(made, at("31.0.0.1:7000"), false, kStart + 1min);
  }
  EXPECT_EQ(storage.torrents(), PeerStorage::kMaxTorrents);
  // Made-up torrents do not drive out one that many have.
  EXPECT_EQ(storage.peers(hash, 50, true, rng, kStart + 2min).size(), 50U);
  EXPECT_EQ(storage.sample(30, rng).size(), 30U);
  storage.expire(kStart + PeerStorage::kLifetime);
  EXPECT_TRUE(storage.peers(hash, 50, true, rng, kStart).empty());
  EXPECT_EQ(storage.torrents(), PeerStorage::kMaxTorrents - 1);
  storage.expire(kStart + PeerStorage::kLifetime + 1min);
  EXPECT_EQ(storage.all_peers(), 0U);
}

TEST(PeerStorage, KeepsOneEntryAnAddressAndTellsSeedsApart) {
  PeerStorage storage;
  Rng rng(5);
  const Sha1Hash hash{1};
  storage.add(hash, at("30.0.0.1:7000"), false, kStart);
  storage.add(hash, at("30.0.0.1:7001"), false, kStart);
  storage.add(hash, at("30.0.0.2:7000"), true, kStart);
  storage.add(hash, at("10.0.0.1:7000"), false, kStart);
  storage.add(hash, at("10.0.0.1:7001"), false, kStart);  // many may be behind a local one
  EXPECT_THAT(storage.peers(hash, 10, true, rng, kStart),
              testing::UnorderedElementsAre(at("30.0.0.1:7001"), at("30.0.0.2:7000"),
                                            at("10.0.0.1:7000"), at("10.0.0.1:7001")));
  EXPECT_EQ(storage.peers(hash, 10, false, rng, kStart).size(), 3U);
  const auto filters = storage.filters(hash, kStart);
  ASSERT_TRUE(filters);
  EXPECT_TRUE(may_hold(filters->seeds, ip("30.0.0.2")));
  EXPECT_FALSE(may_hold(filters->peers, ip("30.0.0.2")));
  EXPECT_NEAR(estimate(filters->peers), 2, 0.1);
  EXPECT_FALSE(storage.filters(Sha1Hash{2}, kStart));
}

TEST(ScrapeFilter, IsThatOfBep33) {
  wire::ScrapeFilter filter{};
  EXPECT_EQ(estimate(filter), 0);
  for (unsigned i = 0; i < 256; ++i)
    insert(filter, IpAddress::v4({192, 0, 2, static_cast<std::uint8_t>(i)}));
  for (unsigned i = 0; i <= 0x3e7; ++i) {
    std::array<std::uint8_t, 16> address{0x20, 0x01, 0x0d, 0xb8};
    store_be(address.data() + 14, static_cast<std::uint16_t>(i));
    insert(filter, IpAddress::v6(address));
  }
  EXPECT_EQ(to_hex(filter),
            "f6c3f5eaa07ffd91bde89f777f26fb2bff37bdb8fb2bbaa2fd3ddde7bacfff75ee7ccbae"
            "fe5eedb1fbfaff67f6abff5e43ddbca3fd9b9ffdf4ffd3e9dff12d1bdf59db53dbe9fa5b"
            "7ff3b8fdfcde1afb8bedd7be2f3ee71ebbbfe93bcdeefe148246c2bc5dbff7e7efdcf24f"
            "d8dc7adffd8fffdfddfff7a4bbeedf5cb95ce81fc7fcff1ff4ffffdfe5f7fdcbb7fd79b3"
            "fa1fc77bfe07fff905b7b7ffc7fefeffe0b8370bb0cd3f5b7f2bd93feb4386cfdd6f7fd5"
            "bfaf2e9ebffffeecd67adbf7c67f17efd5d75eba6ffeba7fff47a91eb1bfbb53e8abfb57"
            "62abe8ff237279bfefbfeef5ffc5febfdfe5adffadfee1fb737ffffbfd9f6aeffeee76b6"
            "fd8f72ef");
  EXPECT_NEAR(estimate(filter), 1224.9308, 0.0001);
  wire::ScrapeFilter full{};
  full.fill(0xff);
  EXPECT_LT(estimate(full), 10000);
  unite(filter, full);
  EXPECT_EQ(filter, full);
}

TEST(ExternalAddress, ChangesByVotesOfSeveralNetworksOnly) {
  ExternalAddress external;
  const IpAddress ours = ip("90.1.2.3"), lie = ip("91.1.2.3");
  for (int i = 0; i < 50; ++i)  // one network, however often it says so
    EXPECT_FALSE(external.vote(IpAddress::v4({30, 0, 0, static_cast<std::uint8_t>(i)}), lie));
  EXPECT_FALSE(external.vote(ip("30.0.1.1"), ours));
  EXPECT_FALSE(external.vote(ip("30.0.2.1"), ours));
  EXPECT_FALSE(external.vote(ip("30.0.3.1"), ours));
  EXPECT_FALSE(external.vote(ip("30.0.3.1"), ip("192.168.1.1")));
  EXPECT_TRUE(external.vote(ip("30.0.4.1"), ours));
  EXPECT_EQ(external.current(), ours);
  EXPECT_FALSE(external.vote(ip("30.0.5.1"), ours));
  // A minority does not change it back; a real change does.
  for (std::uint8_t i = 0; i < 4; ++i)
    EXPECT_FALSE(external.vote(IpAddress::v4({31, 0, i, 1}), lie));
  bool changed = false;
  for (std::uint8_t i = 4; i < 30; ++i) changed |= external.vote(IpAddress::v4({31, 0, i, 1}), lie);
  EXPECT_TRUE(changed);
  EXPECT_EQ(external.current(), lie);
}

TEST(Traffic, BoundsEachSourceAndAllTogether) {
  Traffic traffic;
  const Endpoint eager = at("30.0.0.1:7000");
  unsigned answered = 0;
  for (int i = 0; i < 1000; ++i)
    answered += traffic.may_ask({eager.address, static_cast<std::uint16_t>(7000 + i)}, kStart);
  EXPECT_EQ(answered, Traffic::kQueryBurst);
  for (int i = 0; i < 1000; ++i) answered += traffic.may_ask(eager, kStart + 10ms * i);
  EXPECT_NEAR(answered, Traffic::kQueryBurst + 10 * Traffic::kQueriesPerSecond, 1);
  EXPECT_TRUE(traffic.may_ask(at("30.0.0.2:7000"), kStart + 10s));

  std::size_t bytes = 0;
  for (int i = 0; i < 100'000; ++i)
    if (traffic.may_reply(500, kStart + 1ms * i)) bytes += 500;
  EXPECT_NEAR(static_cast<double>(bytes),
              Traffic::kReplyBurst + 100 * Traffic::kReplyBytesPerSecond, 2000);
  // More sources than are kept apart do not make it keep more, and a moment later all is well.
  for (unsigned i = 0; i < 100'000; ++i) {
    std::array<std::uint8_t, 4> address;
    store_be(address.data(), 0x20000000U + i);
    (void)traffic.may_ask({IpAddress::v4(address), 1}, kStart + 20s);
  }
  EXPECT_TRUE(traffic.may_ask(at("99.0.0.1:7000"), kStart + 30s));
}

TEST(Patience, IsASecondUntilAnswersSayOtherwise) {
  Patience patience;
  EXPECT_EQ(patience.value(), 1s);
  for (int i = 0; i < 100; ++i) patience.on_answer(100ms);
  EXPECT_EQ(patience.value(), Patience::kAtLeast);
  for (int i = 0; i < 200; ++i) patience.on_answer(i % 2 == 0 ? 50ms : 450ms);
  EXPECT_EQ(patience.value(), 1s);
}

TEST(SavedNodes, ComeBackAsTheyWere) {
  std::vector<wire::NodeInfo> nodes;
  for (std::uint16_t i = 1; i <= 3; ++i) {
    nodes.push_back({NodeId{static_cast<std::uint8_t>(i)}, {ip("30.0.0.1"), i}});
    nodes.push_back({NodeId{static_cast<std::uint8_t>(i)}, {ip("2001:db8::1"), i}});
  }
  const auto back = decode_saved_nodes(encode_saved_nodes(nodes));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_THAT(*back, testing::UnorderedElementsAreArray(nodes));
  std::vector<wire::NodeInfo> many(5000, nodes[0]);
  EXPECT_EQ(decode_saved_nodes(encode_saved_nodes(many)).value().size(), kMaxSavedNodes);
}

TEST(SavedNodes, ADamagedFileIsRefusedAndNeverCrashes) {
  const Bytes good = encode_saved_nodes({{NodeId{1}, at("30.0.0.1:7000")}});
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(decode_saved_nodes(ByteView(good).first(n))) << n;
  EXPECT_FALSE(decode_saved_nodes(as_bytes("de")));
  EXPECT_FALSE(decode_saved_nodes(Bytes(kMaxSavedBytes + 1, 'd')));
  std::mt19937 rng(6);
  for (int i = 0; i < 5000; ++i) {
    Bytes bad = good;
    bad[rng() % bad.size()] = static_cast<std::uint8_t>(rng());
    if (const auto nodes = decode_saved_nodes(bad)) {
      EXPECT_LE(nodes->size(), 1U);
    }
  }
}

}  // namespace
}  // namespace swarmfs::dht
