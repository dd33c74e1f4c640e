// What readers get of a torrent that is not open yet, and of one that is gone.
#include "mount/torrent_source.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "mount/swarm_node.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 4 * kBlockSize;

const test::TestContent& whole() {
  static const test::TestContent content =
      test::make_content(metainfo::Format::v1, kPiece, {2 * std::uint64_t{kPiece}});
  return content;
}

/// A read of the first bytes, under way.
struct Read {
  explicit Read(TorrentSource& source, std::uint64_t handle = 1, std::uint64_t offset = 0)
      : answer(told.get_future()),
        id(source.read(
            {FileIndex(0), offset, 1000, HandleId(handle)},
            [this](Result<Content> bytes, ReadStory) { told.set_value(std::move(bytes)); }, {})) {}
  bool waits() const { return answer.wait_for(0s) != std::future_status::ready; }
  /// The errno's kind; nothing if it brought bytes, which are the right ones.
  std::optional<ErrorKind> outcome(std::uint64_t offset = 0) {
    const auto bytes = answer.get();
    if (!bytes) return bytes.error().kind;
    std::uint64_t at = offset;
    for (const auto& slice : *bytes)
      for (const std::uint8_t byte : slice.bytes) {
        EXPECT_EQ(byte, whole().pieces[at / kPiece][at % kPiece]);
        ++at;
      }
    EXPECT_EQ(at, offset + 1000);
    return std::nullopt;
  }
  std::promise<Result<Content>> told;
  std::future<Result<Content>> answer;
  ReadId id;
};

struct TorrentSourceTest : testing::Test {
  int parked = 0;
  std::shared_ptr<TorrentSource> source =
      std::make_shared<TorrentSource>(whole().metainfo, [this] { ++parked; });
};

TEST_F(TorrentSourceTest, AnswersWhatIsKnownBeforeItIsOpen) {
  EXPECT_EQ(source->bytes_here(FileIndex(0)), 0U);
  EXPECT_EQ(source->piece_map(FileIndex(0)), "..");
  EXPECT_EQ(source->state_text(), "opening");
  EXPECT_EQ(source->peers(), 0U);
  EXPECT_FALSE(source->open_verified(FileIndex(0)).valid());
  EXPECT_FALSE(source->peek(FileIndex(0), 0, 10));
}

TEST_F(TorrentSourceTest, ReadsWaitUntilItIsBrokenAndThenFailAtOnce) {
  Read before(*source);
  EXPECT_TRUE(before.waits());
  EXPECT_EQ(parked, 1);
  source->end(fail(ErrorKind::busy, "in use by another"));
  EXPECT_EQ(before.outcome(), ErrorKind::io);
  EXPECT_EQ(source->error().kind, ErrorKind::busy);
  EXPECT_EQ(source->state_text(), "broken: in use by another");
  Read after(*source);
  EXPECT_EQ(after.outcome(), ErrorKind::io);
  EXPECT_EQ(after.id, ReadId{});
  source->end(fail(ErrorKind::gone, "removed"));
  EXPECT_EQ(Read(*source).outcome(), ErrorKind::gone);
  EXPECT_FALSE(source->open(nullptr));
}

TEST_F(TorrentSourceTest, ReadsThatWaitCanBeCancelledClosedAndTimedOut) {
  Read cancelled(*source), closed(*source, 2), late(*source, 3);
  source->cancel(cancelled.id);
  EXPECT_EQ(cancelled.outcome(), ErrorKind::cancelled);
  source->close(HandleId(2));
  EXPECT_EQ(closed.outcome(), ErrorKind::cancelled);
  source->expire(std::chrono::steady_clock::now() - 1h);
  EXPECT_TRUE(late.waits());
  source->expire(std::chrono::steady_clock::now());
  EXPECT_EQ(late.outcome(), ErrorKind::timed_out);
  source->cancel(late.id);  // too late, and no harm
}

/// With a node whose store has the first piece, and nobody to fetch the second from.
struct OpenedSource : TorrentSourceTest {
  void SetUp() override {
    node = SwarmNode::create({{"127.0.0.1:0"}, {}},
                             std::make_shared<spdlog::logger>(
                                 "test", std::make_shared<spdlog::sinks::null_sink_mt>()))
               .value();
    thread = std::thread([this] { node->run(); });
  }
  void open() {
    const auto roots = std::make_shared<metainfo::PieceRoots>(whole().metainfo);
    auto store = cache::Store::open(cache::StoreOptions::for_cache(
                                        folder.path(), whole().metainfo->hashes, whole().layout()),
                                    verifier(roots))
                     .value();
    ASSERT_TRUE(store->write_piece(PieceIndex(0), whole().blocks(PieceIndex(0))));
    on_loop([&] {
      content = node->add(roots, std::move(store), {}, [this](std::unique_ptr<TorrentContent> c) {
        disposed.set_value(std::move(c));
      });
    });
    EXPECT_TRUE(source->open(content));
  }
  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(node->io(), [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void TearDown() override {
    boost::asio::post(node->io(), [this] { node->stop(); });
    thread.join();
    source.reset();
    content.reset();
    node.reset();
  }
  test::TempFolder folder;
  std::promise<std::unique_ptr<TorrentContent>> disposed;
  std::unique_ptr<SwarmNode> node;
  std::shared_ptr<TorrentContent> content;
  std::thread thread;
};

TEST_F(OpenedSource, ReadsThatWaitedGoOnInTheSwarm) {
  Read here(*source), missing(*source, 2, kPiece), cancelled(*source, 3, kPiece);
  open();
  EXPECT_EQ(here.outcome(), std::nullopt);
  EXPECT_EQ(Read(*source).outcome(), std::nullopt);
  EXPECT_EQ(source->bytes_here(FileIndex(0)), kPiece);
  EXPECT_EQ(source->piece_map(FileIndex(0)), "#.");
  source->cancel(cancelled.id);
  EXPECT_EQ(cancelled.outcome(), ErrorKind::cancelled);
  EXPECT_TRUE(missing.waits());
  source->close(HandleId(2));
  EXPECT_EQ(missing.outcome(), ErrorKind::cancelled);
}

TEST_F(OpenedSource, ARemovedTorrentEndsItsReadsAndLetsItsStoreGo) {
  open();
  Read missing(*source, 2, kPiece);
  auto ended = source->end(fail(ErrorKind::gone, "removed"));
  EXPECT_EQ(ended.was, TorrentSource::State::open);
  content.reset();
  on_loop([&] { node->remove(ended.content, fail(ErrorKind::gone, "removed")); });
  EXPECT_EQ(missing.outcome(kPiece), ErrorKind::gone);
  EXPECT_EQ(Read(*source).outcome(), ErrorKind::gone);
  ended.content.reset();
  auto unused = disposed.get_future();
  ASSERT_EQ(unused.wait_for(20s), std::future_status::ready) << "somebody still holds it";
  auto last = unused.get();
  last->detach();
  last.reset();
  // Its folder is free again, and what it held was recorded.
  const auto roots = std::make_shared<metainfo::PieceRoots>(whole().metainfo);
  const auto again = cache::Store::open(
      cache::StoreOptions::for_cache(folder.path(), whole().metainfo->hashes, whole().layout()),
      verifier(roots));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE((*again)->found().clean);
  EXPECT_EQ((*again)->found().recorded, 1U);
}

}  // namespace
}  // namespace swarmfs::mount
