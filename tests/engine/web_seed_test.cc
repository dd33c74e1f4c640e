// WebSeed against a server that a test plays, in virtual time.
#include "swarm/engine/web_seed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/web_world.h"

namespace swarmfs::engine {
namespace {

using metainfo::Format;
using test::make_content;
using test::WebWorld;
using testing::SizeIs;
using namespace std::chrono_literals;
using Get = WebWorld::Get;

constexpr std::uint32_t kPiece = 8 * kBlockSize;

TEST(WebSeed, IsAPeerThatHasEverythingAndNeverChokes) {
  WebWorld world(make_content(Format::v2, kPiece, {300'000, 70'000}));
  EXPECT_EQ(world.introduced, 0U) << "before its server took a connection";
  world.open_all();
  EXPECT_EQ(world.introduced, 1U);
  EXPECT_EQ(world.have_all, 1U);
  EXPECT_EQ(world.unchokes, 1U);
  Bytes ask;
  wire::append_hash_ref(ask, wire::MessageId::hash_request, {{}, 0, 0, 2, 0});
  world.seed.on_wire(ask, world.now);
  EXPECT_EQ(world.hash_rejects, 1U);
}

TEST(WebSeed, BringsEveryByteOfEveryFormat) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    WebWorld world(make_content(format, kPiece, {300'000, 1, 70'000, 131'072, 5}));
    world.ask(world.all_blocks());
    world.serve();
    EXPECT_THAT(world.came, SizeIs(world.all_blocks().size()));
    EXPECT_EQ(world.wrong, 0U);
    EXPECT_FALSE(world.malformed);
    EXPECT_LE(world.asked.size(), 5U) << "a run of a file is one range";
    EXPECT_LE(world.opened.size(), WebSeed::kMaxLines);
  }
}

TEST(WebSeed, WhatContinuesTheLastRangeWaitsToBeWorthARequest) {
  WebWorld world(make_content(Format::v1, 64 * kBlockSize, {128 * kBlockSize}));
  world.open_all();
  auto blocks = world.all_blocks();
  world.ask({blocks.begin(), blocks.begin() + 40});
  EXPECT_THAT(world.gets, SizeIs(1));
  for (std::size_t b = 40; b < 49; ++b) world.ask({blocks[b]});
  EXPECT_THAT(world.gets, SizeIs(1));
  world.ask({blocks[49]});
  ASSERT_THAT(world.gets, SizeIs(2));
  EXPECT_EQ(world.gets[1].range,
            (std::pair<std::uint64_t, std::uint64_t>(40 * kBlockSize, 50 * kBlockSize - 1)));
  world.ask({blocks[100]});
  EXPECT_THAT(world.gets, SizeIs(3)) << "what lies elsewhere goes at once";
  EXPECT_THAT(world.opening, SizeIs(1)) << "and gets a connection of its own for the next time";
}

TEST(WebSeed, ABlockGoesOnWhileItsRangeStillComes) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.open_all();
  world.ask(world.all_blocks());
  const auto answer = world.right(world.gets[0]);
  world.seed.on_head(world.gets[0].line, answer.head, world.now);
  world.seed.on_body(world.gets[0].line, ByteView(answer.body).first(2 * kBlockSize + 1),
                     world.now);
  EXPECT_THAT(world.came, SizeIs(2));
}

TEST(WebSeed, FollowsRedirectsAndRemembersThem) {
  WebWorld world(make_content(Format::v1, kPiece, {2 * kPiece}));
  const auto speak = [&](const Get& get) {
    if (get.url.starts_with("http://cdn.example/"))
      return world.part(0, get.range->first, get.range->second);
    auto moved = WebWorld::status(302);
    moved.head.location = "http://cdn.example/x/f0";
    return moved;
  };
  world.ask(world.blocks_of(0));
  world.serve(speak);
  world.ask(world.blocks_of(1));
  world.serve(speak);
  EXPECT_THAT(world.came, SizeIs(16));
  EXPECT_THAT(world.asked, SizeIs(3)) << "the second time at once where it leads";
  EXPECT_EQ(world.opened.back().second, Scope::global);
}

TEST(WebSeed, ARedirectWithoutEndLosesTheFile) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece, kPiece}));
  world.ask(world.blocks_of(0));
  world.serve([&](const Get& get) {
    auto moved = WebWorld::status(301);
    moved.head.location = get.url + "x";
    return moved;
  });
  EXPECT_THAT(world.lost, testing::ElementsAre(PieceIndex(0)));
  EXPECT_LE(world.asked.size(), 1 + WebSeed::kMaxHops);
  EXPECT_FALSE(world.end);
}

