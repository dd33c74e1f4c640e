// The store on a simulated disk: what it serves, and what it does when the disk misbehaves.
#include "cache/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

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

TEST_F(StoreTest, ServesAnyRangeOfAWrittenPieceAtOnceAndNothingElse) {
  open();
  ASSERT_TRUE(write(1));
  for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece)
    EXPECT_EQ(store_->has(PieceIndex(piece)), piece == 1);
  std::mt19937 rng(3);
  const auto size = static_cast<std::uint32_t>(torrent_.pieces[1].size());
  for (int i = 0; i < 200; ++i) {
    const std::uint32_t begin = rng() % size;
    const std::uint32_t length = rng() % (size - begin) + 1;
    Bytes out(length);
    ASSERT_TRUE(store_->read(PieceIndex(1), begin, out));
    ASSERT_TRUE(std::ranges::equal(out, torrent_.part(1, begin, length)));
    Bytes quick(length);
    ASSERT_TRUE(store_->try_read(PieceIndex(1), begin, quick));
    ASSERT_EQ(out, quick);
  }
  Bytes out(10);
  EXPECT_EQ(store_->read(PieceIndex(0), 0, out).error().kind, ErrorKind::not_found);
  EXPECT_FALSE(store_->try_read(PieceIndex(0), 0, out));
  EXPECT_EQ(store_->read(PieceIndex(1), size - 9, out).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(store_->read(PieceIndex(99), 0, out).error().kind, ErrorKind::bad_input);
  EXPECT_FALSE(store_->has(PieceIndex(0xFFFFFFFF)));
}

TEST_F(StoreTest, CountsTheBytesOfAFileThatArePartsOfPiecesHere) {
  open();
  const auto& files = torrent_.layout.files();
  for (const std::uint32_t piece : {1U, 0U, 4U, 2U, 3U}) {
    ASSERT_TRUE(write(piece));
    for (std::uint32_t f = 0; f < files.size(); ++f) {
      std::uint64_t expected = 0;
      for (const auto& span : torrent_.layout.spans(FileIndex(f), 0, files[f].length))
        if (store_->has(span.piece)) expected += span.length;
      EXPECT_EQ(store_->bytes_here(FileIndex(f)), expected) << "file " << f;
    }
  }
}

TEST_F(StoreTest, RefusesBlocksThatDoNotMakeUpThePiece) {
  open();
  auto blocks = torrent_.blocks(0);
  blocks.pop_back();
  EXPECT_EQ(store_->write_piece(PieceIndex(0), blocks).error().kind, ErrorKind::bad_input);
  const std::uint32_t last = torrent_.count() - 1;
  EXPECT_EQ(store_->write_piece(PieceIndex(last), torrent_.blocks(0)).error().kind,
            ErrorKind::bad_input);
  EXPECT_FALSE(store_->has(PieceIndex(0)));
}

TEST_F(StoreTest, StoresPadsNowhereAndNamesFilesByNumber) {
  open();
  write_all();
  std::set<std::string> names;
  for (const std::string& name : *disk_.list(kFolder))
    if (name.find_first_not_of("0123456789") == std::string::npos) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"0", "1", "4", "5", "6"}));
  EXPECT_EQ(disk_.content(kFolder / "4").size(), 70000U);
  EXPECT_EQ(store_->bytes_here(FileIndex(4)), 70000U);
}

TEST_F(StoreTest, ClaimsRecordedPiecesAfterReopeningAndChecksEachBeforeItIsRead) {
  open();
  write_all();
  open();
  EXPECT_TRUE(store_->found().clean);
  EXPECT_EQ(store_->found().recorded, torrent_.count());
  EXPECT_EQ(store_->pieces(), std::vector<bool>(torrent_.count(), true));
  EXPECT_EQ(store_->stats().pieces_rechecked, 0U);
  Bytes out(100);
  EXPECT_FALSE(store_->try_read(PieceIndex(2), 0, out)) << "not checked in this run";
  EXPECT_TRUE(serves(2));
  EXPECT_TRUE(store_->try_read(PieceIndex(2), 0, out));
  EXPECT_TRUE(serves(2));
  EXPECT_EQ(store_->stats().pieces_rechecked, 1U);
}

