// Reads through the real kernel: the bytes, and what a failure leaves behind.
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <random>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;

TEST(FuseRead, GivesEveryByteOfAFileInOrder) {
  FakeMount m({{"a", 20 * kMiB + 12345}});
  EXPECT_EQ(read_and_compare(m.path("a").c_str(), kFile, 0, 20 * kMiB + 12345), 0);
  const auto stats = m.session->stats();
  EXPECT_EQ(stats.errors, 0U);
  EXPECT_EQ(stats.bytes, 20 * kMiB + 12345);
}

TEST(FuseRead, AsksAtMostMaxReadAtOnce) {
  mount::FuseOptions options;
  options.max_read = 64 << 10;
  FakeMount m({{"a", 4 * kMiB}}, options);
  EXPECT_EQ(read_and_compare(m.path("a").c_str(), kFile, 0, 4 * kMiB), 0);
  EXPECT_GE(m.session->stats().reads, 64U);
}

TEST(FuseRead, GivesRandomRangesToEightThreadsOnOneHandle) {
  constexpr std::uint64_t kLength = 30 * kMiB + 7;
  FakeMount m({{"a", kLength}});
  const int fd = ::open(m.path("a").c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 rng(t);
      std::string buffer(200'000, '\0');
      for (int i = 0; i < 100; ++i) {
        const std::uint64_t offset = rng() % kLength;
        const std::uint64_t length = rng() % buffer.size() + 1;
        const ssize_t n = ::pread(fd, buffer.data(), length, static_cast<off_t>(offset));
        const auto expected = std::min(length, kLength - offset);
        if (n != static_cast<ssize_t>(expected) ||
            buffer.compare(0, expected, Pattern::text(kFile, offset, expected)) != 0)
          ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ::close(fd);
  EXPECT_EQ(wrong, 0);
}

TEST(FuseRead, ServesMmapSendfileReadvAndDirectReads) {
  constexpr std::uint64_t kLength = 3 * kMiB + 100;
  FakeMount m({{"a", kLength}, {"b", kLength}, {"c", kLength}, {"d", kLength}});
  const auto open = [&](const char* name, int flags = 0) {
    return ::open(m.path(name).c_str(), O_RDONLY | flags);
  };
  const std::string expected[] = {
      Pattern::text(FileIndex{0}, 0, kLength), Pattern::text(FileIndex{1}, 0, kLength),
      Pattern::text(FileIndex{2}, 0, kLength), Pattern::text(FileIndex{3}, 0, kLength)};

  const int a = open("a");
  void* map = ::mmap(nullptr, kLength, PROT_READ, MAP_SHARED, a, 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(std::string(static_cast<const char*>(map), kLength), expected[0]);
  ::munmap(map, kLength);
  ::close(a);

  const int b = open("b");
  const int out = ::memfd_create("out", 0);
  off_t at = 0;
  while (::sendfile(out, b, &at, kLength) > 0) {
  }
  EXPECT_EQ(at, static_cast<off_t>(kLength));
  std::string copied(kLength, '\0');
  EXPECT_EQ(::pread(out, copied.data(), kLength, 0), static_cast<ssize_t>(kLength));
  EXPECT_EQ(copied, expected[1]);
  ::close(out);
  ::close(b);

  const int c = open("c");
  std::string first(1001, '\0'), second(70'000, '\0');
  const iovec iov[] = {{first.data(), first.size()}, {second.data(), second.size()}};
  EXPECT_EQ(::preadv(c, iov, 2, 5), 71'001);
  EXPECT_EQ(first + second, expected[2].substr(5, 71'001));
  ::close(c);

  const int d = open("d", O_DIRECT);
  ASSERT_GE(d, 0);
  void* aligned = ::aligned_alloc(4096, kMiB);
  EXPECT_EQ(::pread(d, aligned, kMiB, 3 * kMiB), 100);
  EXPECT_EQ(std::string(static_cast<const char*>(aligned), 100), expected[3].substr(3 * kMiB));
  EXPECT_EQ(::pread(d, aligned, kMiB, kMiB), static_cast<ssize_t>(kMiB));
  EXPECT_EQ(std::string(static_cast<const char*>(aligned), kMiB), expected[3].substr(kMiB, kMiB));
  std::free(aligned);
  ::close(d);
}

TEST(FuseRead, WaitsForWhatIsNotHereAndDeliversItWhenItComes) {
  FakeMount m({{"a", 4 * kMiB}});
  m.source->hold(kFile, 0, 4 * kMiB);
  const std::string path = m.path("a");
  Child reader([&] { return read_and_compare(path.c_str(), kFile, 0, 4 * kMiB); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  EXPECT_EQ(reader.wait(std::chrono::milliseconds(100)), std::nullopt);
  EXPECT_GE(m.session->stats().waiting, 1U);
  EXPECT_GE(m.session->waiting(*m.source), 1U);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  EXPECT_EQ(m.session->stats().waiting, 0U);
}

TEST(FuseRead, TimesOutWithoutProgressAndLaterSucceedsOnTheSameRange) {
  FakeMount m({{"a", 4 * kMiB}});
  const std::string path = m.path("a");
  m.source->hold(kFile, kMiB, 2 * kMiB);
  m.source->set_timeout(std::chrono::milliseconds(700));
  for (int i = 0; i < 2; ++i) {
    Child reader([&] { return read_and_compare(path.c_str(), kFile, kMiB, kMiB); });
    EXPECT_EQ(reader.exit_code(), ETIMEDOUT);
  }
  struct stat st {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 4 << 20);
  m.source->release(kFile);
  EXPECT_EQ(read_and_compare(path.c_str(), kFile, 0, 4 * kMiB), 0);
}

TEST(FuseRead, TellsEachFailureByItsErrnoAndKeepsTheSize) {
  const std::pair<ErrorKind, int> rows[] = {{ErrorKind::io, EIO},
                                            {ErrorKind::no_space, ENOSPC},
                                            {ErrorKind::mismatch, EIO},
                                            {ErrorKind::network, EIO}};
  for (const auto& [kind, expected] : rows) {
    FakeMount m({{"a", kMiB}});
    const std::string path = m.path("a");
    m.source->hold(kFile, 0, kMiB);
    Child reader([&] { return read_and_compare(path.c_str(), kFile, 0, kMiB); });
    int code = -2;
    for (int i = 0; i < 500 && code == -2; ++i) {  // read-ahead fails first, then the reader's own
      m.source->fail_parked(kind);
      code = reader.exit_code(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(code, expected) << to_string(kind);
    struct stat st {};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_size, static_cast<off_t>(kMiB)) << to_string(kind);
    m.source->release(kFile);
    EXPECT_EQ(read_and_compare(path.c_str(), kFile, 0, kMiB), 0) << to_string(kind);
  }
}

TEST(FuseRead, OpensAWindowOnlyForSequentialReadsAndDropsItOnClose) {
  FakeMount m({{"a", 64 * kMiB}});
  m.source->set_bytes_here(63 * kMiB);
  const std::string path = m.path("a");
  EXPECT_EQ(read_and_compare(path.c_str(), kFile, 30 * kMiB, 4096), 0);  // a probe
  EXPECT_TRUE(m.source->windows().empty());
  EXPECT_EQ(read_and_compare(path.c_str(), kFile, 0, 16 * kMiB), 0);
  const auto windows = m.source->windows();
  ASSERT_GE(windows.size(), 3U);
  EXPECT_LE(windows.front().end - windows.front().begin, 2 * kMiB);
  std::uint64_t longest = 0;
  for (const auto& w : windows) longest = std::max(longest, w.end - w.begin);
  EXPECT_GE(longest, 8 * kMiB);
  EXPECT_LE(windows.size(), 64U) << "told too often";
  for (int i = 0; i < 500 && m.source->open_handles() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(m.source->open_handles(), 0U);
}

}  // namespace
}  // namespace swarmfs::test
