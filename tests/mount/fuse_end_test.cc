// How a mount ends, from inside and from outside, and what its readers get.
#include <cstdlib>

#include "mount/mountpoint.h"
#include "tests/support/cut.h"
#include "tests/support/sanitized.h"
#include "tests/support/waiting_mount.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;

TEST(FuseEnd, UnmountFromOutsideEndsTheSession) {
  WaitingMount m;
  EXPECT_EQ(m.read_b(), 0);
  ASSERT_EQ(std::system(("fusermount3 -u " + m.folder.path()).c_str()), 0);
  m.session->wait();
  EXPECT_FALSE(mount::mount_on(m.folder.path()));
}

TEST(FuseEnd, ForcedUnmountFromOutsideEndsWaitingReads) {
  WaitingMount m;
  Child reader([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  // -f aborts the connection, even if the mount stays because a file is open.
  EXPECT_NE(std::system(("umount -f " + m.folder.path() + " 2>/dev/null").c_str()), -1);
  m.session->wait();
  const int code = reader.exit_code();
  EXPECT_TRUE(code == ENOTCONN || code == ECONNABORTED) << code;
  EXPECT_TRUE(m.source->wait_parked(0));
  EXPECT_FALSE(mount::mount_on(m.folder.path())) << "a dead mount was left";
}

TEST(FuseEnd, LazyUnmountFromOutsideLetsAWaitingReadGoOnToItsEnd) {
  WaitingMount m;
  Child reader([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  ASSERT_EQ(std::system(("umount -l " + m.folder.path()).c_str()), 0);
  EXPECT_FALSE(mount::mount_on(m.folder.path()));
  EXPECT_EQ(reader.wait(milliseconds(500)), std::nullopt);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  m.session->wait();  // its last file is closed
}

TEST(FuseEnd, AbortOfTheConnectionEndsWaitingReadsAndTheMount) {
  WaitingMount m;
  const auto entry = mount::mount_on(m.folder.path());
  ASSERT_TRUE(entry);
  Child reader([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  if (!cut(entry->connection)) GTEST_SKIP() << "fusectl is not mounted";
  const int code = reader.exit_code(seconds(5));
  EXPECT_TRUE(code == ENOTCONN || code == ECONNABORTED) << code;
  m.session->wait();
  EXPECT_FALSE(mount::mount_on(m.folder.path())) << "a dead mount was left";
  EXPECT_TRUE(m.source->wait_parked(0));
}

TEST(FuseEnd, StopDoesNotWaitForADiskThatHangs) {
  WaitingMount m;
  m.source->wait_as_disks_do();
  Child reader([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  const auto start = std::chrono::steady_clock::now();
  m.session->stop();
  const int code = reader.exit_code(seconds(5));
  EXPECT_TRUE(code == ENOTCONN || code == ECONNABORTED) << code;
  EXPECT_LE(std::chrono::steady_clock::now() - start, seconds(2) * (kSanitized ? 5 : 2));
  EXPECT_FALSE(mount::mount_on(m.folder.path()));
  m.session.reset();
  m.source->release(kFile);  // answers nobody any more
}

TEST(FuseEnd, StopEndsThoughAProcessKeepsAFileOpen) {
  WaitingMount m;
  m.source->set_bytes_here(4096);
  const int fd = ::open(m.b.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  char first = 0;
  EXPECT_EQ(::pread(fd, &first, 1, 0), 1);
  EXPECT_EQ(m.source->open_handles(), 1U);
  m.session->stop();
  m.session.reset();
  EXPECT_EQ(m.source->open_handles(), 0U);  // though no RELEASE came
  char byte = 0;
  EXPECT_EQ(::pread(fd, &byte, 1, 2 * kMiB), -1);
  EXPECT_EQ(errno, ENOTCONN);
  ::close(fd);
}

TEST(FuseEnd, DeathOfTheDaemonGivesReadersEnotconnAndTheMountIsClearedNextTime) {
  TempFolder folder;
  const std::string path = folder.path() + "/t";
  auto source = std::make_shared<FakeSource>(std::vector<std::uint64_t>{kMiB});
  const auto make_tree = [&](fs::Tree& tree) {
    fs::TorrentSpec spec;
    spec.name = "t";
    spec.single_file = true;
    spec.files.emplace_back().length = kMiB;
    spec.source = source;
    EXPECT_TRUE(tree.add_torrent(std::move(spec)));
  };
  Child daemon([&] {
    source->hold(kFile, 0, kMiB);
    fs::Tree tree(0);
    make_tree(tree);
    auto session = mount::FuseSession::mount(folder.path(), tree, {});
    if (!session) return 1;
    (*session)->start();
    (*session)->wait();
    return 0;
  });
  struct stat st {};
  for (int i = 0; i < 500 && ::stat(path.c_str(), &st) != 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  Child reader([&] { return read_and_compare(path.c_str(), kFile, 0, kMiB); });
  EXPECT_EQ(reader.wait(milliseconds(200)), std::nullopt);
  daemon.kill(SIGKILL);
  EXPECT_EQ(daemon.exit_code(seconds(5)), -1);
  const int code = reader.exit_code(seconds(5));
  EXPECT_TRUE(code == ENOTCONN || code == ECONNABORTED) << code;
  ASSERT_TRUE(mount::mount_on(folder.path()));

  fs::Tree tree(0);
  make_tree(tree);
  auto session = mount::FuseSession::mount(folder.path(), tree, {});
  ASSERT_TRUE(session) << session.error().message;
  (*session)->start();
  EXPECT_EQ(read_and_compare(path.c_str(), kFile, 0, kMiB), 0);
}

}  // namespace
}  // namespace swarmfs::test