TEST_F(StoreTest, DetectsEveryPieceDamagedBetweenRuns) {
  open();
  write_all();
  store_.reset();
  disk_.flip(kFolder / "0", 40000);  // in piece 1
  disk_.flip(kFolder / "5", 0);      // in the piece at 121600
  const std::uint32_t second = 121600 / (2 * kBlockSize);
  open();
  for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece) {
    const bool damaged = piece == 1 || piece == second;
    Bytes out(16);  // not where the damage is
    const auto r = store_->read(PieceIndex(piece), 0, out);
    EXPECT_EQ(static_cast<bool>(r), !damaged) << "piece " << piece;
    if (damaged) {
      EXPECT_EQ(r.error().kind, ErrorKind::mismatch);
    }
    EXPECT_EQ(store_->has(PieceIndex(piece)), !damaged);
  }
  EXPECT_EQ(lost_, (std::set<std::uint32_t>{1, second}));
  open();
  EXPECT_FALSE(store_->has(PieceIndex(1))) << "the record still claims a dropped piece";
  ASSERT_TRUE(write(1));
  EXPECT_TRUE(serves(1));
}

TEST_F(StoreTest, DropsPiecesWhoseFileWasRemovedOrCut) {
  open();
  write_all();
  store_.reset();
  ASSERT_TRUE(disk_.remove(kFolder / "0"));
  Bytes cut = disk_.content(kFolder / "6");
  cut.resize(10);
  disk_.replace(kFolder / "6", cut);
  open();
  EXPECT_FALSE(serves(0));
  EXPECT_FALSE(serves(torrent_.count() - 1));
  EXPECT_EQ(lost_, (std::set<std::uint32_t>{0, torrent_.count() - 1}));
  write_all();
  for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece) EXPECT_TRUE(serves(piece));
}

TEST_F(StoreTest, DropsAPieceThatTheDiskCannotRead) {
  open();
  write_all();
  ASSERT_TRUE(store_->flush());
  disk_.fault = [](const SimDisk::Op& op) {
    return op.kind == SimDisk::OpKind::read && op.path.ends_with("/4") ? EIO : 0;
  };
  Bytes out(10);
  const std::uint32_t piece = 60000 / (2 * kBlockSize);
  EXPECT_EQ(store_->read(PieceIndex(piece), 60000 % (2 * kBlockSize), out).error().kind,
            ErrorKind::mismatch);
  EXPECT_EQ(lost_, std::set<std::uint32_t>{piece});
  EXPECT_FALSE(store_->has(PieceIndex(piece)));
}

TEST_F(StoreTest, CountsAPieceAsNotStoredWhenItsWriteFails) {
  open();
  ASSERT_TRUE(write(0));
  disk_.fault = [](const SimDisk::Op& op) {
    return op.kind == SimDisk::OpKind::write && op.path.ends_with("/4") ? EIO : 0;
  };
  const std::uint32_t piece = 3;
  EXPECT_EQ(write(piece).error().kind, ErrorKind::io);
  EXPECT_FALSE(store_->has(PieceIndex(piece)));
  disk_.fault = nullptr;
  open();
  EXPECT_TRUE(store_->has(PieceIndex(0)));
  EXPECT_FALSE(store_->has(PieceIndex(piece)));
  ASSERT_TRUE(write(piece));
  EXPECT_TRUE(serves(piece));
}

