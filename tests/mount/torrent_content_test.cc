// Reads of a torrent say where their bytes came from, and what they waited for.
#include "mount/torrent_content.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "mount/control_orders.h"
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
          const std::filesystem::path& cache = {}, cache::Disk& disk = cache::posix_disk()) {
    NetworkOptions network{{"127.0.0.1:0"}, std::move(peers)};
    node_ = SwarmNode::create(network, std::make_shared<spdlog::logger>(
                                           "test", std::make_shared<spdlog::sinks::null_sink_mt>()))
                .value();
    const auto roots = std::make_shared<metainfo::PieceRoots>(whole().metainfo);
    auto place = cache::StoreOptions::for_cache(cache.empty() ? folder_.path() : cache,
                                                whole().metainfo->hashes, whole().layout());
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
  SwarmNode& node() { return *node_; }
  /// Whether it comes true soon.
  template <class Holds>
  static bool soon(Holds holds) {
    const TimePoint end = std::chrono::steady_clock::now() + 30s;
    while (!holds() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
    return holds();
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
  Running reader({0, 1, 2, 3, 4, 5, 6, 7}, {}, {}, disk);
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

TEST(TorrentContent, PinnedFilesComeOnDemandAndAreStillPinnedInTheNextRun) {
  const test::TempFolder cache;
  Running seed({0, 1, 2, 3, 4, 5, 6, 7}, {});
  {
    Running alone({}, {}, cache.path());
    EXPECT_FALSE(alone.content->is_pinned(FileIndex(0)));
    alone.content->pin(FileIndex(0));
    EXPECT_TRUE(alone.content->is_pinned(FileIndex(0)));
  }
  {
    Running next({}, {seed.address()}, cache.path());
    EXPECT_EQ(next.content->pinned(), std::vector{FileIndex(0)});
    const std::uint64_t all = whole().layout().content_size();
    EXPECT_TRUE(Running::soon([&] { return next.content->bytes_here(FileIndex(0)) == all; }));
    next.content->unpin(FileIndex(0));
  }
  Running last({}, {}, cache.path());
  EXPECT_TRUE(last.content->pinned().empty());
}

TEST(TorrentContent, APrefetchBringsItsRangeAndNothingElse) {
  Running seed({0, 1, 2, 3, 4, 5, 6, 7}, {});
  Running reader({}, {seed.address()});
  reader.content->prefetch(FileIndex(0), 2 * kPiece + 5, 4 * kPiece);
  const auto share = [&] {
    return reader.content->share_here(FileIndex(0), 2 * kPiece + 5, 4 * kPiece);
  };
  EXPECT_EQ(share().all, 2U * kPiece - 5);
  EXPECT_TRUE(Running::soon([&] { return share().here == share().all; }));
  EXPECT_EQ(reader.content->piece_map(FileIndex(0)), "..##....");
  reader.content->prefetch(FileIndex(0), 7 * kPiece, std::uint64_t{1} << 60);
  EXPECT_TRUE(Running::soon([&] { return reader.content->piece_map(FileIndex(0)) == "..##...#"; }));
  reader.content->prefetch(FileIndex(0), 9 * kPiece, 10 * kPiece);
  EXPECT_EQ(reader.content->share_here(FileIndex(0), 9 * kPiece, 10 * kPiece).all, 0U);
}

TEST(TorrentContent, WhilePausedOnlyWhatIsHereCanBeRead) {
  Running seed({0, 1, 2, 3, 4, 5, 6, 7}, {});
  Running reader({1}, {seed.address()});
  reader.content->pause();
  EXPECT_TRUE(reader.content->paused());
  EXPECT_TRUE(reader.read(1).second);
  const auto [story, ok] = reader.read(2);
  EXPECT_FALSE(ok);
  EXPECT_EQ(story.cause.rfind("the torrent was paused (", 0), 0U) << story.cause;
  reader.content->resume();
  EXPECT_TRUE(reader.read(2).second);
}

/// The handlers of orders, and a torrent of one file at "whole".
struct OrdersTest : testing::Test {
  OrdersTest() {
    fs::TorrentSpec spec;
    spec.name = "whole";
    spec.source = running.content;
    for (const char* folder : {"a", "b"}) {
      fs::FileSpec file;
      file.path = {folder, "file"};
      file.length = whole().layout().content_size();
      spec.files.push_back(file);
    }
    EXPECT_TRUE(tree.add_torrent(std::move(spec)));
  }
  nlohmann::json ask(const std::string& command, nlohmann::json request) {
    return handlers.at(command)(request);
  }

  Running running{{1}, {}};
  fs::Tree tree{0};
  std::map<std::string, ControlHandler, std::less<>> handlers =
      order_handlers({"/mnt", [this](const std::string& path) { return targets_below(tree, path); },
                      [this] { return running.node().limits(); },
                      [this](const Limits& limits) { running.node().set_limits(limits); }});
};

TEST_F(OrdersTest, AreAboutTheTorrentsAndFilesBelowAPath) {
  EXPECT_EQ(ask("pin", {{"path", "whole/b"}})["torrents"][0]["files"], 1);
  EXPECT_EQ(tree.attribute(*tree.lookup(fs::kRootIno, "whole"), "user.swarmfs.pinned"), "1");
  EXPECT_EQ(ask("unpin", nlohmann::json::object())["torrents"][0]["files"], 2);
  EXPECT_TRUE(running.content->pinned().empty());
  const auto paused = ask("pause", {{"path", "whole"}});
  EXPECT_EQ(paused["mountpoint"], "/mnt");
  EXPECT_EQ(paused["torrents"], (nlohmann::json{{{"name", "whole"}, {"paused", true}}}));
  EXPECT_TRUE(running.content->paused());
  const auto fetched = ask("prefetch", {{"path", "whole/a"}, {"range", "0-128K"}});
  EXPECT_EQ(fetched["all"], 128 << 10);
  EXPECT_EQ(fetched["here"], kPiece);
  EXPECT_EQ(fetched["torrents"][0]["paused"], true);
  const auto asked = ask("prefetch", {{"path", "whole"}, {"ask_only", true}});
  EXPECT_EQ(asked["torrents"][0]["swarm"],
            (nlohmann::json{{"peers", 0}, {"disk_full", false}, {"contradicted", false}}));
  ask("resume", nlohmann::json::object());
  EXPECT_FALSE(running.content->paused());
}

TEST_F(OrdersTest, OfLimitsAreForATorrentOrForAllTogether) {
  ask("limit", {{"down", 1000}});
  EXPECT_EQ(running.node().limits(), (Limits{1000, 0, true}));
  ask("limit", {{"up", 7}, {"reads_exempt", false}});
  EXPECT_EQ(running.node().limits(), (Limits{1000, 7, false}));
  const auto reply = ask("limit", {{"path", "whole"}, {"down", 5}});
  EXPECT_EQ(running.content->limits(), (Limits{5, 0, true}));
  EXPECT_EQ(reply["limits"]["down"], 1000);
  EXPECT_EQ(reply["torrents"][0]["limits"]["down"], 5);
}

TEST_F(OrdersTest, ThatMakeNoSenseAreRefusedAndChangeNothing) {
  for (const char* path : {"nothing", "whole/c", "whole/a/file/x", "whole//a", "/"})
    EXPECT_EQ(ask("pause", {{"path", path}})["kind"], "not found") << path;
  EXPECT_FALSE(running.content->paused());
  for (const nlohmann::json& rate : {nlohmann::json(-1), nlohmann::json("1M"), nlohmann::json(0.5)})
    EXPECT_EQ(ask("limit", {{"down", rate}})["kind"], "bad input");
  EXPECT_EQ(running.node().limits(), Limits{});
  EXPECT_EQ(ask("prefetch", {{"range", "5"}})["kind"], "bad input");
  // What is of the wrong type throws, which the control socket turns into a refusal.
  ControlHandlers all;
  all.commands = handlers;
  bool unmount = false;
  const auto reply = nlohmann::json::parse(
      control_reply(R"({"version":1,"command":"pin","path":7})", all, unmount));
  EXPECT_EQ(reply["ok"], false);
}

}  // namespace
}  // namespace swarmfs::mount
