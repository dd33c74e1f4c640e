#include "swarm/engine/metadata_fetch.h"

#include <gmock/gmock.h>

#include "tests/engine/metadata_swarm.h"

namespace swarmfs::engine {
namespace {

using test::Behaviour;
using test::MetadataSwarm;
using test::some_metadata;
using namespace std::chrono_literals;

constexpr std::uint32_t kSize = 5 * wire::kMetadataPiece + 123;

/// How long the metadata took with these peers; nothing if it never came.
std::optional<Duration> time_with(MetadataSwarm& swarm, const std::vector<Behaviour>& peers,
                                  Duration limit = 120s) {
  swarm.begin();
  for (const Behaviour& peer : peers) swarm.add(peer);
  const TimePoint begun = swarm.now;
  swarm.tell_all();
  if (!swarm.run(limit)) return std::nullopt;
  EXPECT_EQ(*swarm.fetch->metadata(), swarm.info);
  return swarm.now - begun;
}

TEST(MetadataFetch, TakesThreeRoundTripsFromOnePeer) {
  MetadataSwarm swarm(some_metadata(kSize));
  // Connection, handshakes, metadata.
  EXPECT_EQ(time_with(swarm, {Behaviour{}}), Duration(3 * 40ms));
}

TEST(MetadataFetch, TakesMetadataOfOneByteAndOfTheBordersOfPieces) {
  for (const std::uint32_t size :
       {1U, wire::kMetadataPiece - 1, wire::kMetadataPiece, wire::kMetadataPiece + 1}) {
    MetadataSwarm swarm(some_metadata(size));
    EXPECT_TRUE(time_with(swarm, {Behaviour{}})) << size;
  }
}

TEST(MetadataFetch, ChecksV2Hashes) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.hashes = {std::nullopt, sha256(swarm.info)};
  EXPECT_TRUE(time_with(swarm, {Behaviour{}}));
  EXPECT_TRUE(swarm.fetch->is_our_hash(*swarm.hashes.v2_truncated()));
  EXPECT_FALSE(swarm.fetch->is_our_hash(sha1(swarm.info)));
}

TEST(MetadataFetch, StopsWhereTheTwoHashesAreOfTwoTorrents) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.hashes.v2 = sha256(as_bytes("another"));
  EXPECT_FALSE(time_with(swarm, {Behaviour{}, Behaviour{}}));
  ASSERT_TRUE(swarm.fetch->failed());
  EXPECT_EQ(swarm.fetch->failed()->kind, ErrorKind::mismatch);
  EXPECT_EQ(swarm.fetch->deadline(), TimePoint::max()) << "nothing is left to do";
}

TEST(MetadataFetch, ASlowPeerHoldsNothingUp) {
  MetadataSwarm swarm(some_metadata(kSize));
  const auto took = time_with(swarm, {Behaviour{.think = 3s}, Behaviour{.delay = 30ms}});
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 200ms);
}

TEST(MetadataFetch, ASilentPeerHoldsNothingUp) {
  MetadataSwarm swarm(some_metadata(kSize));
  const auto took = time_with(swarm, {Behaviour{.delay = 5ms, .silent = true}, Behaviour{}});
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 200ms);
}

TEST(MetadataFetch, WhatSilentPeersWereAskedIsAskedOfOthers) {
  // Two of them take both copies of each request: the third has to wait for the time limit.
  MetadataSwarm swarm(some_metadata(kSize));
  const Behaviour silent{.delay = 5ms, .silent = true};
  const auto took = time_with(swarm, {silent, silent, Behaviour{}});
  ASSERT_TRUE(took);
  EXPECT_LE(*took, MetadataFetch::kRequestTimeout + 200ms);
}

TEST(MetadataFetch, ALoneLiarIsOutAndTheNextIsAsked) {
  MetadataSwarm swarm(some_metadata(kSize));
  const auto took = time_with(swarm, {Behaviour{.delay = 2ms, .spoils = true}, Behaviour{}});
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 400ms);
  EXPECT_TRUE(swarm.was_closed(swarm.remotes.begin()->first));
  EXPECT_EQ(swarm.closed.size(), 1U) << "nobody else was closed";
}

TEST(MetadataFetch, ALiarAmongOthersIsFoundOutAndNobodyElse) {
  MetadataSwarm swarm(some_metadata(40 * wire::kMetadataPiece));
  std::vector<Behaviour> peers(6);
  peers[2].spoils = true;
  const auto took = time_with(swarm, peers);
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 2s);
  for (const auto& [endpoint, why] : swarm.closed)
    EXPECT_TRUE(swarm.remotes.at(endpoint).behaviour.spoils) << why;
}

