// Folders, names and numbers as programs see them through the real kernel.
#include <dirent.h>
#include <sys/xattr.h>

#include <map>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

int error_of(long result) { return result < 0 ? errno : 0; }

struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
  return st;
}

/// t/file, t/f/… and a second torrent "u" with d/deep/er/file, d/link -> deep, a loop, a program.
class FuseFolder : public ::testing::Test {
 protected:
  FuseFolder() {
    fs::TorrentSpec spec;
    spec.name = "u";
    const auto add = [&](std::vector<std::string> path) -> fs::FileSpec& {
      auto& file = spec.files.emplace_back();
      file.path = std::move(path);
      file.length = 100;
      return file;
    };
    add({"d", "deep", "er", "file"});
    add({"d", "program"}).executable = true;
    const auto link = [&](std::vector<std::string> path, std::vector<std::string> target) {
      auto& file = add(std::move(path));
      file.kind = fs::NodeKind::symlink;
      file.symlink = std::move(target);
    };
    link({"d", "link"}, {"d", "deep"});
    link({"d", "loop"}, {"d", "loop"});
    spec.source = m.source;
    EXPECT_TRUE(m.tree.add_torrent(std::move(spec)));
  }
  FakeMount m{{{"a", 100}, {"A", 100}}};
  const std::string u = m.folder.path() + "/u", d = u + "/d";
};

TEST_F(FuseFolder, EntriesTellTheTypeAndNumberThatStatTells) {
  std::map<std::string, unsigned char> types;
  DIR* const dir = ::opendir(d.c_str());
  ASSERT_NE(dir, nullptr);
  while (const dirent* entry = ::readdir(dir)) {
    types[entry->d_name] = entry->d_type;
    EXPECT_EQ(entry->d_ino, stat_of(d + "/" + entry->d_name).st_ino) << entry->d_name;
  }
  ::closedir(dir);
  EXPECT_EQ(types, (std::map<std::string, unsigned char>{{".", DT_DIR},
                                                         {"..", DT_DIR},
                                                         {"deep", DT_DIR},
                                                         {"link", DT_LNK},
                                                         {"loop", DT_LNK},
                                                         {"program", DT_REG}}));
}

TEST_F(FuseFolder, SeekdirGoesBackToWhereTelldirWas) {
  FakeMount::Files files;
  for (int i = 0; i < 3000; ++i) files.emplace_back("file " + std::to_string(i), 1);
  const FakeMount many(files);
  DIR* const dir = ::opendir((many.folder.path() + "/t").c_str());
  ASSERT_NE(dir, nullptr);
  std::vector<std::pair<long, std::string>> seen;
  for (long at = ::telldir(dir); const dirent* entry = ::readdir(dir); at = ::telldir(dir))
    seen.emplace_back(at, entry->d_name);
  EXPECT_EQ(seen.size(), 3002U);
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, seen.size() / 2, seen.size() - 1}) {
    ::seekdir(dir, seen[i].first);
    const dirent* entry = ::readdir(dir);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, seen[i].second);
  }
  ::rewinddir(dir);
  EXPECT_EQ(::readdir(dir)->d_name, seen[0].second);
  ::closedir(dir);
}

TEST_F(FuseFolder, NamesAreBytesOfOneCaseAndAtMost255) {
  EXPECT_NE(stat_of(m.path("a")).st_ino, stat_of(m.path("A")).st_ino);
  struct stat st {};
  EXPECT_EQ(error_of(::stat((u + "/D").c_str(), &st)), ENOENT);
  EXPECT_EQ(error_of(::stat((d + "/" + std::string(255, 'x')).c_str(), &st)), ENOENT);
  EXPECT_EQ(error_of(::stat((d + "/" + std::string(256, 'x')).c_str(), &st)), ENAMETOOLONG);
  EXPECT_EQ(error_of(::stat((d + "/\xff").c_str(), &st)), ENOENT);
  EXPECT_EQ(error_of(::stat((d + "/program/x").c_str(), &st)), ENOTDIR);
}

