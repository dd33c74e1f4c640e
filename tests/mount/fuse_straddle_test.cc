// READs whose start is here and whose rest takes long: readers get what is here, then what comes.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <iterator>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kRead = 128 << 10;  ///< what the kernel asks for at once

/// Expired reads would pass for straddled ones.
mount::FuseOptions only_straddle() {
  mount::FuseOptions options;
  options.expire_after = std::chrono::hours(1);
  return options;
}

/// A file "a" all of which is held back.
struct HeldMount : FakeMount {
  explicit HeldMount(mount::FuseOptions options = only_straddle(), std::uint64_t bytes = 4 * kMiB)
      : FakeMount({{"a", bytes}}, options), a(path("a")), length(bytes) {
    source->hold(kFile, 0, length);
  }
  void release_block(std::uint64_t number) const {
    source->release(kFile, number * kBlockSize, (number + 1) * kBlockSize);
  }
  bool wait_straddled(std::uint64_t n = 1) const {
    for (int i = 0; i < 1000 && session->stats().straddled < n; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    return session->stats().straddled >= n;
  }
  std::string a;
  std::uint64_t length;
};

/// A number that a child tells of how far it is.
class Progress {
 public:
  Progress()
      : shared_(::mmap(nullptr, sizeof(Number), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0)),
        number_(new (shared_) Number(0)) {}
  ~Progress() { ::munmap(shared_, sizeof(Number)); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void set(std::uint64_t n) const { *number_ = n; }
  std::uint64_t get() const { return *number_; }
  bool reaches(std::uint64_t n) const {
    for (int i = 0; i < 2000 && get() < n; ++i) std::this_thread::sleep_for(milliseconds(5));
    return get() >= n;
  }

 private:
  using Number = std::atomic<std::uint64_t>;
  void* const shared_;
  Number* const number_;
};

/// Reads [begin, end) in steps of 4 KiB and tells after each how far it is. Returns as
/// read_and_compare().
int read_on(const char* path, std::uint64_t begin, std::uint64_t end, const Progress& progress) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  // Else the first READ is short, of 16 KiB.
  ::posix_fadvise(fd, static_cast<off_t>(begin), kRead, POSIX_FADV_WILLNEED);
  static char buffer[4096];
  for (std::uint64_t at = begin; at < end; at += sizeof buffer) {
    const ssize_t n = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(at));
    if (n != sizeof buffer) return n < 0 ? errno : 254;
    for (std::size_t i = 0; i < sizeof buffer; ++i)
      if (static_cast<std::uint8_t>(buffer[i]) != Pattern::at(kFile, at + i)) return 255;
    progress.set(at + sizeof buffer);
  }
  return 0;
}

/// The same through a mapping.
int map_on(const char* path, std::uint64_t begin, std::uint64_t end, const Progress& progress) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  void* const map = ::mmap(nullptr, end, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return errno;
  const auto* const bytes = static_cast<const volatile std::uint8_t*>(map);
  for (std::uint64_t at = begin; at < end; ++at) {
    if (bytes[at] != Pattern::at(kFile, at)) return 255;
    if ((at + 1) % 4096 == 0) progress.set(at + 1);
  }
  return 0;
}

using Reading = int (*)(const char*, std::uint64_t, std::uint64_t, const Progress&);

TEST(FuseStraddle, AReaderGetsEachBlockWhileThoseBehindItAreHeldBack) {
  for (const Reading reading : {&read_on, &map_on}) {
    SCOPED_TRACE(reading == &read_on ? "pread" : "mmap");
    HeldMount m;
    const Progress progress;
    Child reader([&] { return reading(m.a.c_str(), 0, m.length, progress); });
    ASSERT_TRUE(m.source->wait_parked_at_least(1));
    constexpr std::uint64_t kBlocks = 24;  // three READs of 128 KiB
    for (std::uint64_t block = 0; block < kBlocks; ++block) {
      m.release_block(block);
      ASSERT_TRUE(progress.reaches((block + 1) * kBlockSize)) << "block " << block;
    }
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(progress.get(), kBlocks * kBlockSize);
    EXPECT_GE(m.session->stats().straddled, 1U);
    EXPECT_EQ(m.session->stats().expired, 0U);
    m.source->release(kFile);
    EXPECT_EQ(reader.exit_code(), 0);
    EXPECT_EQ(m.session->stats().errors, 0U);
    EXPECT_EQ(m.session->stats().waiting, 0U);
    // Again, by a reader who was never told to go away: from the page cache.
    EXPECT_EQ(read_and_compare(m.a.c_str(), kFile, 0, m.length), 0);
  }
}

