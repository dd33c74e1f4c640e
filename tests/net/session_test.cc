// Whole sessions over the loopback: transfers, hostile strangers, slow and full disks, and ends at
// any moment.
#include "swarm/net/session.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <random>
#include <thread>

#include "tests/net/session_node.h"

namespace swarmfs::net {
namespace {

using metainfo::Format;
using test::expect_same;
using test::handshake_for;
using test::kPatience;
using test::Node;
using test::Stranger;
using namespace std::chrono_literals;

TEST(Session, TransfersEveryFormatOverBothFamilies) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    for (const char* host : {"127.0.0.1", "::1"}) {
      const auto content =
          swarmfs::test::make_content(format, 64 << 10, {700'000, 5, 65'536, 90'000});
      const std::string listen = Endpoint{*IpAddress::parse(host), 0}.to_string();
      Node seed(content, true, {}, listen.c_str());
      Node leech(content, false, {seed.endpoint(host)}, listen.c_str());
      ASSERT_TRUE(leech.complete()) << host;
      expect_same(leech, content);
    }
  }
}

TEST(Session, FetchesThePieceLayersThatAManifestLacks) {
  for (const Format format : {Format::v2, Format::hybrid}) {
    const auto content = swarmfs::test::make_content(format, 16 << 10, {10'000'000, 5, 90'000});
    Node seed(content, true);
    Node leech(swarmfs::test::without_layers(content), false, {seed.endpoint()});
    ASSERT_TRUE(leech.complete());
    expect_same(leech, content);
  }
}

TEST(Session, AManifestThatContradictsItselfFailsReadsAndEndsConnections) {
  const auto content = swarmfs::test::make_content(Format::hybrid, 64 << 10, {700'000});
  auto manifest = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  manifest->piece_hashes[7][3] ^= 1;
  test::TestContent contradictory = content;
  contradictory.metainfo = manifest;
  Node seed(content, true);
  Node leech(contradictory, false, {seed.endpoint()});
  std::promise<Result<>> promise;
  leech.driver().park_read(
      HandleId(1), content.layout().spans(FileIndex(0), 7 * (64 << 10), 65'536),
      [&](Result<> result, const auto&) { promise.set_value(std::move(result)); });
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  const Result<> result = future.get();
  // Block by block it may have been proven by its leaves, before the whole was.
  if (!result) {
    EXPECT_EQ(result.error().kind, ErrorKind::mismatch);
  }
  for (int i = 0; i < 500 && !leech.stats().contradicted; ++i) std::this_thread::sleep_for(10ms);
  const auto stats = leech.stats();
  EXPECT_TRUE(stats.contradicted);
  EXPECT_EQ(stats.banned, 0U);
  EXPECT_EQ(stats.peers, 0U);
  EXPECT_TRUE(leech.store.piece(PieceIndex(7)).empty());
}

TEST(Session, AParkedReadIsAnsweredWhenItsBytesAreHere) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {700'000});
  Node seed(content, true);
  Node leech(content, false, {seed.endpoint()});
  std::promise<Result<>> promise;
  leech.driver().park_read(
      HandleId(1), content.layout().spans(FileIndex(0), 650'000, 10'000),
      [&](Result<> result, const auto&) { promise.set_value(std::move(result)); });
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  EXPECT_TRUE(future.get());
}

TEST(Session, APausedTorrentGoesOnWithThePeersItHad) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {20'000'000});
  Node seed(content, true);
  Node leech(content, false, {seed.endpoint()});
  leech.driver().set_limits({5'000'000, 0});
  const auto until = [&](auto holds) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!holds(leech.stats()) && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(5ms);
    return holds(leech.stats());
  };
  ASSERT_TRUE(until([](const auto& s) { return s.downloaded > 0; }));
  leech.driver().pause();
  const auto paused = leech.stats();
  EXPECT_TRUE(paused.paused);
  EXPECT_EQ(paused.peers, 0U);
  ASSERT_LT(paused.pieces_have, paused.pieces);
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(leech.stats().downloaded, paused.downloaded);
  leech.driver().set_limits({});
  leech.driver().resume();
  EXPECT_TRUE(leech.complete());
  expect_same(leech, content);
}

TEST(Session, EndsAtAnyMoment) {
  std::mt19937 rng(8);
  const auto content = swarmfs::test::make_content(Format::hybrid, 64 << 10, {3'000'000});
  for (int round = 0; round < 50; ++round) {
    auto seed = std::make_unique<Node>(content, true);
    auto leech = std::make_unique<Node>(content, false, std::vector{seed->endpoint()});
    std::atomic<int> answers = 0;
    for (int i = 0; i < 3; ++i)
      leech->driver().park_read(HandleId(1),
                                content.layout().spans(FileIndex(0), rng() % 2'900'000, 1000),
                                [&](const Result<>&, const auto&) { ++answers; });
    std::this_thread::sleep_for(std::chrono::microseconds(rng() % 30'000));
    auto& first = round % 2 == 0 ? seed : leech;
    first.reset();
    seed.reset();
    leech.reset();
    EXPECT_EQ(answers, 3) << "a read was left without an answer";
  }
}

TEST(Session, AThousandSilentStrangersDoNotKeepAGoodPeerOut) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const std::size_t many = files.rlim_cur >= 4096 ? 1000 : files.rlim_cur / 4;
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {1'000'000});
  Node seed(content, true);
  const Bytes hello = handshake_for(content);
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (std::size_t i = 0; i < many; ++i) {
    strangers.push_back(std::make_unique<Stranger>(seed.endpoint()));
    strangers.back()->say(ByteView(hello).first(i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : 48));
  }
  Node leech(content, false, {seed.endpoint()});
  ASSERT_TRUE(leech.complete());
  expect_same(leech, content);
}

TEST(Session, GarbageAndResetsHurtNobodyElse) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {2'000'000});
  Node seed(content, true);
  std::mt19937 rng(9);
  Bytes hello = handshake_for(content);
  for (int i = 0; i < 60; ++i) {
    Stranger stranger(seed.endpoint());
    Bytes bytes = i % 2 == 0 ? hello : Bytes{};
    for (std::size_t n = rng() % 300; n > 0; --n) bytes.push_back(static_cast<std::uint8_t>(rng()));
    stranger.say(bytes);
    if (i % 3 == 0) stranger.reset();
  }
  Stranger garbage(seed.endpoint());
  garbage.say(Bytes(700, 'x'));  // too long for the public key and the pad of MSE
  EXPECT_TRUE(garbage.closed_within(10s));
  Stranger other(seed.endpoint());
  hello[30] ^= 1;
  other.say(hello);
  EXPECT_TRUE(other.closed_within(10s)) << "another torrent";
  Node leech(content, false, {seed.endpoint()});
  ASSERT_TRUE(leech.complete());
  expect_same(leech, content);
}

TEST(Session, APeerThatAsksWithoutReadingIsNotReadEither) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {2'000'000});
  Node seed(content, true);
  Stranger stranger(seed.endpoint());
  stranger.say(handshake_for(content));
  // Choked, so that every request is answered with a reject of its size that nobody reads.
  Bytes requests;
  for (std::uint32_t i = 0; i < 20'000; ++i)
    wire::append_block_ref(requests, wire::MessageId::request, {PieceIndex(0), 0, 1});
  std::atomic<std::uint64_t> taken = 0;
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) {  // 100 MB, if it lets us
      stranger.say(requests);
      if (over) return;
      taken += requests.size();
    }
  });
  std::uint64_t before = 1;
  for (int i = 0; i < 100 && taken != before; ++i) {
    before = taken;
    std::this_thread::sleep_for(1s);
  }
  EXPECT_LT(taken, 60u << 20) << "it takes on what it can never send";
  over = true;
  Node leech(content, false, {seed.endpoint()});
  EXPECT_TRUE(leech.complete()) << "others are served meanwhile";
  seed.stop();
  writer.join();
}

