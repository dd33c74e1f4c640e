// The store on a simulated disk: what it serves, and what it does when the disk misbehaves.
#include "tests/cache/store_fixture.h"

namespace swarmfs::cache {
namespace {

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

}  // namespace
}  // namespace swarmfs::cache
