// What a program may do with a file of the mount beside reading it: flags of open(), permissions,
// refusals, locks.
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <cstring>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// 0 for success, else the errno. Closes what was opened.
int open_error(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}
/// FS_IOC_GETFLAGS of linux/fs.h, which cannot be included beside sys/mount.h.
constexpr unsigned long kGetFlags = _IOR('f', 1, long);

int error_of(long result) { return result < 0 ? errno : 0; }

class FuseFlags : public ::testing::Test {
 protected:
  FakeMount m{{{"a", kMiB}}};
  const std::string a = m.path("a"), fresh = m.path("fresh"), folder = m.folder.path() + "/t";
};

TEST_F(FuseFlags, OpenTakesWhatOnlyReadsAndRefusesWhatWouldWrite) {
  for (const int flags : {O_RDONLY, O_RDONLY | O_APPEND, O_RDONLY | O_CREAT, O_RDONLY | O_DIRECT,
                          O_RDONLY | O_NONBLOCK, O_RDONLY | O_SYNC, O_RDONLY | O_NOATIME,
                          O_RDONLY | O_NOFOLLOW, O_PATH})
    EXPECT_EQ(open_error(a, flags), 0) << std::oct << flags;
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND,
                          O_RDWR | O_CREAT, O_WRONLY | O_TRUNC | O_CREAT})
    EXPECT_EQ(open_error(a, flags), EROFS) << std::oct << flags;
  EXPECT_EQ(open_error(a, O_RDONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(open_error(fresh, O_RDONLY), ENOENT);
  EXPECT_EQ(open_error(fresh, O_RDONLY | O_CREAT), EROFS);
  EXPECT_EQ(open_error(fresh, O_RDWR | O_CREAT | O_EXCL), EROFS);
  EXPECT_EQ(open_error(folder, O_TMPFILE | O_RDWR), EROFS);
  EXPECT_EQ(open_error(a, O_RDONLY | O_DIRECTORY), ENOTDIR);
  EXPECT_EQ(open_error(a + "/x", O_RDONLY), ENOTDIR);
  EXPECT_EQ(open_error(folder, O_RDONLY), 0);
  EXPECT_EQ(open_error(folder, O_WRONLY), EISDIR);
}

TEST_F(FuseFlags, DescriptorsReadAndNothingElse) {
  char byte = 0;
  const int path = ::open(a.c_str(), O_PATH);
  EXPECT_EQ(error_of(::read(path, &byte, 1)), EBADF);
  struct stat st {};
  EXPECT_EQ(::fstat(path, &st), 0);
  ::close(path);
  const int dir = ::open(folder.c_str(), O_RDONLY);
  EXPECT_EQ(error_of(::read(dir, &byte, 1)), EISDIR);
  EXPECT_EQ(::fsync(dir), 0);
  ::close(dir);
  const int fd = ::open(a.c_str(), O_RDONLY);
  EXPECT_EQ(error_of(::write(fd, "x", 1)), EBADF);
  EXPECT_EQ(error_of(::ftruncate(fd, 0)), EINVAL);
  EXPECT_EQ(error_of(::fallocate(fd, 0, 0, 1)), EBADF);
  EXPECT_EQ(error_of(::fchmod(fd, 0600)), EROFS);
  EXPECT_EQ(error_of(::fchown(fd, 1, 1)), EROFS);
  EXPECT_EQ(error_of(::futimens(fd, nullptr)), EROFS);
  EXPECT_EQ(error_of(::fsetxattr(fd, "user.x", "y", 1, 0)), EROFS);
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_EQ(::fdatasync(fd), 0);
  EXPECT_EQ(::syncfs(fd), 0);
  ::close(fd);
}

TEST_F(FuseFlags, AccessTellsWhatMayBeDone) {
  EXPECT_EQ(::access(a.c_str(), F_OK | R_OK), 0);
  EXPECT_EQ(error_of(::access(a.c_str(), W_OK)), EROFS);
  EXPECT_EQ(error_of(::access(a.c_str(), X_OK)), EACCES);
  EXPECT_EQ(error_of(::access(fresh.c_str(), F_OK)), ENOENT);
  EXPECT_EQ(::access(folder.c_str(), R_OK | X_OK), 0);
  EXPECT_EQ(error_of(::access(folder.c_str(), W_OK)), EROFS);
  EXPECT_EQ(error_of(::faccessat(AT_FDCWD, a.c_str(), W_OK, AT_EACCESS)), EROFS);
}

TEST_F(FuseFlags, ChangesByNameAreRefused) {
  const auto refused = [](int result) { return error_of(result) == EROFS; };
  EXPECT_TRUE(refused(::unlink(a.c_str())));
  EXPECT_TRUE(refused(::mkdir(fresh.c_str(), 0700)));
  EXPECT_TRUE(refused(::rmdir(folder.c_str())));
  EXPECT_TRUE(refused(::rename(a.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, fresh.c_str(), RENAME_NOREPLACE)));
  EXPECT_TRUE(refused(::link(a.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::symlink("x", fresh.c_str())));
  EXPECT_TRUE(refused(::chmod(a.c_str(), 0600)));
  EXPECT_TRUE(refused(::chown(a.c_str(), 1, 1)));
  EXPECT_TRUE(refused(::lchown(a.c_str(), 1, 1)));
  EXPECT_TRUE(refused(::truncate(a.c_str(), 0)));
  EXPECT_TRUE(refused(::utimensat(AT_FDCWD, a.c_str(), nullptr, 0)));
  EXPECT_TRUE(refused(::mkfifo(fresh.c_str(), 0600)));
  EXPECT_TRUE(refused(::mknod(fresh.c_str(), S_IFREG | 0600, 0)));
  EXPECT_TRUE(refused(::setxattr(a.c_str(), "user.x", "y", 1, 0)));
  EXPECT_TRUE(refused(::removexattr(a.c_str(), "user.swarmfs.progress")));
  // Across file systems the names are looked at first.
  EXPECT_EQ(error_of(::link(a.c_str(), "/tmp/swarmfs-test-link")), EXDEV);
  EXPECT_EQ(error_of(::rename(a.c_str(), "/tmp/swarmfs-test-link")), EXDEV);
}

TEST_F(FuseFlags, LocksAreThoseOfThisMachine) {
  const int one = ::open(a.c_str(), O_RDONLY), two = ::open(a.c_str(), O_RDONLY);
  EXPECT_EQ(::flock(one, LOCK_EX), 0);
  EXPECT_EQ(error_of(::flock(two, LOCK_SH | LOCK_NB)), EWOULDBLOCK);
  EXPECT_EQ(::flock(one, LOCK_UN), 0);
  EXPECT_EQ(::flock(two, LOCK_SH | LOCK_NB), 0);
  struct flock lock {};
  lock.l_whence = SEEK_SET;
  lock.l_len = 100;
  lock.l_type = F_RDLCK;
  EXPECT_EQ(::fcntl(one, F_SETLK, &lock), 0);
  lock.l_type = F_WRLCK;
  EXPECT_EQ(error_of(::fcntl(one, F_SETLK, &lock)), EBADF);
  ::close(one);
  ::close(two);
}

TEST_F(FuseFlags, IoctlsOfOtherFileSystemsAreRefused) {
  const int fd = ::open(a.c_str(), O_RDONLY);
  int flags = 0;
  EXPECT_EQ(error_of(::ioctl(fd, kGetFlags, &flags)), ENOTTY);
  EXPECT_EQ(error_of(::ioctl(fd, TIOCGWINSZ, &flags)), ENOTTY);
  int ahead = 0;
  EXPECT_EQ(::ioctl(fd, FIONREAD, &ahead), 0);
  EXPECT_EQ(ahead, static_cast<int>(kMiB));
  ::close(fd);
}

TEST_F(FuseFlags, MappingsReadAndPrivateOnesWriteToTheirOwnCopy) {
  const int fd = ::open(a.c_str(), O_RDONLY);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(errno, EACCES);
  void* const shared = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(shared, MAP_FAILED);
  EXPECT_EQ(error_of(::mprotect(shared, 4096, PROT_READ | PROT_WRITE)), EACCES);
  void* const own = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ASSERT_NE(own, MAP_FAILED);
  auto* const bytes = static_cast<std::uint8_t*>(own);
  const std::uint8_t first = Pattern::at(FileIndex{0}, 0);
  EXPECT_EQ(bytes[0], first);
  bytes[0] = static_cast<std::uint8_t>(first + 1);
  EXPECT_EQ(*static_cast<const std::uint8_t*>(shared), first);
  void* const code = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  EXPECT_NE(code, MAP_FAILED) << "not mounted noexec";
  for (void* map : {shared, own, code}) ::munmap(map, 4096);
  ::close(fd);
}

TEST_F(FuseFlags, TheFileSystemSaysWhatItIs) {
  struct statfs fs {};
  ASSERT_EQ(::statfs(a.c_str(), &fs), 0);
  EXPECT_EQ(fs.f_type, 0x65735546) << "FUSE_SUPER_MAGIC";
  EXPECT_EQ(fs.f_bsize, 4096);
  EXPECT_EQ(fs.f_bfree, 0U);
  EXPECT_EQ(fs.f_bavail, 0U);
  EXPECT_EQ(fs.f_namelen, 255);
  struct statvfs vfs {};
  const int fd = ::open(a.c_str(), O_RDONLY);
  ASSERT_EQ(::fstatvfs(fd, &vfs), 0);
  EXPECT_EQ(vfs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
            static_cast<unsigned long>(ST_RDONLY | ST_NOSUID | ST_NODEV));
  ::close(fd);
}

TEST_F(FuseFlags, StatxTellsNoTimeOfBirth) {
  struct statx st {};
  ASSERT_EQ(::statx(AT_FDCWD, a.c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &st), 0);
  EXPECT_EQ(st.stx_mask & STATX_BTIME, 0U);
  EXPECT_EQ(st.stx_size, kMiB);
  EXPECT_EQ(st.stx_blksize, 4096U);
  EXPECT_EQ(st.stx_mtime.tv_nsec, 0U);
  EXPECT_EQ(st.stx_mtime.tv_sec, st.stx_ctime.tv_sec);
  EXPECT_EQ(st.stx_mtime.tv_sec, st.stx_atime.tv_sec);
  EXPECT_EQ(st.stx_uid, ::geteuid());
  EXPECT_EQ(st.stx_gid, ::getegid());
}

TEST_F(FuseFlags, RemountedWritableItStaysReadOnly) {
  if (::mount(nullptr, m.folder.path().c_str(), nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV,
              nullptr) != 0)
    GTEST_SKIP() << "only root remounts: " << std::strerror(errno);
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC})
    EXPECT_EQ(open_error(a, flags), EROFS) << std::oct << flags;
  EXPECT_EQ(open_error(fresh, O_CREAT | O_WRONLY), EROFS);
  const auto refused = [](int result) { return error_of(result) == EROFS; };
  EXPECT_TRUE(refused(::unlink(a.c_str())));
  EXPECT_TRUE(refused(::mkdir(fresh.c_str(), 0700)));
  EXPECT_TRUE(refused(::rename(a.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::link(a.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(::symlink("x", fresh.c_str())));
  EXPECT_TRUE(refused(::mknod(fresh.c_str(), S_IFREG | 0600, 0)));
  EXPECT_TRUE(refused(::chmod(a.c_str(), 0600)));
  EXPECT_TRUE(refused(::truncate(a.c_str(), 0)));
  EXPECT_TRUE(refused(::utimensat(AT_FDCWD, a.c_str(), nullptr, 0)));
  EXPECT_TRUE(refused(::setxattr(a.c_str(), "user.x", "y", 1, 0)));
  EXPECT_TRUE(refused(::removexattr(a.c_str(), "user.swarmfs.progress")));
  EXPECT_EQ(read_and_compare(a.c_str(), FileIndex{0}, 0, kMiB), 0);
}

}  // namespace
}  // namespace swarmfs::test