TEST(Session, ADiskSlowerThanTheNetworkHoldsTheNetworkBack) {
  constexpr std::uint64_t kSize = 48 << 20;
  const auto content = swarmfs::test::make_content(Format::v1, 1 << 20, {kSize});
  Node seed(content, true);
  Node leech(content, false);
  leech.store.hold(true);
  leech.driver().query([&](const auto&) {
    leech.driver().add_candidates({seed.endpoint()}, engine::PeerSource::user);
  });
  std::uint64_t before = 1;
  for (int i = 0; i < 100 && leech.store.most_unwritten() != before; ++i) {
    before = leech.store.most_unwritten();
    std::this_thread::sleep_for(2s);
  }
  EXPECT_GT(leech.store.most_unwritten(), 0U);
  EXPECT_LE(leech.store.most_unwritten(), TorrentDriver::kMaxUnwritten + (8 << 20));
  leech.store.hold(false);
  ASSERT_TRUE(leech.complete());
  expect_same(leech, content);
}

TEST(Session, AFullDiskStopsNothingButTheBackfill) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {2'000'000});
  Node seed(content, true);
  Node leech(content, false);
  leech.store.fail_writes(ErrorKind::no_space);
  leech.driver().query([&](const auto&) {
    leech.driver().add_candidates({seed.endpoint()}, engine::PeerSource::user);
  });
  for (int i = 0; i < 500 && !leech.stats().disk_full; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(leech.stats().disk_full);
  EXPECT_EQ(leech.store.count(), 0U);
  // A read of what is in memory only, or is still to come, is answered all the same.
  std::promise<Result<>> promise;
  leech.driver().park_read(
      HandleId(1), content.layout().spans(FileIndex(0), 1'900'000, 10'000),
      [&](Result<> result, const auto&) { promise.set_value(std::move(result)); });
  auto future = promise.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  EXPECT_TRUE(future.get());
}

}  // namespace
}  // namespace swarmfs::net
