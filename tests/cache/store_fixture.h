// A store over a simulated disk, for the tests of what it does with pieces.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "cache/store.h"
#include "tests/support/sim_disk.h"
#include "tests/support/test_torrent.h"

namespace swarmfs::cache {
namespace {

using test::SimDisk;
using test::TestTorrent;
using testing::HasSubstr;

const fs::path kFolder = "/cache/torrent";

class StoreTest : public testing::Test {
 protected:
  StoreOptions options() {
    StoreOptions options;
    options.layout = torrent_.layout;
    options.place.root = kFolder;
    options.state_folder = kFolder;
    options.background_flush = false;
    options.disk = &disk_;
    options.now = [this] { return now_; };
    return options;
  }

  void open() { open(options()); }
  void open(StoreOptions options) {
    store_.reset();
    auto store = Store::open(std::move(options), torrent_.verify());
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    store_->set_on_lost([this](PieceIndex piece) { lost_.insert(piece.value); });
  }

  Result<> write(std::uint32_t piece) {
    return store_->write_piece(PieceIndex(piece), torrent_.blocks(piece));
  }

  /// Reads a whole piece; true if it is served, and then it must be right.
  bool serves(std::uint32_t piece) {
    Bytes out(torrent_.pieces[piece].size(), 0xEE);
    const auto r = store_->read(PieceIndex(piece), 0, out);
    if (r) {
      EXPECT_EQ(out, torrent_.pieces[piece]) << "piece " << piece;
    }
    return static_cast<bool>(r);
  }

  void write_all() {
    for (std::uint32_t i = 0; i < torrent_.count(); ++i) ASSERT_TRUE(write(i));
  }

  TestTorrent torrent_{2 * kBlockSize, {50000, 700, -900, 0, 70000, 333, 45000}};
  SimDisk disk_;
  TimePoint now_{std::chrono::hours(1)};
  std::set<std::uint32_t> lost_;
  std::unique_ptr<Store> store_;
};

}  // namespace
}  // namespace swarmfs::cache