TEST(WebSeed, AMissingFileIsMissingAlone) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece, kPiece, kPiece}));
  world.ask(world.all_blocks());
  world.serve([&](const Get& get) {
    return get.url.ends_with("f1") ? WebWorld::status(404, "no such file") : world.right(get);
  });
  EXPECT_THAT(world.came, SizeIs(16));
  EXPECT_THAT(world.rejected, SizeIs(8));
  EXPECT_THAT(world.lost, testing::ElementsAre(PieceIndex(1)));
  world.ask(world.blocks_of(1));
  EXPECT_THAT(world.gets, SizeIs(0)) << "not asked for again";
  EXPECT_FALSE(world.end);
}

TEST(WebSeed, ServersThatIgnoreRangesServeWhatIsNear) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece, 40 * kPiece}));
  const auto speak = [&](const Get& get) { return world.whole(*world.file_of(get.url)); };
  world.ask(world.blocks_of(1));
  world.serve(speak);
  EXPECT_THAT(world.came, SizeIs(8));
  world.ask(world.blocks_of(30));
  world.serve(speak);
  EXPECT_THAT(world.came, SizeIs(8));
  EXPECT_THAT(world.lost, SizeIs(40)) << "of that file nothing more is asked for";
  world.ask(world.blocks_of(0));
  world.serve(speak);
  EXPECT_THAT(world.came, SizeIs(16));
  EXPECT_EQ(world.wrong, 0U);
}

TEST(WebSeed, OtherBytesThanWereAskedForAreRefused) {
  for (const auto& [range, length] :
       {std::pair("bytes 1-131072/262144", 131'072U), std::pair("bytes 0-131071/262145", 131'072U),
        std::pair("bytes 0-131071/262144", 131'071U), std::pair("", 131'072U)}) {
    WebWorld world(make_content(Format::v1, kPiece, {2 * kPiece, kPiece}));
    world.ask(world.blocks_of(0));
    world.serve([&](const Get&) {
      auto answer = WebWorld::status(206, std::string(length, 'x'));
      answer.head.content_range = range;
      return answer;
    });
    EXPECT_THAT(world.came, SizeIs(0)) << range;
    EXPECT_EQ(world.wrong, 0U) << range;
    EXPECT_THAT(world.lost, SizeIs(2)) << range;
  }
}

TEST(WebSeed, ABusyServerIsLeftAloneAsLongAsItSays) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.ask(world.blocks_of(0));
  world.serve([](const Get&) {
    auto busy = WebWorld::status(503);
    busy.head.retry_after = "17";
    return busy;
  });
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->retry_after, 17s);
  EXPECT_FALSE(world.end->for_good);
}

TEST(WebSeed, AScriptSaysInTheBodyHowLongItIsBusy) {
  WebWorld world(make_content(Format::hybrid, kPiece, {kPiece, 5 * kBlockSize}),
                 WebSeedFiles::Kind::script, "http://web.example/seed.php");
  world.ask(world.blocks_of(1));
  world.open_all();
  ASSERT_THAT(world.gets, SizeIs(1));
  EXPECT_FALSE(world.gets[0].range);
  world.serve([&](const Get&) {
    const Bytes& piece = world.content.pieces[1];
    return WebWorld::status(200, std::string(piece.begin(), piece.end()));
  });
  EXPECT_THAT(world.came, SizeIs(5));
  world.ask(world.blocks_of(0));
  world.serve([](const Get&) { return WebWorld::status(503, "42"); });
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->retry_after, 42s);
}