TEST_F(FuseFolder, NumbersStayWhateverTheKernelForgets) {
  const auto before = stat_of(d + "/deep/er/file");
  std::string drop = "echo 2 >/proc/sys/vm/drop_caches";
  static_cast<void>(std::system((drop + " 2>/dev/null").c_str()));
  const auto after = stat_of(d + "/deep/er/file");
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_dev, after.st_dev);
  EXPECT_EQ(after.st_nlink, 1U);
  EXPECT_EQ(stat_of(d).st_nlink, 3U) << "one for each folder in it";
  EXPECT_EQ(stat_of(m.folder.path()).st_ino, 1U);
}

TEST_F(FuseFolder, NumbersAreTheSameInTheNextMountOfTheSameTorrents) {
  const FakeMount again({{"a", 100}, {"A", 100}});
  EXPECT_EQ(stat_of(again.path("a")).st_ino, stat_of(m.path("a")).st_ino);
  EXPECT_EQ(stat_of(again.path("A")).st_ino, stat_of(m.path("A")).st_ino);
}

TEST_F(FuseFolder, SymbolicLinksAreFollowedAndLoopsNoticed) {
  EXPECT_EQ(stat_of(d + "/link/er/file").st_ino, stat_of(d + "/deep/er/file").st_ino);
  EXPECT_EQ(stat_of(d + "/link").st_mode, static_cast<mode_t>(S_IFLNK | 0777));
  char text[64] = {};
  EXPECT_EQ(::readlink((d + "/link").c_str(), text, sizeof text), stat_of(d + "/link").st_size);
  EXPECT_STREQ(text, "../d/deep");
  struct stat st {};
  EXPECT_EQ(error_of(::stat((d + "/loop").c_str(), &st)), ELOOP);
  EXPECT_EQ(error_of(::open((d + "/link").c_str(), O_RDONLY | O_NOFOLLOW)), ELOOP);
  char target[8] = {};
  EXPECT_EQ(error_of(::readlink((d + "/program").c_str(), target, sizeof target)), EINVAL);
}

TEST_F(FuseFolder, WhatTheTorrentMarksExecutableIs) {
  EXPECT_EQ(stat_of(d + "/program").st_mode, static_cast<mode_t>(S_IFREG | 0555));
  EXPECT_EQ(::access((d + "/program").c_str(), X_OK), 0);
}

TEST_F(FuseFolder, AFolderCanBeStoodIn) {
  const int folder = ::open(d.c_str(), O_RDONLY | O_DIRECTORY);
  Child child([&] {
    struct stat st {};
    return ::fchdir(folder) == 0 && ::stat("deep/../program", &st) == 0 && st.st_size == 100
               ? 0
               : errno;
  });
  EXPECT_EQ(child.exit_code(), 0);
  EXPECT_EQ(::faccessat(folder, "deep/er/file", R_OK, 0), 0);
  ::close(folder);
}

TEST_F(FuseFolder, ExtendedAttributesOfEachKindOfEntry) {
  char value[512] = {};
  EXPECT_GT(::getxattr(d.c_str(), "user.swarmfs.progress", value, sizeof value), 0);
  EXPECT_EQ(error_of(::getxattr(d.c_str(), "user.swarmfs.pieces", value, sizeof value)), ENODATA);
  EXPECT_EQ(error_of(::listxattr(m.path("a").c_str(), value, 1)), ERANGE);
  const ssize_t size = ::listxattr(m.path("a").c_str(), nullptr, 0);
  EXPECT_EQ(::listxattr(m.path("a").c_str(), value, sizeof value), size);
  EXPECT_EQ(error_of(::lgetxattr((d + "/link").c_str(), "user.swarmfs.progress", value, 9)),
            ENODATA);
  EXPECT_EQ(error_of(::getxattr(d.c_str(), "security.capability", value, sizeof value)), ENODATA);
  EXPECT_EQ(error_of(::getxattr(d.c_str(), "trusted.x", value, sizeof value)), ENODATA);
}

}  // namespace
}  // namespace swarmfs::test
