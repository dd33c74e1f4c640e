// Power failures: at every operation, every kind of state the disk may be found in.
#include <gtest/gtest.h>

#include <set>

#include "cache/store.h"
#include "tests/support/sim_disk.h"
#include "tests/support/test_torrent.h"

namespace swarmfs::cache {
namespace {

using test::CrashStyle;
using test::SimDisk;
using test::TestTorrent;

struct Kind {
  const char* name;
  bool numbered;
  bool per_file;
};

class Crash : public testing::TestWithParam<Kind> {
 protected:
  Crash()
      : torrent_(GetParam().per_file
                     ? TestTorrent::per_file(2 * kBlockSize, {50000, 0, 70000, 3000, 33000})
                     : TestTorrent(2 * kBlockSize, {50000, 700, -900, 0, 70000, 333, 45000})) {}

  StoreOptions options(SimDisk& disk) const {
    StoreOptions options;
    options.layout = torrent_.layout;
    options.place.root = "/cache/torrent";
    options.state_folder = "/cache/torrent";
    if (!GetParam().numbered) {
      options.place.root = "/out";
      for (std::size_t i = 0; i < torrent_.layout.files().size(); ++i)
        options.place.files.push_back(i % 2 == 0 ? "a/b" + std::to_string(i)
                                                 : "c" + std::to_string(i));
    }
    options.background_flush = false;
    options.disk = &disk;
    return options;
  }

  /// Two runs, the first ended in order, with several flushes each; stops where the power fails.
  /// Notes the pieces that were durable when flush() said so.
  std::set<std::uint32_t> scenario(SimDisk& disk, std::uint64_t seed) const {
    std::set<std::uint32_t> durable;
    std::mt19937_64 rng(seed);
    for (int run = 0; run < 2 && !disk.dead(); ++run) {
      auto store = Store::open(options(disk), torrent_.verify());
      if (!store) break;
      std::set<std::uint32_t> written;
      for (int step = 0; step < 7 && !disk.dead(); ++step) {
        const auto piece = static_cast<std::uint32_t>(rng() % torrent_.count());
        if ((*store)->write_piece(PieceIndex(piece), torrent_.blocks(piece))) written.insert(piece);
        if (rng() % 3 == 0 && (*store)->flush()) durable.merge(written);
      }
      if ((*store)->flush()) durable.merge(written);
    }
    return durable;
  }

  /// Opens what the crash left: nothing wrong may come out of it, everything durable must, and
  /// the rest of the torrent must still fit in.
  void check(SimDisk& disk, const std::set<std::uint32_t>& durable) const {
    Bytes out;
    {
      auto store = Store::open(options(disk), torrent_.verify());
      ASSERT_TRUE(store) << store.error().message;
      for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece) {
        out.assign(torrent_.pieces[piece].size(), 0xEE);
        const bool claimed = (*store)->has(PieceIndex(piece));
        const auto r = (*store)->read(PieceIndex(piece), 0, out);
        if (r) {
          ASSERT_EQ(out, torrent_.pieces[piece]) << "piece " << piece;
        }
        // What is claimed was synced: a crash alone cannot have damaged it.
        ASSERT_EQ(claimed, static_cast<bool>(r)) << "piece " << piece;
        if (durable.contains(piece)) {
          ASSERT_TRUE(r) << "piece " << piece << ": " << r.error().message;
        }
      }
      for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece)
        ASSERT_TRUE((*store)->write_piece(PieceIndex(piece), torrent_.blocks(piece)));
      ASSERT_TRUE((*store)->flush());
    }
    auto store = Store::open(options(disk), torrent_.verify());
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_TRUE((*store)->found().clean);
    for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece) {
      out.resize(torrent_.pieces[piece].size());
      ASSERT_TRUE((*store)->read(PieceIndex(piece), 0, out));
      ASSERT_EQ(out, torrent_.pieces[piece]);
    }
  }

  TestTorrent torrent_;
};

TEST_P(Crash, NeverServesAWrongByteAndKeepsWhatWasDurable) {
  SimDisk whole;
  const auto expected = scenario(whole, 1);
  EXPECT_GT(expected.size(), torrent_.count() / 2);
  const std::uint64_t operations = whole.operations();
  ASSERT_GT(operations, 60U);
  std::size_t states = 0;
  for (std::uint64_t at = 1; at <= operations; ++at) {
    SimDisk disk;
    disk.die_at(at);
    const auto durable = scenario(disk, 1);
    ASSERT_TRUE(disk.dead());
    for (const CrashStyle style : test::kCrashStyles) {
      const bool random = style != CrashStyle::drop_all && style != CrashStyle::keep_all;
      for (std::uint64_t seed = 0; seed < (random ? 3U : 1U); ++seed) {
        SCOPED_TRACE("power fails at operation " + std::to_string(at) + ", style " +
                     std::to_string(static_cast<int>(style)) + ", seed " + std::to_string(seed));
        const auto found = disk.after_crash(style, seed * 1000 + at);
        check(*found, durable);
        if (HasFatalFailure()) return;
        ++states;
      }
    }
  }
  RecordProperty("operations", static_cast<int>(operations));
  RecordProperty("states", static_cast<int>(states));
  std::cout << operations << " operations, " << states << " states\n";
}

// The power fails a second time while the first crash is being recovered from.
TEST_P(Crash, SurvivesACrashDuringRecovery) {
  SimDisk first;
  first.die_at(55);
  const auto durable = scenario(first, 2);
  ASSERT_TRUE(first.dead());
  for (std::uint64_t at = 1; at <= 30; ++at) {
    const auto second = first.after_crash(CrashStyle::mixed_512, at);
    second->die_at(at);
    auto still = durable;
    still.merge(scenario(*second, at + 7));
    for (const CrashStyle style : {CrashStyle::mixed_512, CrashStyle::mixed_4096}) {
      SCOPED_TRACE("second failure at operation " + std::to_string(at));
      const auto found = second->after_crash(style, at);
      check(*found, still);
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, Crash,
                         testing::Values(Kind{"numbered", true, false},
                                         Kind{"numbered_v2", true, true},
                                         Kind{"tree", false, false}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace swarmfs::cache
