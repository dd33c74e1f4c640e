// What a read that waits must not do to anybody else, and what must be able to end it.
#include <sys/mman.h>

#include <atomic>
#include <utility>

#include "tests/support/fake_mount.h"
#include "tests/support/waiting_mount.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;

mount::FuseOptions never_expire() {
  mount::FuseOptions options;
  options.expire_after = std::chrono::hours(1);
  return options;
}

void ignore_signal(int) {}

void handle_sigint() {
  struct sigaction action {};
  action.sa_handler = ignore_signal;
  ::sigaction(SIGINT, &action, nullptr);
}

TEST(FuseHang, SecondOpenOfAFileWithAWaitingReadReturns) {
  WaitingMount m;
  Child reader([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  Child second([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY);
    struct stat st {};
    return fd < 0 || ::fstat(fd, &st) != 0 || ::close(fd) != 0 ? 1 : 0;
  });
  EXPECT_EQ(second.exit_code(seconds(5)), 0);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
}

TEST(FuseHang, ManyReadersWaitingOnOneFileDoNotBlockAnother) {
  WaitingMount m;
  std::vector<std::unique_ptr<Child>> readers;
  for (std::uint64_t i = 0; i < 64; ++i)
    readers.push_back(std::make_unique<Child>([&, i] { return m.read_a(i * kMiB, 256 << 10); }));
  ASSERT_TRUE(m.source->wait_parked_at_least(64));
  Child other([&] { return m.read_b(); });
  EXPECT_EQ(other.exit_code(seconds(5)), 0);
  Child lister([&] {
    struct stat st {};
    return ::stat(m.a.c_str(), &st) == 0 ? 0 : 1;
  });
  EXPECT_EQ(lister.exit_code(seconds(5)), 0);
  m.source->release(kFile);
  for (auto& reader : readers) EXPECT_EQ(reader->exit_code(), 0);
}

TEST(FuseHang, KilledReaderDiesAndItsDemandGoes) {
  for (const Duration expire_after :
       {Duration(milliseconds(50)), Duration(std::chrono::hours(1))}) {
    mount::FuseOptions options;
    options.expire_after = expire_after;
    WaitingMount m(options);
    Child reader([&] { return m.read_a(0, kMiB); });
    ASSERT_TRUE(m.source->wait_parked_at_least(1));
    std::this_thread::sleep_for(milliseconds(300));
    reader.kill(SIGKILL);
    EXPECT_EQ(reader.exit_code(seconds(5)), -1);
    EXPECT_TRUE(m.source->wait_parked(0));
    // The handle is gone too: RELEASE waits for the READs.
    for (int i = 0; i < 500 && m.source->open_handles() > 0; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(m.source->open_handles(), 0U);
  }
}

TEST(FuseHang, KillingOneReaderLeavesAnotherOfTheSamePageWaiting) {
  WaitingMount m(never_expire());
  Child first([&] { return m.read_a(); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  Child second([&] { return m.read_a(); });
  EXPECT_EQ(second.wait(milliseconds(200)), std::nullopt);
  first.kill(SIGKILL);
  EXPECT_EQ(first.exit_code(seconds(5)), -1);
  ASSERT_TRUE(m.source->wait_parked_at_least(1));  // the second asks for itself
  m.source->release(kFile);
  EXPECT_EQ(second.exit_code(), 0);
}

TEST(FuseHang, ReaderWithASignalHandlerCanBeInterrupted) {
  WaitingMount m;
  Child reader([&] {
    handle_sigint();
    return m.read_a(0, kMiB);
  });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  reader.kill(SIGINT);
  EXPECT_EQ(reader.exit_code(seconds(5)), EINTR);
  EXPECT_TRUE(m.source->wait_parked(0));
}

TEST(FuseHang, SmallFileReaderWithASignalHandlerCanBeInterrupted) {
  FakeMount m({{"small", 100}});
  m.source->hold(kFile, 0, 100);
  const std::string path = m.path("small");
  Child reader([&] {
    handle_sigint();
    return read_and_compare(path.c_str(), kFile, 0, 100);
  });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  std::this_thread::sleep_for(milliseconds(600));
  reader.kill(SIGINT);
  EXPECT_EQ(reader.exit_code(seconds(5)), EINTR);
}

TEST(FuseHang, DirectReaderCanBeInterruptedAndKilled) {
  for (const int signal : {SIGINT, SIGKILL}) {
    WaitingMount m(never_expire());
    Child reader([&] {
      handle_sigint();
      const int fd = ::open(m.a.c_str(), O_RDONLY | O_DIRECT);
      std::uint8_t* const aligned = direct_buffer();
      return ::pread(fd, aligned, 256 << 10, 0) < 0 ? errno : 0;
    });
    ASSERT_TRUE(m.source->wait_parked_at_least(1));
    reader.kill(signal);
    EXPECT_EQ(reader.exit_code(seconds(5)), signal == SIGKILL ? -1 : EINTR);
    EXPECT_TRUE(m.source->wait_parked(0));
  }
}

TEST(FuseHang, ReaderOfADiskThatHangsCanBeInterruptedAndKilled) {
  for (const int flags : {0, O_DIRECT}) {
    for (const int signal : {SIGINT, SIGKILL}) {
      WaitingMount m;
      m.source->wait_as_disks_do();
      Child reader([&] {
        handle_sigint();
        const int fd = ::open(m.a.c_str(), O_RDONLY | flags);
        return ::pread(fd, direct_buffer(), 64 << 10, 0) < 0 ? errno : 0;
      });
      ASSERT_TRUE(m.source->wait_parked_at_least(1));
      std::this_thread::sleep_for(milliseconds(500));
      reader.kill(signal);
      EXPECT_EQ(reader.exit_code(seconds(5)), signal == SIGKILL ? -1 : EINTR) << flags;
      m.source->release(kFile);
      EXPECT_EQ(m.read_a(), 0);
    }
  }
}

TEST(FuseHang, ADiskThatHangsIsWaitedForNoLongerThanPeersAre) {
  mount::FuseOptions options;
  options.disk_timeout = milliseconds(1500);  // longer than READs take to be given back
  WaitingMount m(options);
  m.source->wait_as_disks_do();
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Child>> readers;
  for (const int flags : {0, O_DIRECT})
    readers.push_back(std::make_unique<Child>([&m, flags] {
      const int fd = ::open(m.a.c_str(), O_RDONLY | flags);
      return ::pread(fd, direct_buffer(), 64 << 10, flags == 0 ? 0 : 8 * kMiB) < 0 ? errno : 0;
    }));
  for (const auto& reader : readers) EXPECT_EQ(reader->exit_code(seconds(20)), ETIMEDOUT);
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(1500));
  EXPECT_EQ(m.session->stats().waiting, 0U);
  EXPECT_EQ(m.read_b(), 0) << "another file";
  m.source->release(kFile);  // answers nobody any more
  EXPECT_EQ(m.read_a(), 0);
}

TEST(FuseHang, ExpiryIsNeverSeenByAReaderOrAMapping) {
  mount::FuseOptions options;
  options.expire_after = milliseconds(30);
  WaitingMount m(options);
  Child reader([&] { return m.read_a(0, 4 * kMiB); });
  Child random_mapping([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY);
    void* map = ::mmap(nullptr, 64 * kMiB, PROT_READ, MAP_SHARED, fd, 0);
    ::madvise(map, 64 * kMiB, MADV_RANDOM);  // then a fault is a READ of its own, not read-ahead
    const auto* bytes = static_cast<const volatile std::uint8_t*>(map);
    return bytes[20 * kMiB] == Pattern::at(kFile, 20 * kMiB) ? 0 : 1;
  });
  Child mapping([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY);
    void* map = ::mmap(nullptr, 64 * kMiB, PROT_READ, MAP_SHARED, fd, 0);
    const auto* bytes = static_cast<const volatile std::uint8_t*>(map);
    return bytes[40 * kMiB] == Pattern::at(kFile, 40 * kMiB) ? 0 : 1;
  });
  Child direct([&] {
    const int fd = ::open(m.a.c_str(), O_RDONLY | O_DIRECT);
    std::uint8_t* const aligned = direct_buffer();
    const ssize_t n = ::pread(fd, aligned, 64 << 10, 50 * kMiB);
    return n == (64 << 10) ? 0 : errno;
  });
  std::this_thread::sleep_for(milliseconds(800));  // several scans
  EXPECT_GE(m.session->stats().expired, 2U);
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  EXPECT_EQ(random_mapping.exit_code(), 0);
  EXPECT_EQ(mapping.exit_code(), 0);
  EXPECT_EQ(direct.exit_code(), 0);
}

TEST(FuseHang, PageBesideAHoleIsDeliveredThoughTheRestOfItsReadIsMissing) {
  FakeMount m({{"a", 4 * kMiB}});
  m.source->hold(kFile, kMiB, 2 * kMiB);
  const std::string path = m.path("a");
  Child mapping([&] {
    const int fd = ::open(path.c_str(), O_RDONLY);
    void* map = ::mmap(nullptr, 4 * kMiB, PROT_READ, MAP_SHARED, fd, 0);
    const auto* bytes = static_cast<const volatile std::uint8_t*>(map);
    return bytes[kMiB - 1] == Pattern::at(kFile, kMiB - 1) ? 0 : 1;
  });
  EXPECT_EQ(mapping.exit_code(seconds(5)), 0);
}

TEST(FuseHang, WhatWasExpiredIsPushedOnceItComes) {
  mount::FuseOptions options;
  options.expire_after = milliseconds(30);
  WaitingMount m(options);
  Child reader([&] { return m.read_a(0, 4 * kMiB); });
  for (int i = 0; i < 500 && m.session->stats().expired == 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  // Page by page would be more than 1,000 READs.
  EXPECT_LE(m.session->stats().reads, 200U);
}

TEST(FuseHang, CloseOfOneDescriptorLeavesTheNextReadOfItsTwinAlone) {
  WaitingMount m(never_expire());
  std::atomic<bool> done{false};
  std::thread feeder([&] {
    while (!done) {
      m.source->hold(kFile, 0, 64 * kMiB);
      std::this_thread::sleep_for(milliseconds(2));
      m.source->release(kFile);
    }
  });
  std::vector<std::unique_ptr<Child>> readers;
  for (unsigned i = 0; i < 8; ++i) {
    readers.push_back(std::make_unique<Child>([&] {
      int fd = ::open(m.a.c_str(), O_RDONLY | O_DIRECT);
      for (unsigned n = 0; n < 400; ++n) {
        const int twin = ::dup(fd);
        ::close(std::exchange(fd, twin));
        const std::uint64_t at = n % 1000 * (64 << 10);
        if (::pread(fd, direct_buffer(), 4096, static_cast<off_t>(at)) != 4096) return errno;
        if (*direct_buffer() != Pattern::at(kFile, at)) return 255;
      }
      return 0;
    }));
  }
  for (auto& reader : readers) EXPECT_EQ(reader->exit_code(seconds(60)), 0);
  done = true;
  feeder.join();
}

TEST(FuseHang, InterruptsAndDataAndKillsMayComeAtOnce) {
  mount::FuseOptions options;
  options.expire_after = milliseconds(1);
  WaitingMount m(options);
  handle_sigint();  // for the children
  std::atomic<bool> done{false};
  std::thread feeder([&] {
    while (!done) {
      m.source->hold(kFile, 0, 64 * kMiB);
      std::this_thread::sleep_for(milliseconds(3));
      m.source->release(kFile);
    }
  });
  for (int round = 0; round < 12; ++round) {
    std::vector<std::unique_ptr<Child>> readers;
    for (unsigned i = 0; i < 8; ++i) {
      readers.push_back(std::make_unique<Child>([&, i] {
        const int fd = ::open(m.a.c_str(), O_RDONLY | O_DIRECT);  // every READ can be interrupted
        std::uint8_t* const aligned = direct_buffer();
        for (unsigned n = 0; n < 200; ++n) {
          const std::uint64_t at = (i * 211 + n * 17) % 1000 * (64 << 10);
          const ssize_t got = ::pread(fd, aligned, 64 << 10, static_cast<off_t>(at));
          if (got < 0 && errno != EINTR) return errno;
          if (got >= 0 && *aligned != Pattern::at(kFile, at)) return 255;
        }
        return 0;
      }));
    }
    for (int n = 0; n < 40; ++n) {
      for (auto& reader : readers) reader->kill(SIGINT);
      std::this_thread::sleep_for(milliseconds(1));
    }
    if (round % 3 == 0) readers[0]->kill(SIGKILL);
    for (std::size_t i = round % 3 == 0 ? 1 : 0; i < readers.size(); ++i)
      EXPECT_EQ(readers[i]->exit_code(seconds(20)), 0);
  }
  done = true;
  feeder.join();
  EXPECT_GT(m.session->stats().interrupted, 0U);
  m.source->release(kFile);
  EXPECT_EQ(m.read_a(0, 8 * kMiB), 0);
}

}  // namespace
}  // namespace swarmfs::test