TEST_F(StoreTest, StaysRightWhenTheDiskFillsUpAtAnyPoint) {
  for (std::uint64_t capacity = 30000; capacity < 260000; capacity += 7000) {
    SCOPED_TRACE(capacity);
    SimDisk small;
    StoreOptions with = options();
    with.disk = &small;
    small.capacity = capacity;
    std::set<std::uint32_t> written;
    auto store = Store::open(with, torrent_.verify());
    if (!store) {
      EXPECT_EQ(store.error().kind, ErrorKind::no_space);
      continue;
    }
    for (std::uint32_t i = 0; i < torrent_.count(); ++i) {
      const auto r = (*store)->write_piece(PieceIndex(i), torrent_.blocks(i));
      if (r)
        written.insert(i);
      else
        EXPECT_EQ(r.error().kind, ErrorKind::no_space);
      if (const auto f = (*store)->flush(); !f) {
        EXPECT_EQ(f.error().kind, ErrorKind::no_space);
      }
    }
    Bytes out;
    for (std::uint32_t i = 0; i < torrent_.count(); ++i) {
      out.assign(torrent_.pieces[i].size(), 0);
      ASSERT_EQ(static_cast<bool>((*store)->read(PieceIndex(i), 0, out)), written.contains(i));
      if (written.contains(i)) {
        ASSERT_EQ(out, torrent_.pieces[i]);
      }
    }
    (*store).reset();
    small.capacity = UINT64_MAX;  // room was made: now what was written can be found again
    auto again = Store::open(with, torrent_.verify());
    ASSERT_TRUE(again) << again.error().message;
    for (const std::uint32_t i : written) {
      out.assign(torrent_.pieces[i].size(), 0);
      ASSERT_TRUE((*again)->read(PieceIndex(i), 0, out));
      ASSERT_EQ(out, torrent_.pieces[i]);
    }
  }
}

class FailedSync : public StoreTest, public testing::WithParamInterface<bool> {};

TEST_P(FailedSync, LosesTheBatchAndKeepsWhatWasSyncedBefore) {
  disk_.failed_sync_keeps_cache = GetParam();
  open();
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(write(1));
  ASSERT_TRUE(store_->flush());
  ASSERT_TRUE(write(2));
  ASSERT_TRUE(write(3));
  disk_.fault = [](const SimDisk::Op& op) {
    return op.kind == SimDisk::OpKind::sync && op.path.ends_with("/4") ? EIO : 0;
  };
  EXPECT_EQ(store_->flush().error().kind, ErrorKind::io);
  EXPECT_THAT(store_->stats().last_error, HasSubstr("simulated disk"));
  disk_.fault = nullptr;
  EXPECT_EQ(lost_, (std::set<std::uint32_t>{2, 3}));
  for (std::uint32_t piece = 0; piece < 4; ++piece) EXPECT_EQ(serves(piece), piece < 2);
  ASSERT_TRUE(write(2));
  ASSERT_TRUE(store_->flush());
  EXPECT_TRUE(serves(2));
  const auto found = disk_.after_crash(test::CrashStyle::drop_all, 1);
  StoreOptions with = options();
  with.disk = found.get();
  auto store = Store::open(with, torrent_.verify());
  ASSERT_TRUE(store);
  Bytes out;
  for (const std::uint32_t piece : {0U, 1U, 2U}) {
    out.assign(torrent_.pieces[piece].size(), 0);
    ASSERT_TRUE((*store)->read(PieceIndex(piece), 0, out)) << piece;
    EXPECT_EQ(out, torrent_.pieces[piece]);
  }
}

