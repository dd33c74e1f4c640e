// Reads of a torrent say where their bytes came from, and what they waited for.
#include "mount/torrent_content.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "mount/swarm_node.h"
#include "tests/support/sim_disk.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 4 * kBlockSize;

const test::TestContent& whole() {
  static const test::TestContent content =
      test::make_content(metainfo::Format::v1, kPiece, {8 * std::uint64_t{kPiece}});
  return content;
}

/// A node on a thread of its own that has these pieces on disk and fetches what is read.
class Running {
 public:
  Running(std::vector<std::uint32_t> pieces, std::vector<std::string> peers,
          cache::Disk& disk = cache::posix_disk()) {
    NetworkOptions network{{"127.0.0.1:0"}, std::move(peers)};
    node_ = SwarmNode::create(network, std::make_shared<spdlog::logger>(
                                           "test", std::make_shared<spdlog::sinks::null_sink_mt>()))
                .value();
    const auto roots = std::make_shared<metainfo::PieceRoots>(whole().metainfo);
    auto place =
        cache::StoreOptions::for_cache(folder_.path(), whole().metainfo->hashes, whole().layout());
    place.disk = &disk;
    auto store = cache::Store::open(std::move(place), verifier(roots)).value();
    for (const std::uint32_t p : pieces)
      EXPECT_TRUE(store->write_piece(PieceIndex(p), whole().blocks(PieceIndex(p))));
    engine::TorrentConfig config;
    config.on_demand = true;
    config.read_timeout = 1s;
    content = node_->add(roots, std::move(store), config);
    thread_ = std::jthread([this] { node_->run(); });
  }
  ~Running() {
    boost::asio::post(node_->io(), [this] { node_->stop(); });
    thread_.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(node_->port()); }

  /// The story of a read of the first bytes of a piece, and whether it brought them.
  std::pair<ReadStory, bool> read(std::uint32_t piece) {
    std::promise<std::pair<ReadStory, bool>> told;
    content->read({FileIndex(0), std::uint64_t{piece} * kPiece, 1000, HandleId(1)},
                  [&](Result<Content> bytes, ReadStory story) {
                    told.set_value({std::move(story), bytes.has_value()});
                  },
                  {});
    return told.get_future().get();
  }

  std::shared_ptr<TorrentContent> content;

 private:
  test::TempFolder folder_;
  std::unique_ptr<SwarmNode> node_;
  std::jthread thread_;
};

TEST(TorrentContent, SaysWhereTheBytesOfAnAnswerCameFrom) {
  Running seed({0, 1, 2, 3, 4, 5, 6, 7}, {});
  Running reader({1}, {seed.address()});
  const auto [from_disk, disk_ok] = reader.read(1);
  EXPECT_TRUE(disk_ok);
  EXPECT_EQ(from_disk.source, ReadSource::disk);
  EXPECT_EQ(from_disk.cause, "");
  const auto [fetched, fetched_ok] = reader.read(5);
  EXPECT_TRUE(fetched_ok);
  EXPECT_EQ(fetched.source, ReadSource::peer);
  EXPECT_NE(fetched.cause.find("first block from " + seed.address()), std::string::npos)
      << fetched.cause;
  const auto [from_memory, memory_ok] = reader.read(5);
  EXPECT_TRUE(memory_ok);
  EXPECT_EQ(from_memory.source, ReadSource::memory);
}

TEST(TorrentContent, ADiskThatHangsKeepsNobodyWhoAsks) {
  std::atomic<bool> hangs{false};
  test::SimDisk disk;
  disk.caches_nothing = true;
  disk.fault = [&](const test::SimDisk::Op& op) {
    if (op.kind == test::SimDisk::OpKind::read) hangs.wait(true);
    return 0;
  };
  Running reader({0, 1, 2, 3, 4, 5, 6, 7}, {}, disk);
  hangs = true;
  std::atomic<unsigned> ended{0};
  std::promise<void> all;
  for (std::uint32_t piece = 0; piece < 8; ++piece) {
    reader.content->read({FileIndex(0), std::uint64_t{piece} * kPiece, 1000, HandleId(1)},
                         [&, piece](const Result<Content>& bytes, const ReadStory& story) {
                           EXPECT_TRUE(bytes) << piece;
                           EXPECT_EQ(story.source, ReadSource::disk) << piece;
                           if (++ended == 8) all.set_value();
                         },
                         {});
  }
  EXPECT_EQ(ended, 0U) << "every call has returned, and no disk has been read";
  hangs = false;
  hangs.notify_all();
  all.get_future().wait();
}

TEST(TorrentContent, SaysWhatAReadWaitedForInVain) {
  Running alone({}, {});
  const auto [story, ok] = alone.read(0);
  EXPECT_FALSE(ok);
  EXPECT_EQ(story.cause.rfind("no peer was connected (", 0), 0U) << story.cause;
}

/// What a read was told of its start, and how it ended.
struct Growth {
  std::vector<std::uint32_t> parts;
  std::optional<Result<Content>> result;
};

TEST(TorrentContent, TellsHowMuchOfAReadIsHereAsItComes) {
  Running seed({2, 3}, {});
  Running reader({1}, {seed.address()});
  Growth growth;  // touched by the reader's loop until `ended`
  std::promise<void> ended;
  // 1 is here, 2 and 3 can be fetched, 4 cannot.
  reader.content->read(
      {FileIndex(0), kPiece + 100, 4 * kPiece, HandleId(1)},
      [&](Result<Content> bytes, const ReadStory&) {
        growth.result = std::move(bytes);
        ended.set_value();
      },
      [&](std::uint32_t bytes) { growth.parts.push_back(bytes); });
  ended.get_future().wait();
  EXPECT_EQ(growth.result->error().kind, ErrorKind::timed_out);
  ASSERT_GE(growth.parts.size(), 2U);
  EXPECT_EQ(growth.parts.front(), kPiece - 100);
  EXPECT_EQ(growth.parts.back(), 3 * kPiece - 100);
  EXPECT_TRUE(std::is_sorted(growth.parts.begin(), growth.parts.end()));

  const auto here = reader.content->peek(FileIndex(0), kPiece + 100, growth.parts.back());
  ASSERT_TRUE(here);
  std::uint64_t size = 0;
  for (const auto& slice : *here) size += slice.bytes.size();
  EXPECT_EQ(size, growth.parts.back());
  EXPECT_FALSE(reader.content->peek(FileIndex(0), kPiece + 100, growth.parts.back() + 1));
}

}  // namespace
}  // namespace swarmfs::mount