TEST(WebSeed, AConnectionThatEndsIsMadeAnewAndGoesOnWhereItWas) {
  WebWorld world(make_content(Format::v1, kPiece, {4 * kPiece}));
  world.ask(world.all_blocks());
  std::uint64_t sent = 0;
  world.serve([&](const Get& get) {
    auto answer = world.right(get);
    if (answer.body.size() > 50'000) {
      answer.body.resize(50'000);
      answer.cut = true;
    }
    sent += answer.body.size();
    return answer;
  });
  EXPECT_THAT(world.came, SizeIs(32));
  EXPECT_EQ(sent, 4 * kPiece) << "no byte is asked for twice";
  EXPECT_FALSE(world.end);
}

TEST(WebSeed, AServerThatOnlyFailsIsGivenUp) {
  WebWorld world(make_content(Format::v1, kPiece, {4 * kPiece}));
  world.ask(world.all_blocks());
  for (int i = 0; i < 10 && !world.end; ++i) {
    world.open_all();
    ASSERT_FALSE(world.lines.empty());
    world.lose(*world.lines.begin());
  }
  ASSERT_TRUE(world.end);
  EXPECT_FALSE(world.end->for_good);
}

TEST(WebSeed, AnUnreachableServerIsNoPeer) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.lose(*world.lines.begin(), "refused");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->why, "refused");
  EXPECT_EQ(world.introduced, 0U);
}

TEST(WebSeed, SilenceEndsAConnection) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.open_all();
  world.ask(world.blocks_of(0));
  const auto line = world.gets.at(0).line;
  EXPECT_EQ(world.seed.deadline(), world.now + WebSeed::kSilence);
  world.now += WebSeed::kSilence;
  world.seed.on_timer(world.now);
  EXPECT_FALSE(world.lines.contains(line));
  EXPECT_THAT(world.opening, SizeIs(1));
  world.serve();
  EXPECT_THAT(world.came, SizeIs(8));
}

TEST(WebSeed, ASeekDoesNotWaitForALongRange) {
  WebWorld world(make_content(Format::v1, 64 * kBlockSize, {128 * kBlockSize}));
  world.open_all();
  const auto line = *world.lines.begin();
  world.ask(world.blocks_of(0));
  world.cancel(world.blocks_of(0));
  EXPECT_THAT(world.rejected, SizeIs(64)) << "each request is answered (BEP 6)";
  EXPECT_FALSE(world.lines.contains(line));
  world.ask(world.blocks_of(1));
  world.serve();
  EXPECT_THAT(world.came, SizeIs(64));
  EXPECT_THAT(world.asked, SizeIs(2));
}

TEST(WebSeed, AFewBlocksThatNobodyWantsAreDrained) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.open_all();
  world.ask(world.blocks_of(0));
  world.cancel({world.blocks_of(0)[2]});
  EXPECT_THAT(world.lines, SizeIs(1));
  world.serve();
  EXPECT_THAT(world.came, SizeIs(7));
  EXPECT_THAT(world.opened, SizeIs(1));
}

TEST(WebSeed, AServerThatClosesAfterEachAnswerIsAskedOneByOne) {
  WebWorld world(make_content(Format::v1, kPiece, {8 * kPiece}));
  const auto speak = [&](const Get& get) {
    auto answer = world.right(get);
    answer.head.keep_alive = false;
    return answer;
  };
  for (std::uint32_t piece : {0U, 5U, 2U, 7U}) world.ask(world.blocks_of(piece));
  world.serve(speak);
  EXPECT_THAT(world.came, SizeIs(32));
  EXPECT_TRUE(world.memory->one_at_a_time);
  EXPECT_FALSE(world.end);
}

TEST(WebSeed, IsTellingNothingAfterItsEnd) {
  WebWorld world(make_content(Format::v1, kPiece, {kPiece}));
  world.open_all();
  world.ask(world.blocks_of(0));
  const Get get = world.gets.at(0);
  world.seed.end({"sent wrong bytes", std::nullopt, true});
  world.seed.on_body(get.line, world.content.pieces[0], world.now);
  world.ask(world.blocks_of(0));
  EXPECT_THAT(world.came, SizeIs(0));
  EXPECT_TRUE(world.lines.empty());
}

}  // namespace
}  // namespace swarmfs::engine