TEST_P(FailedSync, AnySyncMayFailOnceWithoutAWrongByte) {
  for (int at = 1; at < 40; ++at) {
    SCOPED_TRACE(at);
    SimDisk disk;
    disk.failed_sync_keeps_cache = GetParam();
    int syncs = 0;
    disk.fault = [&](const SimDisk::Op& op) {
      const bool sync = op.kind == SimDisk::OpKind::sync || op.kind == SimDisk::OpKind::sync_folder;
      return sync && ++syncs == at ? EIO : 0;
    };
    StoreOptions with = options();
    with.disk = &disk;
    std::set<std::uint32_t> durable;
    Bytes out;
    {
      auto store = Store::open(with, torrent_.verify());
      if (!store) continue;
      std::set<std::uint32_t> lost;
      (*store)->set_on_lost([&](PieceIndex piece) { lost.insert(piece.value); });
      for (std::uint32_t i = 0; i < torrent_.count(); ++i) {
        ASSERT_TRUE((*store)->write_piece(PieceIndex(i), torrent_.blocks(i)));
        const bool flushed = static_cast<bool>((*store)->flush());
        out.assign(torrent_.pieces[i].size(), 0);
        const bool served = static_cast<bool>((*store)->read(PieceIndex(i), 0, out));
        ASSERT_EQ(served, !lost.contains(i));
        if (served) {
          ASSERT_EQ(out, torrent_.pieces[i]);
        }
        if (flushed) durable.insert(i);
      }
    }
    const auto found = disk.after_crash(test::CrashStyle::drop_all, 1);
    with.disk = found.get();
    auto store = Store::open(with, torrent_.verify());
    ASSERT_TRUE(store) << store.error().message;
    for (std::uint32_t i = 0; i < torrent_.count(); ++i) {
      out.assign(torrent_.pieces[i].size(), 0);
      const bool served = static_cast<bool>((*store)->read(PieceIndex(i), 0, out));
      if (served) {
        ASSERT_EQ(out, torrent_.pieces[i]);
      }
      if (durable.contains(i)) {
        ASSERT_TRUE(served) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PageCache, FailedSync, testing::Bool(), [](const auto& keeps) {
  return std::string(keeps.param ? "kept" : "dropped");
});

TEST_F(StoreTest, ServesAPieceDuringItsSyncOnlyAfterAnotherCheck) {
  open();
  ASSERT_TRUE(write(0));
  const std::uint64_t before = store_->stats().pieces_rechecked;
  Bytes out(100);
  bool tried = true;
  bool served = true;
  disk_.fault = [&](const SimDisk::Op& op) {
    if (op.kind != SimDisk::OpKind::sync || !op.path.ends_with("/0")) return 0;
    tried = store_->try_read(PieceIndex(0), 0, out);
    disk_.flip(kFolder / "0", 5000);  // as when the kernel has given up writing back
    served = static_cast<bool>(store_->read(PieceIndex(0), 0, out));
    return EIO;
  };
  EXPECT_FALSE(store_->flush());
  EXPECT_FALSE(tried);
  EXPECT_FALSE(served);
  EXPECT_EQ(store_->stats().pieces_rechecked, before);
  EXPECT_EQ(lost_, std::set<std::uint32_t>{0});
}

TEST_F(StoreTest, RecoversEverythingFromADamagedRecord) {
  std::mt19937 rng(5);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    SimDisk disk;
    StoreOptions with = options();
    with.disk = &disk;
    {
      auto store = Store::open(with, torrent_.verify());
      ASSERT_TRUE(store);
      for (std::uint32_t i = 0; i < torrent_.count(); i += 2)
        ASSERT_TRUE((*store)->write_piece(PieceIndex(i), torrent_.blocks(i)));
    }
    const fs::path path = kFolder / "record.db";
    Bytes database = disk.content(path);
    ASSERT_GT(database.size(), 8000U);
    switch (round % 4) {
      case 0:
        database.resize(rng() % database.size());
        break;
      case 1:
        std::ranges::generate(database, [&] { return static_cast<std::uint8_t>(rng()); });
        break;
      case 2:
        for (int i = 0; i < 200; ++i) database[rng() % database.size()] ^= 0xFF;
        break;
      default:
        database[rng() % database.size()] ^= static_cast<std::uint8_t>(1 + rng() % 255);
    }
    disk.replace(path, database);
    auto store = Store::open(with, torrent_.verify());
    ASSERT_TRUE(store) << store.error().message;
    Bytes out;
    for (std::uint32_t i = 0; i < torrent_.count(); ++i) {
      out.assign(torrent_.pieces[i].size(), 0);
      const bool served = static_cast<bool>((*store)->read(PieceIndex(i), 0, out));
      ASSERT_EQ(served, i % 2 == 0) << "piece " << i;
      if (served) {
        ASSERT_EQ(out, torrent_.pieces[i]);
      }
    }
    if ((*store)->found().record_lost) {
      EXPECT_TRUE(disk.exists(kFolder / "record.db.damaged") || database.empty());
    }
  }
}

TEST_F(StoreTest, ForgetsTheRecordAndTheFilesOfAnotherLayout) {
  open();
  write_all();
  store_.reset();
  const TestTorrent other(kBlockSize, {9000, 3000}, 7);
  StoreOptions with = options();
  with.layout = other.layout;
  auto store = Store::open(with, other.verify());
  ASSERT_TRUE(store);
  EXPECT_TRUE((*store)->found().record_lost);
  EXPECT_EQ((*store)->pieces(), std::vector<bool>(other.count(), false));
  EXPECT_FALSE(disk_.exists(kFolder / "6"));
  ASSERT_TRUE((*store)->write_piece(PieceIndex(0), other.blocks(0)));
  Bytes out(other.pieces[0].size());
  ASSERT_TRUE((*store)->read(PieceIndex(0), 0, out));
  EXPECT_EQ(out, other.pieces[0]);
}

TEST_F(StoreTest, AnOpenThatIsGivenUpLeavesTheSearchToTheNext) {
  open();
  write_all();
  const auto found = disk_.after_crash(test::CrashStyle::keep_all, 1);
  StoreOptions with = options();
  with.disk = found.get();
  std::stop_source stop;
  with.cancel = stop.get_token();
  stop.request_stop();
  const auto given_up = Store::open(with, torrent_.verify());
  ASSERT_EQ(given_up.error().kind, ErrorKind::cancelled);
  with.cancel = {};
  const auto store = Store::open(with, torrent_.verify());
  EXPECT_EQ((*store)->pieces(), std::vector<bool>(torrent_.count(), true));
}

TEST_F(StoreTest, FindsUnrecordedPiecesAfterARunThatDidNotEndInOrder) {
  open();
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(store_->flush());
  ASSERT_TRUE(write(1));
  ASSERT_TRUE(write(4));
  // The process dies, the kernel lives on.
  const auto found = disk_.after_crash(test::CrashStyle::keep_all, 1);
  StoreOptions with = options();
  with.disk = found.get();
  auto store = Store::open(with, torrent_.verify());
  ASSERT_TRUE(store);
  EXPECT_FALSE((*store)->found().clean);
  EXPECT_EQ((*store)->found().recorded, 1U);
  EXPECT_EQ((*store)->found().recovered, 2U);
  EXPECT_TRUE((*store)->has(PieceIndex(4)));
}

TEST_F(StoreTest, MakesNamesDurableThatAKilledRunLeftUnsynced) {
  disk_.failed_sync_keeps_cache = true;
  open();
  disk_.fault = [](const SimDisk::Op& op) {
    return op.kind == SimDisk::OpKind::write && op.path.ends_with("/0") ? EIO : 0;
  };
  EXPECT_FALSE(write(0)) << "the file is made, and holds nothing";
  disk_.fault = [](const SimDisk::Op&) { return EIO; };  // nothing more reaches the disk
  store_.reset();
  disk_.fault = nullptr;
  open();
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(store_->flush());
  const auto found = disk_.after_crash(test::CrashStyle::drop_all, 1);
  StoreOptions with = options();
  with.disk = found.get();
  auto store = Store::open(with, torrent_.verify());
  ASSERT_TRUE(store);
  Bytes out(torrent_.pieces[0].size());
  ASSERT_TRUE((*store)->read(PieceIndex(0), 0, out));
  EXPECT_EQ(out, torrent_.pieces[0]);
}

TEST_F(StoreTest, KeepsPiecesReadableWhenOnlyTheRecordFailsAndRecordsThemLater) {
  open();
  ASSERT_TRUE(write(0));
  disk_.fault = [](const SimDisk::Op& op) {
    return op.kind == SimDisk::OpKind::write && op.path.ends_with("-wal") ? ENOSPC : 0;
  };
  EXPECT_FALSE(store_->flush());
  EXPECT_TRUE(serves(0));
  EXPECT_TRUE(lost_.empty());
  disk_.fault = nullptr;
  EXPECT_TRUE(store_->flush());
  open();
  EXPECT_EQ(store_->found().recorded, 1U);
  EXPECT_TRUE(serves(0));
}

TEST_F(StoreTest, TakesWhatAFullCheckFoundInATreeThatItOnlyReads) {
  StoreOptions with = options();
  with.state_folder.clear();
  with.place = {"/share", {}, true};
  std::uint64_t at = 0;
  Bytes all;
  for (const Bytes& piece : torrent_.pieces) append(all, piece);
  ASSERT_TRUE(disk_.make_folder("/share", 0755));
  for (std::size_t i = 0; i < torrent_.layout.files().size(); ++i) {
    const LayoutFile& file = torrent_.layout.files()[i];
    with.place.files.push_back(file.pad ? "" : "name " + std::to_string(i));
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
    if (!file.pad)
      disk_.replace("/share/name " + std::to_string(i),
                    Bytes(from, from + static_cast<std::ptrdiff_t>(file.length)));
    at += file.length;
  }
  const std::uint64_t operations = disk_.operations();
  open(with);
  EXPECT_FALSE(store_->has(PieceIndex(0)));
  std::vector<bool> verified(torrent_.count(), true);
  verified[2] = false;
  store_->mark_present(verified);
  for (std::uint32_t piece = 0; piece < torrent_.count(); ++piece)
    EXPECT_EQ(serves(piece), piece != 2);
  EXPECT_EQ(write(2).error().kind, ErrorKind::permission);
  store_.reset();
  EXPECT_EQ(disk_.operations(), operations) << "something was written";
}

TEST_F(StoreTest, WritesATreeWithItsEmptyFilesAndTakesOverWhatIsThere) {
  StoreOptions with = options();
  with.place = {"/out/dir", {"a/x", "a/y", "", "empty/deep/z", "b", "c", "d"}, false};
  with.state_folder = "/state";
  open(with);
  EXPECT_TRUE(disk_.exists("/out/dir/empty/deep/z"));
  EXPECT_EQ(disk_.content("/out/dir/empty/deep/z").size(), 0U);
  ASSERT_TRUE(write(0));
  std::vector<bool> verified(torrent_.count(), false);
  write_all();
  open(with);
  EXPECT_EQ(store_->found().recorded, torrent_.count());
  verified[3] = true;
  store_->mark_present(verified);
  EXPECT_EQ(store_->pieces(), verified) << "the full check has the last word";
  with.place.root = "/out/elsewhere";
  open(with);
  EXPECT_EQ(store_->pieces(), std::vector<bool>(torrent_.count(), false));
  EXPECT_TRUE(disk_.exists("/out/dir/d")) << "files of another destination are not ours";
}

TEST_F(StoreTest, RefusesToCutAForeignFileThatIsLonger) {
  StoreOptions with = options();
  with.place = {"/out", {"x", "y", "", "z", "b", "c", "d"}, false};
  ASSERT_TRUE(disk_.make_folder("/out", 0755));
  disk_.replace("/out/x", Bytes(60000, 7));
  open(with);
  const auto r = write(0);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind, ErrorKind::exists);
  EXPECT_THAT(r.error().message, HasSubstr("/out/x"));
  EXPECT_EQ(disk_.content("/out/x"), Bytes(60000, 7));
}

TEST_F(StoreTest, KeepsBlobsAcrossRunsAndGivesThemWithoutALayout) {
  InfoHashes hashes;
  hashes.v1 = Sha1Hash{0xAB, 0xCD};
  StoreOptions with = StoreOptions::for_cache("/cache", hashes, torrent_.layout);
  with.disk = &disk_;
  with.background_flush = false;
  const Bytes info(100000, 0x42);
  EXPECT_FALSE(saved_blob(disk_, "/cache", hashes, "info")->has_value());
  open(with);
  ASSERT_TRUE(store_->put_blob("info", info));
  ASSERT_TRUE(store_->put_blob("layers/x", {}));
  EXPECT_EQ(saved_blob(disk_, "/cache", hashes, "info").error().kind, ErrorKind::busy);
  open(with);
  EXPECT_EQ(**store_->blob("info"), info);
  EXPECT_EQ(**store_->blob("layers/x"), Bytes());
  EXPECT_FALSE(store_->blob("none")->has_value());
  store_.reset();
  EXPECT_EQ(**saved_blob(disk_, "/cache", hashes, "info"), info);
  open(with);
  EXPECT_TRUE(store_->found().clean) << "looking for a blob is no unclean run";
}

TEST_F(StoreTest, KeepsAReserveFreeAndAsksAtMostOnceASecond) {
  disk_.capacity = 100ULL << 30;
  StoreOptions with = options();
  with.reserve_bytes = 2ULL << 30;
  open(with);
  EXPECT_TRUE(store_->room_for_backfill());
  disk_.capacity = 1ULL << 30;  // below the 2 GiB
  EXPECT_TRUE(store_->room_for_backfill());
  now_ += std::chrono::milliseconds(1100);
  EXPECT_FALSE(store_->room_for_backfill());
  disk_.capacity = 3ULL << 30;
  now_ += std::chrono::milliseconds(1100);
  EXPECT_TRUE(store_->room_for_backfill());
}

}  // namespace
}  // namespace swarmfs::cache
