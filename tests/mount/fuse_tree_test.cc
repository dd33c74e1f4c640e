// Names, attributes and refusals through the real kernel, and who may mount where.
#include <dirent.h>
#include <grp.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <cstdio>
#include <set>

#include "mount/mountpoint.h"
#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    EXPECT_TRUE(names.insert(entry->d_name).second) << entry->d_name;
  }
  ::closedir(dir);
  return names;
}

TEST(FuseTree, ListsTenThousandEntriesOnceEach) {
  FakeMount::Files files;
  for (int i = 0; i < 10'000; ++i) files.emplace_back("file " + std::to_string(i), 1);
  FakeMount m(files);
  const auto names = names_in(m.folder.path() + "/t");
  EXPECT_EQ(names.size(), 10'002U);
  EXPECT_EQ(names.count("file 9999"), 1U);
}

TEST(FuseTree, ShowsOddNamesAndEmptyFiles) {
  const std::string odd[] = {
      "a b", "\xff\xfe", "tab\there",          "new\nline", "\xe6\x97\xa5\xe6\x9c\xac",
      "-rf", "quote'\"", std::string(255, 'x')};
  FakeMount::Files files;
  for (const auto& name : odd) files.emplace_back(name, 0);
  FakeMount m(files);
  const auto names = names_in(m.folder.path() + "/t");
  for (const auto& name : odd) {
    EXPECT_EQ(names.count(name), 1U);
    struct stat st {};
    EXPECT_EQ(::stat(m.path(name).c_str(), &st), 0);
    const int fd = ::open(m.path(name).c_str(), O_RDONLY);
    char byte = 0;
    EXPECT_EQ(::read(fd, &byte, 1), 0);
    ::close(fd);
  }
}

TEST(FuseTree, ShowsModesBlocksTimesLinksAndTotals) {
  FakeMount m({{"a", 5000}});
  m.source->set_bytes_here(1024);
  fs::TorrentSpec spec;
  spec.name = "u";
  spec.mtime = 42;
  fs::FileSpec link;
  link.path = {"d", "link"};
  link.kind = fs::NodeKind::symlink;
  link.symlink = {"e"};
  spec.files = {link};
  ASSERT_TRUE(m.tree.add_torrent(std::move(spec)));  // while mounted

  struct stat st {};
  ASSERT_EQ(::stat(m.path("a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, static_cast<mode_t>(S_IFREG | 0444));
  EXPECT_EQ(st.st_blocks, 2);
  EXPECT_EQ(st.st_mtim.tv_sec, 1'000'000);
  ASSERT_EQ(::stat((m.folder.path() + "/u").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, static_cast<mode_t>(S_IFDIR | 0555));
  EXPECT_EQ(st.st_nlink, 3U);
  EXPECT_EQ(st.st_mtim.tv_sec, 42);
  char target[64] = {};
  EXPECT_EQ(::readlink((m.folder.path() + "/u/d/link").c_str(), target, sizeof target), 4);
  EXPECT_STREQ(target, "../e");
  struct statvfs fs {};
  ASSERT_EQ(::statvfs(m.folder.path().c_str(), &fs), 0);
  EXPECT_EQ(fs.f_blocks * fs.f_frsize, 8192U);
  EXPECT_EQ(fs.f_bavail, 0U);
  EXPECT_EQ(fs.f_namemax, 255U);
  EXPECT_EQ(::stat(m.path("nothing").c_str(), &st), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(FuseTree, BlocksOfAFileThatArrivesAreFollowed) {
  mount::FuseOptions options;
  options.attributes_after = std::chrono::milliseconds(20);
  FakeMount m({{"a", 8192}, {"b", 8192}}, options);
  const auto blocks = [&](const char* name) {
    struct stat st {};
    EXPECT_EQ(::stat(m.path(name).c_str(), &st), 0);
    return st.st_blocks;
  };
  const auto becomes = [&](const char* name, blkcnt_t wanted) {
    for (int i = 0; i < 1000 && blocks(name) != wanted; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return blocks(name);
  };
  m.source->set_bytes_here(512);
  EXPECT_EQ(blocks("a"), 1);
  EXPECT_EQ(blocks("b"), 1);
  for (const blkcnt_t n : {2, 5, 3, 16}) {
    m.source->set_bytes_here(static_cast<std::uint64_t>(n) * 512);
    EXPECT_EQ(becomes("a", n), n);
    EXPECT_EQ(becomes("b", n), n);
  }
}

TEST(FuseTree, AnswersExtendedAttributes) {
  FakeMount m({{"a", 1000}});
  m.source->set_bytes_here(431);
  char value[64] = {};
  ASSERT_EQ(::getxattr(m.path("a").c_str(), "user.swarmfs.progress", value, sizeof value), 6);
  EXPECT_STREQ(value, "0.4310");
  EXPECT_EQ(::getxattr(m.path("a").c_str(), "user.swarmfs.progress", nullptr, 0), 6);
  EXPECT_EQ(::getxattr(m.path("a").c_str(), "user.swarmfs.progress", value, 3), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(::getxattr(m.path("a").c_str(), "user.nothing", value, sizeof value), -1);
  EXPECT_EQ(errno, ENODATA);
  char names[256] = {};
  const ssize_t length = ::listxattr(m.path("a").c_str(), names, sizeof names);
  ASSERT_GT(length, 0);
  EXPECT_NE(std::string(names, static_cast<std::size_t>(length)).find("user.swarmfs.pieces"),
            std::string::npos);
}

TEST(FuseMountpoint, MustBeAFolderThatIsThereAndFree) {
  fs::Tree tree(0);
  TempFolder folder;
  const auto error = [&](const std::string& path) {
    const auto mounted = mount::FuseSession::mount(path, tree, {});
    EXPECT_FALSE(mounted);
    return mounted ? Error{} : mounted.error();
  };
  EXPECT_EQ(error(folder.path() + "/none").kind, ErrorKind::not_found);
  EXPECT_EQ(error(folder.path() + "/no/ne").kind, ErrorKind::not_found);
  EXPECT_EQ(error("/etc/passwd").kind, ErrorKind::not_found);
  EXPECT_NE(error("/etc/passwd").message.find("not a folder"), std::string::npos);
  FakeMount m({{"a", 1}});
  EXPECT_EQ(error(m.folder.path()).kind, ErrorKind::busy);
}

TEST(FuseMountpoint, SessionThatNeverStartedLeavesNothing) {
  fs::Tree tree(0);
  TempFolder folder;
  { ASSERT_TRUE(mount::FuseSession::mount(folder.path() + "//./", tree, {})); }
  EXPECT_FALSE(mount::mount_on(folder.path()));
}

TEST(FuseUser, OrdinaryUserMountsReadsAndUnmounts) {
  if (::geteuid() != 0) GTEST_SKIP() << "becomes another user, which only root can";
  ASSERT_EQ(::chmod("/dev/fuse", 0666), 0);
  TempFolder folder;
  ASSERT_EQ(::chown(folder.path().c_str(), 65534, 65534), 0);
  Child user([&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
        ::setresuid(65534, 65534, 65534) != 0)
      return 1;
    fs::Tree tree(0);
    auto source = std::make_shared<FakeSource>(std::vector<std::uint64_t>{1 << 20});
    fs::TorrentSpec spec;
    spec.name = "x";
    spec.single_file = true;
    spec.files.emplace_back().length = 1 << 20;
    spec.source = source;
    if (!tree.add_torrent(std::move(spec))) return 2;
    const auto forbidden = mount::FuseSession::mount("/etc", tree, {});
    if (forbidden || forbidden.error().kind != ErrorKind::permission) return 3;
    auto session = mount::FuseSession::mount(folder.path(), tree, {});
    if (!session) {
      std::fprintf(stderr, "%s\n", session.error().message.c_str());
      return 4;
    }
    (*session)->start();
    if (read_and_compare((folder.path() + "/x").c_str(), FileIndex{0}, 0, 1 << 20) != 0) return 5;
    (*session)->stop();
    (*session)->wait();
    return mount::mount_on(folder.path()) ? 6 : 0;
  });
  EXPECT_EQ(user.exit_code(std::chrono::seconds(30)), 0);
}

}  // namespace
}  // namespace swarmfs::test
