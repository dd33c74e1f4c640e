// The store on the real disk: processes that are killed, locks, full filesystems, many files,
// many threads.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "cache/store.h"
#include "swarm/base/hex.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_torrent.h"

namespace swarmfs::cache {
namespace {

using test::TempFolder;
using test::TestTorrent;

StoreOptions options_for(const TestTorrent& torrent, const fs::path& folder) {
  StoreOptions options;
  options.layout = torrent.layout;
  options.place.root = folder;
  options.state_folder = folder;
  return options;
}

/// Reads every piece; each that is served must be right. Returns those that were.
std::set<std::uint32_t> serve_all(Store& store, const TestTorrent& torrent) {
  std::set<std::uint32_t> served;
  for (std::uint32_t i = 0; i < torrent.count(); ++i) {
    Bytes out(torrent.pieces[i].size(), 0xEE);
    if (!store.read(PieceIndex(i), 0, out)) continue;
    EXPECT_EQ(out, torrent.pieces[i]) << "piece " << i;
    served.insert(i);
  }
  return served;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST(StoreOnDisk, OpensAFileForOthersOnceAllOfItIsVerifiedAndSynced) {
  const TempFolder folder;
  const TestTorrent torrent(4 * kBlockSize, {100000, 100000, 0});
  const FileIndex first(0), second(1), empty(2);
  const auto whole = torrent.layout.pieces_of(first);
  {
    auto options = options_for(torrent, folder.path());
    options.background_flush = false;
    auto store = Store::open(std::move(options), torrent.verify());
    ASSERT_TRUE(store);
    for (PieceIndex p = whole.first; p < whole.end; ++p) {
      EXPECT_FALSE((*store)->open_verified(first).valid());
      ASSERT_TRUE((*store)->write_piece(p, torrent.blocks(p.value)));
    }
    EXPECT_FALSE((*store)->open_verified(first).valid()) << "not synced yet";
    ASSERT_TRUE((*store)->flush());
    const Fd opened = (*store)->open_verified(first);
    ASSERT_TRUE(opened.valid());
    Bytes bytes(100001);
    ASSERT_EQ(::pread(opened.get(), bytes.data(), bytes.size(), 0), 100000);
    for (const Layout::Span& span : torrent.layout.spans(first, 0, 100000)) {
      const auto part = torrent.part(span.piece.value, span.begin, span.length);
      const auto at = std::uint64_t{span.piece.value} * 4 * kBlockSize + span.begin;
      EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes.begin() + static_cast<long>(at)));
    }
    EXPECT_FALSE((*store)->open_verified(second).valid());
    EXPECT_FALSE((*store)->open_verified(empty).valid());
  }
  // What an earlier run left must be verified again first.
  auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
  ASSERT_TRUE(store);
  EXPECT_FALSE((*store)->open_verified(first).valid());
  serve_all(**store, torrent);
  EXPECT_TRUE((*store)->open_verified(first).valid());
}

TEST(StoreOnDisk, AFileOfAnEarlierRunIsVerifiedPieceByPieceOnDemand) {
  const TempFolder folder;
  const TestTorrent torrent(4 * kBlockSize, {300000, 100000});
  const FileIndex first(0);
  const auto whole = torrent.layout.pieces_of(first);
  {
    auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
    ASSERT_TRUE(store);
    EXPECT_FALSE((*store)->verify_next(first));  // nothing is here
    for (PieceIndex p = whole.first; p < whole.end; ++p)
      ASSERT_TRUE((*store)->write_piece(p, torrent.blocks(p.value)));
  }
  {
    auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
    ASSERT_TRUE(store);
    for (PieceIndex p = whole.first; p < whole.end; ++p) {
      EXPECT_FALSE((*store)->open_verified(first).valid());
      EXPECT_TRUE((*store)->verify_next(first));
    }
    EXPECT_FALSE((*store)->verify_next(first));
    EXPECT_TRUE((*store)->open_verified(first).valid());
    EXPECT_EQ((*store)->stats().pieces_rechecked, whole.end.value - whole.first.value);
  }
  // One that the disk has changed is lost, and the others are looked at all the same.
  {
    const Fd file(::open((options_for(torrent, folder.path()).place.root / "0").c_str(), O_RDWR));
    ASSERT_EQ(::pwrite(file.get(), "x", 1, 4 * kBlockSize + 7), 1);
  }
  auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
  ASSERT_TRUE(store);
  while ((*store)->verify_next(first)) {
  }
  EXPECT_FALSE((*store)->has(PieceIndex(1)));
  EXPECT_TRUE((*store)->has(PieceIndex(2)));
  EXPECT_FALSE((*store)->open_verified(first).valid());
}

TEST(StoreOnDisk, AgreesWithAModelOverManyRuns) {
  const TempFolder folder;
  const TestTorrent torrent(4 * kBlockSize, {300000, 1, -5000, 100, 900000, 0, 65536, 77777});
  std::mt19937 rng(9);
  std::set<std::uint32_t> model;
  for (int run = 0; run < 25; ++run) {
    SCOPED_TRACE(run);
    auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
    ASSERT_TRUE(store) << store.error().message;
    std::set<std::uint32_t> lost;
    (*store)->set_on_lost([&](PieceIndex piece) { lost.insert(piece.value); });
    ASSERT_TRUE((*store)->found().clean || run == 0);
    for (int step = 0; step < 60; ++step) {
      const std::uint32_t piece = rng() % torrent.count();
      ASSERT_EQ((*store)->has(PieceIndex(piece)), model.contains(piece));
      const std::uint32_t what = rng() % 10;
      if (what == 0) {
        ASSERT_TRUE((*store)->write_piece(PieceIndex(piece), torrent.blocks(piece)));
        model.insert(piece);
      } else if (what == 1 && rng() % 4 == 0) {
        ASSERT_TRUE((*store)->flush());
      } else {
        const auto size = static_cast<std::uint32_t>(torrent.pieces[piece].size());
        const std::uint32_t begin = rng() % size;
        Bytes out(rng() % (size - begin) + 1);
        const bool quick = what < 5;
        const bool served = quick
                                ? (*store)->try_read(PieceIndex(piece), begin, out)
                                : static_cast<bool>((*store)->read(PieceIndex(piece), begin, out));
        if (served) {
          ASSERT_TRUE(model.contains(piece));
          const auto size_read = static_cast<std::uint32_t>(out.size());
          ASSERT_TRUE(std::ranges::equal(out, torrent.part(piece, begin, size_read)));
        } else {
          ASSERT_TRUE(quick || !model.contains(piece));
        }
      }
    }
    ASSERT_TRUE(lost.empty());
    if (run % 3 != 2 || model.empty()) continue;
    // Damage one piece between the runs, where its first file byte lies.
    const std::uint32_t victim = *std::next(model.begin(), rng() % model.size());
    (*store).reset();
    const auto slices =
        torrent.layout.slices(PieceIndex(victim), 0, torrent.layout.piece_size(PieceIndex(victim)));
    const auto at = std::ranges::find_if(slices, [](const auto& s) { return !s.pad; });
    std::fstream file(folder.path() / std::to_string(at->file.value),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at->file_offset));
    const int old = file.get();
    file.seekp(static_cast<std::streamoff>(at->file_offset));
    file.put(static_cast<char>(old ^ 1));
    file.close();
    auto again = Store::open(options_for(torrent, folder.path()), torrent.verify());
    ASSERT_TRUE(again);
    (*again)->set_on_lost([&](PieceIndex piece) { lost.insert(piece.value); });
    model.erase(victim);
    EXPECT_EQ(serve_all(**again, torrent), model);
    EXPECT_EQ(lost, std::set<std::uint32_t>{victim});
  }
}

