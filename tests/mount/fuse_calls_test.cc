// The calls that read, at their edges: ends of files, offsets, positions, advice, readiness, and
// what a call returns that got part of what it asked for.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <limits>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;
constexpr off_t kLength = 100'000;

int error_of(long result) { return result < 0 ? errno : 0; }

class FuseCalls : public ::testing::Test {
 protected:
  FuseCalls() : fd(::open(m.path("a").c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~FuseCalls() override { ::close(fd); }
  std::string bytes(std::uint64_t offset, std::uint64_t length) const {
    return Pattern::text(kFile, offset, length);
  }
  FakeMount m{{{"a", kLength}, {"empty", 0}, {"stuck", 4 * kMiB}}};
  const int fd;
  char buffer[256 << 10];
};

TEST_F(FuseCalls, ReadsEndWhereTheFileEnds) {
  EXPECT_EQ(::pread(fd, buffer, sizeof buffer, kLength - 10), 10);
  EXPECT_EQ(std::string(buffer, 10), bytes(kLength - 10, 10));
  constexpr off_t kFar[] = {kLength, kLength + 1, kLength + 4096, off_t{1} << 40,
                            std::numeric_limits<off_t>::max() - (1 << 20)};
  for (const off_t offset : kFar) EXPECT_EQ(::pread(fd, buffer, 100, offset), 0) << offset;
  EXPECT_EQ(error_of(::pread(fd, buffer, 1, -1)), EINVAL);
  EXPECT_EQ(::pread(fd, buffer, 0, 0), 0);
  EXPECT_EQ(::pread(fd, buffer, 0, kLength + 1), 0);
  void* const nowhere = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_EQ(error_of(::pread(fd, nowhere, 1, 0)), EFAULT);
  ::munmap(nowhere, 4096);
  const int empty = ::open(m.path("empty").c_str(), O_RDONLY);
  EXPECT_EQ(::read(empty, buffer, 10), 0);
  EXPECT_EQ(::mmap(nullptr, 0, PROT_READ, MAP_SHARED, empty, 0), MAP_FAILED);
  ::close(empty);
}

TEST_F(FuseCalls, LseekKnowsNoHoles) {
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), kLength);
  EXPECT_EQ(::lseek(fd, 5, SEEK_END), kLength + 5);
  EXPECT_EQ(::read(fd, buffer, 10), 0);
  EXPECT_EQ(error_of(::lseek(fd, -1, SEEK_SET)), EINVAL);
  m.source->hold(kFile, 0, kLength);  // what is missing is no hole
  EXPECT_EQ(::lseek(fd, 7, SEEK_DATA), 7);
  EXPECT_EQ(::lseek(fd, 7, SEEK_HOLE), kLength);
  EXPECT_EQ(error_of(::lseek(fd, kLength, SEEK_DATA)), ENXIO);
  EXPECT_EQ(error_of(::lseek(fd, kLength + 1, SEEK_HOLE)), ENXIO);
}

TEST_F(FuseCalls, ThePositionIsSharedByDupAndForkAndNotByOpen) {
  EXPECT_EQ(::read(fd, buffer, 10), 10);
  const int same = ::dup(fd), other = ::open(m.path("a").c_str(), O_RDONLY);
  EXPECT_EQ(::read(same, buffer, 10), 10);
  EXPECT_EQ(std::string(buffer, 10), bytes(10, 10));
  Child child([&] { return ::read(fd, buffer, 10) == 10 ? 0 : 1; });
  EXPECT_EQ(child.exit_code(), 0);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 30);
  EXPECT_EQ(::pread(fd, buffer, 10, 500), 10);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 30);
  EXPECT_EQ(::read(other, buffer, 10), 10);
  EXPECT_EQ(std::string(buffer, 10), bytes(0, 10));
  ::close(other);
  ::close(same);
}

TEST_F(FuseCalls, DirectReadsNeedNoAlignment) {
  const int direct = ::open(m.path("a").c_str(), O_RDONLY | O_DIRECT);
  ASSERT_GE(direct, 0);
  for (const auto& [offset, length] :
       {std::pair<off_t, std::size_t>{1, 3}, {4095, 4098}, {7, 511}, {kLength - 3, 100}}) {
    const auto expected = std::min<std::size_t>(length, static_cast<std::size_t>(kLength - offset));
    ASSERT_EQ(::pread(direct, buffer + 1, length, offset), static_cast<ssize_t>(expected));
    EXPECT_EQ(std::string(buffer + 1, expected),
              bytes(static_cast<std::uint64_t>(offset), expected));
  }
  EXPECT_EQ(::pread(direct, buffer, 10, kLength), 0);
  ::close(direct);
}

