#include "mount/folder_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;

/// Longer than the watch takes to tell what has gone; far below what a person would notice late.
constexpr auto kQuiet = 600ms;

class Log {
 public:
  FolderEvents events() {
    return {[this](const std::string& path) { note("+" + stdfs::path(path).filename().string()); },
            [this](const std::string& path) { note("-" + stdfs::path(path).filename().string()); },
            [this](const Error&) { note("lost"); }};
  }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  /// Waits until so many lines have come, and returns them.
  std::vector<std::string> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 20s, [&] { return lines_.size() >= count; });
    return std::exchange(lines_, {});
  }

 private:
  void note(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

using Lines = std::vector<std::string>;

struct FolderWatchTest : testing::Test {
  void put(const std::string& name, const std::string& text = "x") const {
    std::ofstream(folder.path() / name) << text;
  }
  std::unique_ptr<FolderWatch> watch() {
    return std::move(FolderWatch::start(folder.path().string(), log.events()).value());
  }
  test::TempFolder folder;
  Log log;  // after the folder: a watch ends before both
};

TEST_F(FolderWatchTest, TellsWhatIsThereBeforeItReturns) {
  put("a.torrent");
  put("b.torrent");
  put(".hidden.torrent");
  put("c.torrent.part");
  stdfs::create_directory(folder.path() / "d.torrent");
  const auto w = watch();
  EXPECT_EQ(log.take(), (Lines{"+a.torrent", "+b.torrent"}));
}

TEST_F(FolderWatchTest, TellsWhatComesChangesAndGoes) {
  const auto w = watch();
  put("a.torrent");
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
  put("a.torrent", "longer");
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
  stdfs::remove(folder.path() / "a.torrent");
  EXPECT_EQ(log.wait(1), Lines{"-a.torrent"});
}

TEST_F(FolderWatchTest, WaitsForTheEndOfWhatIsWritten) {
  const auto w = watch();
  std::ofstream out(folder.path() / "a.torrent");
  out << "half" << std::flush;
  std::this_thread::sleep_for(kQuiet);
  EXPECT_EQ(log.take(), Lines{});
  out << " and half";
  out.close();
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
}

TEST_F(FolderWatchTest, SeesARenameAsTheNewNameFirst) {
  put("a.torrent");
  const auto w = watch();
  log.take();
  stdfs::rename(folder.path() / "a.torrent", folder.path() / "b.torrent");
  EXPECT_EQ(log.wait(2), (Lines{"+b.torrent", "-a.torrent"}));
  put("c.part");
  stdfs::rename(folder.path() / "c.part", folder.path() / "c.torrent");
  EXPECT_EQ(log.wait(1), Lines{"+c.torrent"});
}

TEST_F(FolderWatchTest, SeesAFileThatIsReplacedAsAnotherAndNotAsGone) {
  put("a.torrent");
  const auto w = watch();
  log.take();
  put("new", "other");
  stdfs::rename(folder.path() / "new", folder.path() / "a.torrent");
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
  stdfs::remove(folder.path() / "a.torrent");
  put("a.torrent", "third");
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
  std::this_thread::sleep_for(kQuiet);
  EXPECT_EQ(log.take(), Lines{});
}

TEST_F(FolderWatchTest, SeesLinks) {
  put("elsewhere");
  const auto w = watch();
  stdfs::create_symlink("elsewhere", folder.path() / "soft.torrent");
  EXPECT_EQ(log.wait(1), Lines{"+soft.torrent"});
  stdfs::create_hard_link(folder.path() / "elsewhere", folder.path() / "hard.torrent");
  EXPECT_EQ(log.wait(1), Lines{"+hard.torrent"});
}

TEST_F(FolderWatchTest, TellsNothingTwiceWhenItLooksAgain) {
  put("a.torrent");
  const auto w = watch();
  log.take();
  w->rescan();
  std::this_thread::sleep_for(kQuiet);
  EXPECT_EQ(log.take(), Lines{});
}

TEST_F(FolderWatchTest, KeepsUpWithMoreEventsThanTheKernelHolds) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  std::size_t queued = 0;
  limit >> queued;
  if (queued == 0 || queued > 20'000) GTEST_SKIP() << "the queue is too long to fill here";
  const auto w = watch();
  // Created, written and removed names fill the queue faster than they can be looked at; what is
  // left in the end has to be known however many events were lost.
  for (std::size_t i = 0; i < queued; ++i) {
    const auto path = folder.path() / ("x" + std::to_string(i % 50) + ".torrent");
    std::ofstream(path) << i;
    if (i % 2 == 0) stdfs::remove(path);
  }
  put("last.torrent");
  std::map<std::string, bool> there;
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < until) {
    for (const std::string& line : log.take()) there[line.substr(1)] = line[0] == '+';
    bool same = true;
    std::size_t count = 0;
    for (const auto& [name, is] : there) {
      same = same && is == stdfs::exists(folder.path() / name);
      if (is) ++count;
    }
    if (same && there["last.torrent"] && count == 26) break;
    std::this_thread::sleep_for(20ms);
  }
  for (const auto& [name, is] : there) EXPECT_EQ(is, stdfs::exists(folder.path() / name)) << name;
  EXPECT_TRUE(there["last.torrent"]);
}

TEST_F(FolderWatchTest, GoesOnWhenTheFolderItselfIsReplaced) {
  const auto inner = folder.path() / "inner";
  stdfs::create_directory(inner);
  std::ofstream(inner / "a.torrent") << "x";
  const auto w = std::move(FolderWatch::start(inner.string(), log.events()).value());
  EXPECT_EQ(log.take(), Lines{"+a.torrent"});
  stdfs::rename(inner, folder.path() / "away");
  EXPECT_EQ(log.wait(2), (Lines{"lost", "-a.torrent"}));
  stdfs::rename(folder.path() / "away", inner);
  EXPECT_EQ(log.wait(1), Lines{"+a.torrent"});
}

TEST(FolderWatch, SaysWhatCannotBeWatched) {
  const auto w = FolderWatch::start("/nowhere", {});
  ASSERT_FALSE(w);
  EXPECT_EQ(w.error().kind, ErrorKind::not_found);
  EXPECT_NE(w.error().message.find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace swarmfs::mount