TEST(MetadataFetch, WrongSizesAreTriedBesideTheRightOne) {
  MetadataSwarm swarm(some_metadata(kSize));
  std::vector<Behaviour> peers;
  for (std::uint32_t i = 0; i < 20; ++i)
    peers.push_back({.delay = 1ms, .claims = kSize + 1 + i * 1000});
  peers.push_back({});
  const auto took = time_with(swarm, peers);
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 300ms);
}

TEST(MetadataFetch, RefusesSizesBeyondTheLimitAndPiecesOfTheWrongLength) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  const Endpoint huge = swarm.add({.claims = wire::kMaxMetadata + 1});
  const Endpoint stunted = swarm.add({.short_data = true});
  swarm.tell_all();
  EXPECT_FALSE(swarm.run(2s));
  EXPECT_TRUE(swarm.was_closed(huge));
  EXPECT_EQ(swarm.remotes.at(huge).requests, 0U);
  EXPECT_TRUE(swarm.was_closed(stunted));
}

TEST(MetadataFetch, WhoRejectsIsAskedAgainLater) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  const Endpoint peer = swarm.add({.rejects = true});
  swarm.tell_all();
  EXPECT_FALSE(swarm.run(5s));
  EXPECT_LE(swarm.remotes.at(peer).requests, 8U) << "it is not pestered";
  swarm.remotes.at(peer).behaviour.rejects = false;
  EXPECT_TRUE(swarm.run(30s));
}

TEST(MetadataFetch, APeerThatGetsItLaterIsAskedThen) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  const Endpoint peer = swarm.add({.has_no_metadata = true});
  swarm.tell_all();
  EXPECT_FALSE(swarm.run(10s));
  EXPECT_EQ(swarm.remotes.at(peer).requests, 0U);
  swarm.remotes.at(peer).behaviour.has_no_metadata = false;
  EXPECT_TRUE(swarm.run(120s));
}

TEST(MetadataFetch, WhatOnePeerBroughtBeforeItDiedIsNotAskedAgain) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  const Endpoint dies = swarm.add({.dies_after_first = true});
  const Endpoint stays = swarm.add({.delay = 500ms});
  swarm.tell_all();
  EXPECT_TRUE(swarm.run(20s));
  EXPECT_EQ(swarm.remotes.at(dies).answers, 1U);
  EXPECT_EQ(swarm.remotes.at(stays).requests, 5U) << "all but the one that was here";
}

TEST(MetadataFetch, GreetsWhoHangsUpOnOneFlightAgain) {
  MetadataSwarm swarm(some_metadata(kSize));
  const auto took = time_with(swarm, {Behaviour{.hangs_up_on_one_flight = true}});
  ASSERT_TRUE(took);
  EXPECT_LE(*took, 500ms);
}

TEST(MetadataFetch, AsksForPeersWhenItHasNone) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  swarm.add({.never_shakes_hands = true});
  swarm.add({.refuses_connections = true});
  swarm.tell_all();
  EXPECT_FALSE(swarm.run(60s));
  EXPECT_LE(swarm.dials, 30U) << "who does not answer rests longer each time";
  EXPECT_EQ(swarm.fetch->stats().peers, 0U);
  EXPECT_EQ(swarm.fetch->stats().known, 2U);
}

TEST(MetadataFetch, AcceptsConnectionsAndRejectsRequests) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  const Endpoint peer = swarm.add({});
  wire::Handshake theirs;
  theirs.info_hash = *swarm.hashes.v1;
  theirs.peer_id[0] = 'X';
  theirs.extended = theirs.fast = true;
  swarm.peers[PeerId(1)] = peer;
  swarm.remotes.at(peer).dialled_us = true;
  const auto id = swarm.fetch->add_peer(peer, theirs, std::nullopt, swarm.now);
  ASSERT_TRUE(id);
  EXPECT_TRUE(swarm.run(2s));
}

// --- handing over