/// Writes pieces in random order until killed; tells the parent of each durable one.
[[noreturn]] void write_until_killed(const TestTorrent& torrent, const fs::path& folder,
                                     std::uint32_t seed, int tell) {
  StoreOptions options = options_for(torrent, folder);
  options.group_time = std::chrono::milliseconds(5);
  options.group_bytes = 1 << 20;
  auto store = Store::open(options, torrent.verify());
  if (!store) ::_exit(2);
  std::mt19937 rng(seed);
  std::vector<std::uint32_t> written;
  while (true) {
    const std::uint32_t piece = rng() % torrent.count();
    if (!(*store)->write_piece(PieceIndex(piece), torrent.blocks(piece))) ::_exit(3);
    written.push_back(piece);
    if (rng() % 4 != 0 || !(*store)->flush()) continue;
    if (::write(tell, written.data(), written.size() * 4) < 0) ::_exit(4);
    written.clear();
  }
}

TEST(StoreOnDisk, KeepsEveryFlushedPieceWhenTheProcessIsKilled) {
  const TestTorrent torrent(8 * kBlockSize, {3000000, 700, 5000000, 12345, 2000000});
  std::mt19937 rng(21);
  std::size_t flushed = 0;
  std::size_t recovered = 0;
  for (std::uint32_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    const TempFolder folder;
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(torrent, folder.path(), round, pipe_ends[1]);
    ::close(pipe_ends[1]);
    // Every other one is killed only after it has flushed, however slow the machine is.
    pollfd told{pipe_ends[0], POLLIN, 0};
    if (round % 2 == 0) {
      ASSERT_EQ(::poll(&told, 1, 30000), 1);
    }
    ::usleep(30000 + rng() % 60000);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed with " << WEXITSTATUS(status);
    std::set<std::uint32_t> durable;
    std::uint32_t piece = 0;
    while (::read(pipe_ends[0], &piece, 4) == 4) durable.insert(piece);
    ::close(pipe_ends[0]);

    auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
    ASSERT_TRUE(store) << store.error().message;
    const auto served = serve_all(**store, torrent);
    EXPECT_TRUE(std::ranges::includes(served, durable));
    EXPECT_FALSE((*store)->found().clean && (*store)->found().recorded > 0);
    flushed += durable.size();
    recovered += (*store)->found().recovered;
  }
  EXPECT_GT(flushed, 0U);
  std::cout << flushed << " pieces flushed before 12 kills, " << recovered
            << " more found unrecorded\n";
}