TEST_F(FuseCalls, CopiesWithoutReading) {
  const int out = ::memfd_create("out", MFD_CLOEXEC);
  off_t from = 100;
  const auto copied = [&](std::uint64_t length) {
    std::string got(length, '\0');
    EXPECT_EQ(::pread(out, got.data(), length, 0), static_cast<ssize_t>(length));
    return got;
  };
  ASSERT_EQ(::sendfile(out, fd, &from, 50'000), 50'000);
  EXPECT_EQ(copied(50'000), bytes(100, 50'000));

  // To another file system, where the kernel may answer EXDEV: then programs read and write.
  ASSERT_EQ(::ftruncate(out, 0), 0);
  off_t to = 0;
  from = 3;
  const ssize_t n = ::copy_file_range(fd, &from, out, &to, 50'000, 0);
  if (n < 0)
    EXPECT_EQ(errno, EXDEV);
  else
    EXPECT_EQ(copied(static_cast<std::uint64_t>(n)), bytes(3, static_cast<std::uint64_t>(n)));
  EXPECT_EQ(error_of(::copy_file_range(out, nullptr, fd, nullptr, 10, 0)), EBADF);

  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  loff_t at = 99'990;
  EXPECT_EQ(::splice(fd, &at, pipe[1], nullptr, 4096, 0), 10);
  EXPECT_EQ(::read(pipe[0], buffer, 100), 10);
  EXPECT_EQ(std::string(buffer, 10), bytes(99'990, 10));
  for (const int end : {pipe[0], pipe[1], out}) ::close(end);
}

TEST_F(FuseCalls, AdviceIsTakenAndDoesNotWait) {
  const int stuck = ::open(m.path("stuck").c_str(), O_RDONLY);
  m.source->hold(FileIndex{2}, 0, 4 * kMiB);
  for (const int advice : {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                           POSIX_FADV_NOREUSE, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED})
    EXPECT_EQ(::posix_fadvise(stuck, 0, 0, advice), 0) << advice;
  EXPECT_EQ(::readahead(stuck, 2 * kMiB, kMiB), 0);
  void* const map = ::mmap(nullptr, 4 * kMiB, PROT_READ, MAP_SHARED, stuck, 0);
  for (const int advice : {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM, MADV_WILLNEED, MADV_DONTNEED})
    EXPECT_EQ(::madvise(map, 4 * kMiB, advice), 0) << advice;
  ::munmap(map, 4 * kMiB);
  EXPECT_TRUE(m.source->wait_parked_at_least(1)) << "what will be needed is asked for";
  m.source->release(FileIndex{2});
  ::close(stuck);
}

TEST_F(FuseCalls, IsAlwaysReadyForPollSelectAndEpoll) {
  m.source->hold(kFile, 0, kLength);  // as any file, and unlike a socket
  pollfd one{fd, POLLIN | POLLOUT, 0};
  EXPECT_EQ(::poll(&one, 1, 1000), 1);
  EXPECT_NE(one.revents & POLLIN, 0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  timeval soon{1, 0};
  EXPECT_EQ(::select(fd + 1, &set, nullptr, nullptr, &soon), 1);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  EXPECT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
  EXPECT_EQ(::epoll_wait(epoll, &event, 1, 1000), 1);
  ::close(epoll);
}

TEST_F(FuseCalls, NonblockingReadsWaitAllTheSame) {
  const int plain = ::open(m.path("stuck").c_str(), O_RDONLY | O_NONBLOCK);
  m.source->hold(FileIndex{2}, 0, 4 * kMiB);
  Child reader([&] { return ::pread(plain, buffer, 10, 0) == 10 ? 0 : errno; });
  EXPECT_EQ(reader.wait(milliseconds(200)), std::nullopt);
  iovec into{buffer, 10};
  EXPECT_EQ(error_of(::preadv2(plain, &into, 1, 2 * kMiB, RWF_NOWAIT)), EOPNOTSUPP);
  m.source->release(FileIndex{2});
  EXPECT_EQ(reader.exit_code(), 0);
  ::close(plain);
}

TEST_F(FuseCalls, InotifySeesWhatProgramsDoAndNotWhatArrives) {
  const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  ASSERT_GE(::inotify_add_watch(watch, m.path("a").c_str(), IN_ALL_EVENTS), 0);
  m.source->hold(kFile, 0, kLength);
  m.source->release(kFile);
  EXPECT_EQ(error_of(::read(watch, buffer, sizeof buffer)), EAGAIN);
  EXPECT_EQ(::pread(fd, buffer, 10, 0), 10);
  ASSERT_GT(::read(watch, buffer, sizeof buffer), 0);
  EXPECT_EQ(reinterpret_cast<const inotify_event*>(buffer)->mask, static_cast<unsigned>(IN_ACCESS));
  ::close(watch);
}

/// A read of 2 MiB of which the first is here, the second not.
struct HalfHere : FakeMount {
  HalfHere() : FakeMount({{"a", 4 * kMiB}}) { source->hold(kFile, kMiB, 4 * kMiB); }
  /// What the first read returned, in KiB, or 4096 + errno; then the errno of the next.
  static int read_twice(const std::string& path, bool sendfile) {
    const int fd = ::open(path.c_str(), O_RDONLY), out = ::memfd_create("out", 0);
    static char into[2 * kMiB];
    const auto once = [&] {
      return sendfile ? ::sendfile(out, fd, nullptr, sizeof into) : ::read(fd, into, sizeof into);
    };
    const ssize_t first = once();
    if (first < 0) return 1;
    if (!sendfile)
      for (ssize_t i = 0; i < first; ++i)
        if (static_cast<std::uint8_t>(into[i]) != Pattern::at(kFile, static_cast<unsigned>(i)))
          return 2;
    if (first != kMiB) return 3;
    return once() < 0 ? errno : 4;
  }
};

TEST(FuseHalf, ACallThatGetsPartReturnsThatAndTheNextOneTheError) {
  for (const bool sendfile : {false, true}) {
    HalfHere m;
    m.source->set_timeout(milliseconds(600));
    const std::string a = m.path("a");
    Child reader([&] { return HalfHere::read_twice(a, sendfile); });
    EXPECT_EQ(reader.exit_code(seconds(20)), ETIMEDOUT) << (sendfile ? "sendfile" : "read");
  }
}

TEST(FuseHalf, ASignalEndsACallWithThePartThatItHas) {
  HalfHere m;
  const std::string a = m.path("a");
  Child reader([&] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGINT, &action, nullptr);
    return HalfHere::read_twice(a, false);
  });
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(m.source->wait_parked_at_least(1));
    std::this_thread::sleep_for(milliseconds(600));
    reader.kill(SIGINT);
  }
  EXPECT_EQ(reader.exit_code(), EINTR);
}

}  // namespace
}  // namespace swarmfs::test