TEST(FuseStraddle, ASlowSourceIsReadToTheEndByReadAndByMapping) {
  for (const Reading reading : {&read_on, &map_on}) {
    HeldMount m(only_straddle(), 512 << 10);
    const Progress progress;
    Child reader([&] { return reading(m.a.c_str(), 0, m.length, progress); });
    Child second([&] { return read_and_compare(m.a.c_str(), kFile, 0, m.length); });
    ASSERT_TRUE(m.source->wait_parked_at_least(1));
    for (std::uint64_t block = 0; block * kBlockSize < m.length; ++block) {
      std::this_thread::sleep_for(milliseconds(60));
      m.release_block(block);
    }
    EXPECT_EQ(reader.exit_code(), 0);
    EXPECT_EQ(second.exit_code(), 0);
    EXPECT_GE(m.session->stats().straddled, 1U);
    EXPECT_EQ(m.session->stats().errors, 0U);
  }
}

/// How many pages from the file's start can be read without asking the filesystem.
std::size_t pages_in_cache(const std::string& path, std::size_t pages) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const map = ::mmap(nullptr, pages * 4096, PROT_READ, MAP_SHARED, fd, 0);
  std::vector<unsigned char> here(pages);
  EXPECT_EQ(::mincore(map, pages * 4096, here.data()), 0);
  ::munmap(map, pages * 4096);
  ::close(fd);
  const auto gap = std::find_if(here.begin(), here.end(), [](auto h) { return (h & 1) == 0; });
  return static_cast<std::size_t>(gap - here.begin());
}