TEST(StoreOnDisk, SaysWhichProcessHoldsTheFolder) {
  const TempFolder folder;
  const TestTorrent torrent(kBlockSize, {20000});
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
    if (::write(pipe_ends[1], "x", 1) < 0) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char ready = 0;
  ASSERT_EQ(::read(pipe_ends[0], &ready, 1), 1);
  const auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::busy);
  EXPECT_THAT(store.error().message, testing::HasSubstr("process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_TRUE(Store::open(options_for(torrent, folder.path()), torrent.verify()));
}

TEST(StoreOnDisk, MakesFoldersThatOnlyTheUserCanEnter) {
  const TempFolder folder;
  const TestTorrent torrent(kBlockSize, {20000});
  InfoHashes hashes;
  hashes.v1 = Sha1Hash{1, 2, 3};
  const auto options = StoreOptions::for_cache(folder.path() / "a/b", hashes, torrent.layout);
  EXPECT_EQ(options.place.root.filename(), to_hex(*hashes.v1));
  const auto store = Store::open(options, torrent.verify());
  ASSERT_TRUE(store);
  for (const fs::path& path : {folder.path() / "a", folder.path() / "a/b", options.place.root}) {
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0700U) << path;
  }
}

TEST(StoreOnDisk, NeverWritesThroughASymbolicLink) {
  const TempFolder folder;
  const TestTorrent torrent(kBlockSize, {10000, 10000, 10000});
  fs::create_directory(folder.path() / "outside");
  std::ofstream(folder.path() / "outside/old") << std::string(10000, 'x');
  fs::create_directory(folder.path() / "out");
  fs::create_directory_symlink(folder.path() / "outside", folder.path() / "out/dir");
  fs::create_symlink(folder.path() / "outside/new", folder.path() / "out/file");
  StoreOptions options = options_for(torrent, folder.path() / "out");
  options.state_folder = folder.path() / "state";
  options.place.files = {"file", "dir/x", "dir/old"};
  auto store = Store::open(options, torrent.verify());
  ASSERT_TRUE(store) << store.error().message;
  for (std::uint32_t i = 0; i < torrent.count(); ++i)
    EXPECT_FALSE((*store)->write_piece(PieceIndex(i), torrent.blocks(i)));
  EXPECT_FALSE(fs::exists(folder.path() / "outside/new"));
  EXPECT_FALSE(fs::exists(folder.path() / "outside/x"));
  std::ifstream old(folder.path() / "outside/old");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(old), {}), std::string(10000, 'x'));
}

