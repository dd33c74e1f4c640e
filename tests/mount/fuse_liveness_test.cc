// Whether a session can tell that it would take a request, and what it unmounts.
#include <sys/mount.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "mount/mountpoint.h"
#include "tests/support/cut.h"
#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;

/// Calls it until it is `wanted`, twice in a row, for ten seconds at most.
bool becomes(mount::FuseSession& session, bool wanted) {
  for (int i = 0, in_a_row = 0; i < 1000; ++i) {
    in_a_row = session.answers() == wanted ? in_a_row + 1 : 0;
    if (in_a_row == 2) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

TEST(FuseLiveness, AnswersUntilNoThreadIsFree) {
  std::mutex gate;
  std::atomic<int> calls{0};
  mount::FuseOptions options;
  options.threads = 2;
  options.on_first_open = [&] {
    ++calls;
    const std::lock_guard wait(gate);
  };
  FakeMount m({{"a", 4096}}, options);
  EXPECT_TRUE(becomes(*m.session, true));
  const std::string path = m.path("a");
  const auto open_it = [&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC) < 0 ? 1 : 0; };

  std::unique_lock closed(gate);
  Child first(open_it);
  for (int i = 0; i < 1000 && calls == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(becomes(*m.session, true));  // the other thread is free
  Child second(open_it);
  EXPECT_TRUE(becomes(*m.session, false));
  closed.unlock();
  EXPECT_EQ(first.exit_code(), 0);
  EXPECT_EQ(second.exit_code(), 0);
  EXPECT_TRUE(becomes(*m.session, true));
  EXPECT_EQ(calls, 1);
}

TEST(FuseLiveness, DetachesItsOwnMountAndNotWhatIsThereInstead) {
  auto m = std::make_unique<FakeMount>(FakeMount::Files{{"a", 4096}});
  const std::string point = m->folder.path();
  EXPECT_TRUE(mount::mount_on(point));
  if (::geteuid() == 0) {
    ASSERT_EQ(::mount("other", point.c_str(), "tmpfs", 0, ""), 0);
    m->session->detach();
    EXPECT_EQ(mount::mount_on(point)->type, "tmpfs");
    ASSERT_EQ(::umount2(point.c_str(), MNT_DETACH), 0);
  }
  m->session->detach();
  EXPECT_FALSE(mount::mount_on(point));
}

TEST(Mountpoint, ADeadMountIsRemovedAndALivingOneIsNot) {
  FakeMount m({{"a", 4096}});
  const std::string point = m.folder.path();
  const auto entry = mount::mount_on(point);
  ASSERT_TRUE(entry);
  EXPECT_EQ(mount::place_of(*entry), point);
  EXPECT_EQ(mount::remove_dead_mount(*entry), mount::Removal::lives);
  // A session that serves would take its mount away itself.
  TempFolder other;
  fs::Tree tree(0);
  auto session = mount::FuseSession::mount(other.path(), tree, {});
  ASSERT_TRUE(session);
  const auto dead = mount::mount_on((*session)->mountpoint());
  ASSERT_TRUE(dead);
  if (!cut(dead->connection)) GTEST_SKIP() << "no fusectl to cut it with";
  EXPECT_EQ(mount::remove_dead_mount(*dead), mount::Removal::removed);
  EXPECT_EQ(mount::remove_dead_mount(*dead), mount::Removal::gone);
  EXPECT_FALSE(mount::mount_on((*session)->mountpoint()));
}

TEST(Mountpoint, ADeadMountIsFoundWhereItWasMovedAndLeftWhereItIsCovered) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts other file systems, which only root can";
  // A file system of its own, since no mount leaves one that is shared.
  TempFolder top;
  ASSERT_EQ(::mount("top", top.path().c_str(), "tmpfs", 0, ""), 0);
  ASSERT_EQ(::mount("", top.path().c_str(), nullptr, MS_PRIVATE, nullptr), 0);
  const std::string here = top.path() + "/here", there = top.path() + "/there";
  ASSERT_EQ(::mkdir(here.c_str(), 0755) + ::mkdir(there.c_str(), 0755), 0);
  fs::Tree tree(0);
  auto session = mount::FuseSession::mount(here, tree, {});
  ASSERT_TRUE(session);
  (*session)->start();
  const auto entry = mount::mount_on(here);
  ASSERT_EQ(::mount(here.c_str(), there.c_str(), nullptr, MS_MOVE, nullptr), 0);
  EXPECT_EQ(mount::place_of(*entry), there);
  ASSERT_EQ(::mount("other", there.c_str(), "tmpfs", 0, ""), 0);
  if (!cut(entry->connection)) GTEST_SKIP() << "no fusectl to cut it with";
  EXPECT_EQ(mount::remove_dead_mount(*entry), mount::Removal::covered);
  EXPECT_EQ(mount::mount_on(there)->type, "tmpfs");
  ASSERT_EQ(::umount2(there.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(mount::remove_dead_mount(*entry), mount::Removal::removed);
  EXPECT_FALSE(mount::mount_on(there));
  session->reset();
  ::umount2(top.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace swarmfs::test