TEST(FuseStraddle, WhatComesIsPushedOnceAsItComesThoughNobodyAsks) {
  HeldMount m;
  const Progress progress, done;
  Child reader([&] {
    const int code = read_on(m.a.c_str(), 0, 4096, progress);  // as part of a READ of 128 KiB
    return code == 0 && done.reaches(1) ? 0 : 1;
  });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  const auto fills = [&](std::size_t blocks) {
    for (int i = 0; i < 1000 && pages_in_cache(m.a, kRead / 4096) < blocks * 4; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    return pages_in_cache(m.a, kRead / 4096) == blocks * 4;
  };
  m.release_block(0);
  ASSERT_TRUE(progress.reaches(4096));
  EXPECT_TRUE(fills(1));
  m.release_block(1);
  EXPECT_TRUE(fills(2));
  m.release_block(3);
  m.release_block(2);
  EXPECT_TRUE(fills(4));
  m.source->release(kFile);
  EXPECT_TRUE(fills(8));
  done.set(1);
  EXPECT_EQ(reader.exit_code(), 0);
  const std::pair<std::uint64_t, std::uint32_t> expected[] = {{0, kBlockSize},
                                                              {kBlockSize, kBlockSize},
                                                              {2 * kBlockSize, 2 * kBlockSize},
                                                              {4 * kBlockSize, 4 * kBlockSize}};
  const auto pushed = m.source->peeks();
  EXPECT_TRUE(std::equal(pushed.begin(), pushed.end(), std::begin(expected), std::end(expected)));
}

TEST(FuseStraddle, WhatIsHereIsReadThoughTheRestNeverComes) {
  HeldMount m;
  m.source->release(kFile, 0, kMiB + kRead / 2 + 1000);  // ends within a page
  const std::uint64_t here = kMiB + kRead / 2;
  m.source->set_timeout(milliseconds(700));
  const Progress progress;
  Child reader([&] { return read_on(m.a.c_str(), kMiB, 2 * kMiB, progress); });
  EXPECT_EQ(reader.exit_code(), ETIMEDOUT);
  EXPECT_EQ(progress.get(), here);
  Child again([&] { return read_on(m.a.c_str(), kMiB, 2 * kMiB, progress); });
  EXPECT_EQ(again.exit_code(), ETIMEDOUT) << "the next read starts afresh";
  for (const auto& [offset, pushed] : m.source->peeks()) EXPECT_EQ(pushed % 4096, 0U);
  struct stat st {};
  ASSERT_EQ(::stat(m.a.c_str(), &st), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(st.st_size), m.length);
  m.source->release(kFile);
  EXPECT_EQ(read_and_compare(m.a.c_str(), kFile, 0, m.length), 0);
}

TEST(FuseStraddle, AReaderOfMoreThanIsHereCanBeInterruptedAndKilled) {
  for (const int signal : {SIGINT, SIGKILL}) {
    HeldMount m;
    m.source->release(kFile, 0, kBlockSize);
    const Progress progress;
    Child reader([&] {
      struct sigaction action {};
      action.sa_handler = [](int) {};
      ::sigaction(SIGINT, &action, nullptr);
      return read_on(m.a.c_str(), 0, m.length, progress);
    });
    ASSERT_TRUE(progress.reaches(kBlockSize));
    ASSERT_TRUE(m.wait_straddled());
    std::this_thread::sleep_for(milliseconds(100));  // until it waits for the next page
    reader.kill(signal);
    EXPECT_EQ(reader.exit_code(), signal == SIGKILL ? -1 : EINTR);
    EXPECT_TRUE(m.source->wait_parked(0));
    for (int i = 0; i < 500 && m.source->open_handles() > 0; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(m.source->open_handles(), 0U);
    m.source->release(kFile);
    EXPECT_EQ(read_and_compare(m.a.c_str(), kFile, 0, m.length), 0);
  }
}

TEST(FuseStraddle, AFastSourceStraddlesNoRead) {
  mount::FuseOptions options = only_straddle();
  options.straddle_after = seconds(5);  // fast is what takes less
  HeldMount m(options, 16 * kMiB);
  Child reader([&] { return read_and_compare(m.a.c_str(), kFile, 0, m.length); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  for (std::uint64_t block = 0; block * kBlockSize < m.length; ++block) {
    m.release_block(block);
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(reader.exit_code(), 0);
  EXPECT_EQ(m.session->stats().straddled, 0U);
  EXPECT_LE(m.session->stats().reads, 200U) << "READs are whole";
}

TEST(FuseStraddle, AReadOfWhichNothingIsHereStaysWhole) {
  HeldMount m;
  Child reader([&] { return read_and_compare(m.a.c_str(), kFile, 0, m.length); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  m.release_block(1);  // not its start
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(m.session->stats().straddled, 0U);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
}

TEST(FuseStraddle, OnlyTheReadThatItsReaderHasComeToIsGivenBack) {
  HeldMount m;
  m.release_block(kRead / kBlockSize);  // the start of the second READ
  const Progress progress;
  Child reader([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(fd, kRead, kRead, POSIX_FADV_WILLNEED);
    return read_on(m.a.c_str(), 0, 2 * kRead, progress);
  });
  ASSERT_TRUE(m.source->wait_parked_at_least(2));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(m.session->stats().straddled, 0U);
  m.source->release(kFile, 0, kRead);
  EXPECT_TRUE(progress.reaches(kRead + kBlockSize));
  EXPECT_GE(m.session->stats().straddled, 1U);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
}

TEST(FuseStraddle, DirectReadsAreAnsweredWhole) {
  HeldMount m;
  m.source->release(kFile, 0, kBlockSize);
  Child reader([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY | O_DIRECT);
    std::uint8_t* const aligned = direct_buffer();
    const ssize_t n = ::pread(fd, aligned, kRead, 0);
    return n == static_cast<ssize_t>(kRead) ? 0 : n < 0 ? errno : 254;
  });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  EXPECT_EQ(reader.wait(milliseconds(200)), std::nullopt);
  EXPECT_EQ(m.session->stats().straddled, 0U);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
}

TEST(FuseStraddle, IsOneWaitThatEndsWithWhatIsHere) {
  HeldMount m;
  const Progress progress;
  m.source->set_source(ReadSource::peer);
  Child reader([&] { return read_on(m.a.c_str(), 0, m.length, progress); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  std::this_thread::sleep_for(milliseconds(100));
  const auto released = std::chrono::steady_clock::now();
  m.release_block(0);
  ASSERT_TRUE(progress.reaches(kBlockSize));
  ASSERT_TRUE(m.wait_straddled());
  const auto stats = m.session->stats();
  EXPECT_EQ(stats.first_byte.count(), 1U);
  EXPECT_GE(stats.first_byte.within_us(1), 100'000U);
  auto recent = m.session->recent_waits();
  std::erase_if(recent, [](const auto& wait) { return wait.waited < milliseconds(100); });
  ASSERT_EQ(recent.size(), 1U);
  EXPECT_EQ(recent[0].length, kBlockSize);
  EXPECT_EQ(recent[0].offset, 0U);
  EXPECT_EQ(recent[0].error, 0);
  EXPECT_EQ(recent[0].story.source, ReadSource::peer);
  EXPECT_NE(recent[0].story.cause, "");
  // What it asks for next are other waits, and the READ given back is none.
  std::this_thread::sleep_for(milliseconds(50));
  const auto waits = m.session->waits();
  EXPECT_FALSE(waits.empty());
  for (const auto& wait : waits) {
    EXPECT_GE(wait.offset, kBlockSize);
    EXPECT_GE(wait.since, released);
  }
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
}

TEST(FuseStraddle, ReadersAndMappingsAndBlocksAndKillsMayComeAtOnce) {
  mount::FuseOptions options;
  options.straddle_after = milliseconds(1);
  options.expire_after = milliseconds(5);
  for (int round = 0; round < 5; ++round) {
    HeldMount m(options, 2 * kMiB);
    const Progress ignored;
    std::vector<std::unique_ptr<Child>> readers;
    for (unsigned i = 0; i < 6; ++i) {
      readers.push_back(std::make_unique<Child>([&, i] {
        const std::uint64_t begin = i / 2 * (256 << 10);
        return i % 2 == 0 ? read_on(m.a.c_str(), begin, m.length, ignored)
                          : map_on(m.a.c_str(), begin, m.length, ignored);
      }));
    }
    for (std::uint64_t block = 0; block * kBlockSize < m.length; ++block) {
      std::this_thread::sleep_for(milliseconds(3));
      m.release_block(block);
      if (block == 60) readers[0]->kill(SIGKILL);
    }
    EXPECT_EQ(readers[0]->exit_code(seconds(20)), -1);
    for (std::size_t i = 1; i < readers.size(); ++i)
      EXPECT_EQ(readers[i]->exit_code(seconds(20)), 0) << i;
    EXPECT_EQ(read_and_compare(m.a.c_str(), kFile, 0, m.length), 0);
    EXPECT_EQ(m.session->stats().waiting, 0U);
  }
}

TEST(FuseStraddle, UnmountEndsReadersOfMoreThanIsHere) {
  HeldMount m;
  m.source->release(kFile, 0, kBlockSize);
  const Progress progress;
  Child reader([&] { return read_on(m.a.c_str(), 0, m.length, progress); });
  ASSERT_TRUE(progress.reaches(kBlockSize));
  m.session->stop();
  m.session->wait();
  const int code = reader.exit_code();
  EXPECT_TRUE(code == ENOTCONN || code == ECONNABORTED) << code;
  EXPECT_EQ(m.source->parked(), 0U);
}

}  // namespace
}  // namespace swarmfs::test
