// What a store finds of earlier runs, and what it writes for others.
#include "tests/cache/store_fixture.h"

namespace swarmfs::cache {
namespace {

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