TEST(MetadataFetch, HandsOverWhatThePeersHaveSaid) {
  MetadataSwarm swarm(some_metadata(kSize));
  ASSERT_TRUE(time_with(swarm, {Behaviour{}}));
  swarm.settle(1s);
  ASSERT_EQ(swarm.peers.size(), 1U);
  const PeerId id = swarm.peers.begin()->first;
  const auto known = swarm.fetch->release(id);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->endpoint, swarm.remotes.begin()->first);
  EXPECT_TRUE(known->dialled);
  EXPECT_EQ(known->rtt, Duration(40ms));
  EXPECT_EQ(known->source, PeerSource::tracker);
  // have_all, the extension handshake, unchoke; and nothing of the metadata.
  std::vector<std::uint8_t> ids;
  for (std::size_t at = 0; at + 5 <= known->received.size();
       at += 4 + load_be<std::uint32_t>(known->received.data() + at))
    ids.push_back(known->received[at + 4]);
  EXPECT_THAT(ids, testing::ElementsAre(14, 20, 1));
  EXPECT_FALSE(swarm.fetch->release(id)) << "it is not its any more";
}

TEST(MetadataFetch, WhoSaysTooMuchIsNotHandedOver) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  swarm.add({.silent = true});
  swarm.tell_all();
  EXPECT_FALSE(swarm.run(1s));
  const PeerId id = swarm.peers.begin()->first;
  Bytes haves;
  for (int i = 0; i < 1000; ++i) wire::append_indexed(haves, wire::MessageId::have, PieceIndex(7));
  for (int i = 0; i < 100; ++i) swarm.fetch->on_received(id, haves, swarm.now);
  EXPECT_FALSE(swarm.fetch->release(id));
}

// --- many of all kinds, in virtual time

class Crowd : public testing::TestWithParam<std::uint64_t> {};

/// Whoever else is there, one honest peer is enough, and a bounded time.
TEST_P(Crowd, OneHonestPeerAmongManyOthersIsEnough) {
  MetadataSwarm swarm(some_metadata(60 * wire::kMetadataPiece + 7), GetParam());
  Rng random(GetParam());
  const auto size = static_cast<std::uint32_t>(swarm.info.size());
  std::vector<Behaviour> peers;
  for (int i = 0; i < 40; ++i) {
    Behaviour peer;
    peer.delay = std::chrono::milliseconds(5 + random() % 200);
    switch (random() % 9) {
      case 0:
        peer.spoils = true;
        break;
      case 1:
        peer.silent = true;
        break;
      case 2:
        peer.claims = size + 1 + static_cast<std::uint32_t>(random() % 1'000'000);
        break;
      case 3:
        peer.rejects = true;
        break;
      case 4:
        peer.refuses_connections = true;
        break;
      case 5:
        peer.never_shakes_hands = true;
        break;
      case 6:
        peer.dies_after_first = true;
        break;
      case 7:
        peer.has_no_metadata = true;
        break;
      default:
        peer.short_data = true;
    }
    peers.push_back(peer);
  }
  Behaviour honest;
  honest.delay = std::chrono::milliseconds(20 + random() % 100);
  honest.loses = 0.05;
  peers.insert(peers.begin() + static_cast<std::ptrdiff_t>(random() % peers.size()), honest);
  const auto took = time_with(swarm, peers, 180s);
  ASSERT_TRUE(took) << "seed " << GetParam();
  for (const auto& [endpoint, why] : swarm.closed)
    EXPECT_FALSE(swarm.remotes.at(endpoint).behaviour.loses > 0) << why;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Crowd, testing::Range<std::uint64_t>(1, 41));

TEST(MetadataFetch, TheSameSeedGivesTheSameRun) {
  std::vector<Duration> times;
  for (int i = 0; i < 2; ++i) {
    MetadataSwarm swarm(some_metadata(kSize * 3), 9);
    times.push_back(
        time_with(swarm, {Behaviour{.loses = 0.3}, Behaviour{.spoils = true}, Behaviour{}})
            .value_or(0s));
  }
  EXPECT_EQ(times[0], times[1]);
}

TEST(MetadataFetch, MemoryForLiarsIsBounded) {
  MetadataSwarm swarm(some_metadata(kSize));
  swarm.begin();
  for (std::uint32_t i = 0; i < 4; ++i) swarm.add({.delay = 1ms, .claims = 25'000'000 + i});
  swarm.tell_all();
  // All four would hold 100 MB.
  EXPECT_FALSE(swarm.run(60s));
  EXPECT_GE(swarm.closed.size(), 1U);
  EXPECT_LE(swarm.fetch->stats().here, MetadataFetch::kMaxHeld);
}

}  // namespace
}  // namespace swarmfs::engine
