// A torrent whose manifest lacks its piece layers, over two runs: what the first one fetched can be
// verified by the second without any peer.
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "mount/swarm_node.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;
using metainfo::PieceRoots;
using test::TestContent;

/// Two runs of hashes for the first file, one for the last, none for the one between.
const TestContent& whole() {
  static const TestContent content = test::make_content(
      metainfo::Format::v2, kBlockSize, {600 * std::uint64_t{kBlockSize} - 9, 100, 70'000});
  return content;
}

std::shared_ptr<PieceRoots> lacking() {
  return std::make_shared<PieceRoots>(test::without_layers(whole()).metainfo);
}

std::unique_ptr<cache::Store> open(const std::filesystem::path& folder,
                                   const std::shared_ptr<PieceRoots>& roots, bool layers = true) {
  auto options = cache::StoreOptions::for_cache(folder, whole().metainfo->hashes, whole().layout());
  options.background_flush = false;  // what is written stays unrecorded until it closes
  if (layers) options.before_checks = load_layers(roots);
  return cache::Store::open(std::move(options), verifier(roots)).value();
}

/// A node on a thread of its own.
class Running {
 public:
  Running(const std::filesystem::path& folder, const std::shared_ptr<PieceRoots>& roots, bool seed,
          std::vector<std::string> peers) {
    NetworkOptions network{{"127.0.0.1:0"}, std::move(peers)};
    node_ = SwarmNode::create(network, std::make_shared<spdlog::logger>(
                                           "test", std::make_shared<spdlog::sinks::null_sink_mt>()))
                .value();
    auto store = open(folder, roots);
    for (std::uint32_t p = 0; seed && p < whole().pieces.size(); ++p)
      EXPECT_TRUE(store->write_piece(PieceIndex(p), whole().blocks(PieceIndex(p))));
    content_ = node_->add(roots, std::move(store), {});
    content_->driver().on_complete(
        [this] { content_->driver().when_stored([this] { stored_.set_value(); }); });
    thread_ = std::jthread([this] { node_->run(); });
  }
  ~Running() {
    boost::asio::post(node_->io(), [this] { node_->stop(); });
    thread_.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(node_->port()); }
  bool stored() { return done_.wait_for(60s) == std::future_status::ready; }

 private:
  std::unique_ptr<SwarmNode> node_;
  std::shared_ptr<TorrentContent> content_;
  std::promise<void> stored_;
  std::future<void> done_ = stored_.get_future();
  std::jthread thread_;
};

std::uint32_t readable(cache::Store& store) {
  std::uint32_t right = 0;
  for (std::uint32_t p = 0; p < whole().pieces.size(); ++p) {
    Bytes bytes(whole().pieces[p].size());
    if (!store.read(PieceIndex(p), 0, bytes)) continue;
    EXPECT_EQ(bytes, whole().pieces[p]) << p;
    ++right;
  }
  return right;
}

class LayersKept : public testing::Test {
 protected:
  void SetUp() override {
    const Running seed(seed_.path(), std::make_shared<PieceRoots>(whole().metainfo), true, {});
    const auto roots = lacking();
    Running leech(leech_.path(), roots, false, {seed.address()});
    ASSERT_TRUE(leech.stored());
    EXPECT_EQ(roots->unknown(), 0U);
    // As a crash would leave it: written, and not recorded.
    std::filesystem::copy(leech_.path(), crashed_.path(), std::filesystem::copy_options::recursive);
  }
  const std::uint32_t all_ = whole().layout().piece_count();
  test::TempFolder seed_, leech_, crashed_;
};

TEST_F(LayersKept, TheNextRunVerifiesWhatItFindsWithoutAPeer) {
  const auto roots = lacking();
  const auto store = open(leech_.path(), roots);
  EXPECT_EQ(roots->unknown(), 0U);
  EXPECT_EQ(store->found().recorded, all_);
  EXPECT_EQ(readable(*store), all_);
}

TEST_F(LayersKept, AfterACrashTheyAreThereBeforeThePiecesAreLookedFor) {
  {
    const auto roots = lacking();
    const auto store = open(crashed_.path(), roots);
    EXPECT_FALSE(store->found().clean);
    EXPECT_EQ(store->found().recovered, all_);
    EXPECT_EQ(readable(*store), all_);
  }
  std::filesystem::remove_all(crashed_.path());
}

TEST_F(LayersKept, WithoutThemNothingUnverifiedIsHandedOut) {
  const auto store = open(crashed_.path(), lacking(), false);
  EXPECT_EQ(store->found().recovered, 1U) << "the file of one piece is its own root";
  EXPECT_EQ(readable(*store), 1U);
}

TEST_F(LayersKept, OnesThatTheDiskHasChangedAreNotBelieved) {
  {
    const auto store = open(leech_.path(), lacking());
    auto kept = store->blob("piece layers").value().value();
    kept[45] ^= 1;  // a hash of the first layer
    ASSERT_TRUE(store->put_blob("piece layers", kept));
  }
  const auto roots = lacking();
  const auto store = open(leech_.path(), roots);
  const std::uint32_t unknown = roots->unknown();
  EXPECT_TRUE(unknown == 600 || unknown == 5) << unknown;
  EXPECT_EQ(readable(*store), all_ - unknown);
}

}  // namespace
}  // namespace swarmfs::mount