TEST(StoreOnDisk, StaysRightOnAFullFilesystem) {
  const TempFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=2m") != 0)
    GTEST_SKIP() << "mounting a small filesystem needs root";
  const TestTorrent torrent(8 * kBlockSize, {3000000, 700, 1000000});
  std::set<std::uint32_t> written;
  {
    auto store = Store::open(options_for(torrent, folder.path() / "cache"), torrent.verify());
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_FALSE((*store)->room_for_backfill());
    for (std::uint32_t i = 0; i < torrent.count(); ++i) {
      const auto r = (*store)->write_piece(PieceIndex(i), torrent.blocks(i));
      if (r)
        written.insert(i);
      else
        EXPECT_EQ(r.error().kind, ErrorKind::no_space);
    }
    EXPECT_LT(written.size(), torrent.count());
    EXPECT_GT(written.size(), 5U);
    EXPECT_EQ(serve_all(**store, torrent), written);
    (void)(*store)->flush();
    EXPECT_EQ(serve_all(**store, torrent), written);
  }
  {
    auto store = Store::open(options_for(torrent, folder.path() / "cache"), torrent.verify());
    ASSERT_TRUE(store) << store.error().message;
    serve_all(**store, torrent);  // nothing wrong
  }
  ::umount(folder.path().c_str());
}

TEST(StoreOnDisk, OpensATorrentOf61000FilesWithFewDescriptors) {
  const TempFolder folder;
  std::vector<std::int64_t> lengths(61000);
  std::mt19937 rng(4);
  for (std::int64_t& length : lengths) length = 1 + rng() % 300;
  const TestTorrent torrent(8 * kBlockSize, lengths);
  const std::size_t before = open_descriptors();
  std::size_t most = 0;
  {
    StoreOptions options = options_for(torrent, folder.path());
    options.background_flush = false;
    auto store = Store::open(options, torrent.verify());
    ASSERT_TRUE(store);
    for (std::uint32_t i = 0; i < torrent.count(); i += 8) {
      ASSERT_TRUE((*store)->write_piece(PieceIndex(i), torrent.blocks(i)));
      most = std::max(most, open_descriptors() - before);
    }
    ASSERT_TRUE((*store)->flush());
    most = std::max(most, open_descriptors() - before);
  }
  auto store = Store::open(options_for(torrent, folder.path()), torrent.verify());
  ASSERT_TRUE(store);
  EXPECT_EQ(serve_all(**store, torrent).size(), (torrent.count() + 7) / 8);
  most = std::max(most, open_descriptors() - before);
  EXPECT_LE(most, PieceFiles::kMaxOpen + PieceFiles::kMaxDirty + 10);
  std::cout << torrent.count() << " pieces, at most " << most << " descriptors\n";
}

TEST(StoreOnDisk, ServesManyThreadsWhileOthersWrite) {
  const TempFolder folder;
  const TestTorrent torrent(4 * kBlockSize, {1000000, 500, 70000, 2000000, 33});
  StoreOptions options = options_for(torrent, folder.path());
  options.group_time = std::chrono::milliseconds(3);
  options.group_bytes = 300000;
  for (int run = 0; run < 2; ++run) {
    auto store = Store::open(options, torrent.verify());
    ASSERT_TRUE(store);
    std::atomic<int> wrong = 0;
    std::atomic<int> served = 0;
    std::atomic<bool> stop = false;
    (*store)->set_on_lost([&](PieceIndex) { ++wrong; });
    std::vector<std::jthread> readers;
    for (std::uint32_t seed = 0; seed < 4; ++seed)
      readers.emplace_back([&, seed] {
        std::mt19937 rng(seed);
        while (!stop) {
          const std::uint32_t piece = rng() % torrent.count();
          const auto size = static_cast<std::uint32_t>(torrent.pieces[piece].size());
          const std::uint32_t begin = rng() % size;
          Bytes out(std::min(size - begin, 20000U));
          const bool ok = rng() % 2 == 0
                              ? (*store)->try_read(PieceIndex(piece), begin, out)
                              : static_cast<bool>((*store)->read(PieceIndex(piece), begin, out));
          if (!ok) continue;
          ++served;
          const auto length = static_cast<std::uint32_t>(out.size());
          if (!std::ranges::equal(out, torrent.part(piece, begin, length))) ++wrong;
        }
      });
    std::vector<std::jthread> writers;
    for (std::uint32_t seed = 0; seed < 3; ++seed)
      writers.emplace_back([&, seed] {
        std::mt19937 rng(seed + 100);
        for (int i = 0; i < 60; ++i) {
          const std::uint32_t piece = rng() % torrent.count();
          if (!(*store)->write_piece(PieceIndex(piece), torrent.blocks(piece))) ++wrong;
          if (rng() % 8 == 0 && !(*store)->flush()) ++wrong;
          (*store)->room_for_backfill();
        }
      });
    writers.clear();
    stop = true;
    readers.clear();
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(served, 0);
  }
}

}  // namespace
}  // namespace swarmfs::cache
