// Signals to whoever waits for what is not here, in every way that a program can wait for it.
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <iterator>
#include <utility>

#include "tests/support/fake_mount.h"
#include "tests/support/sanitized.h"

namespace swarmfs::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr std::uint64_t kMiB = 1 << 20;

/// Exit codes of a reader in the handler of that signal.
constexpr int kSigbus = 250, kHandled = 251;
/// What is promised of a quiet machine, times what a busy one with sanitizers may add to it.
constexpr int kSlack = kSanitized ? 10 : 3;

void ignore_signal(int) {}
void exit_on_sigbus(int) { ::_exit(kSigbus); }
void exit_on_sigint(int) { ::_exit(kHandled); }

void handle(int signal, void (*handler)(int), int flags = 0) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

/// Each waits for the first bytes of the file and returns 0 for the right ones, else the errno.
using Wait = int (*)(int fd, FileIndex file);

int result(ssize_t n, const void* bytes, FileIndex file) {
  if (n < 0) return errno;
  return n > 0 && *static_cast<const std::uint8_t*>(bytes) == Pattern::at(file, 0) ? 0 : 255;
}
int by_pread(int fd, FileIndex file) {
  static char buffer[256 << 10];
  return result(::pread(fd, buffer, sizeof buffer, 0), buffer, file);
}
int by_small_pread(int fd, FileIndex file) {
  char buffer[100];
  return result(::pread(fd, buffer, sizeof buffer, 0), buffer, file);
}
int by_preadv(int fd, FileIndex file) {
  char first[10], second[5000];
  const iovec iov[] = {{first, sizeof first}, {second, sizeof second}};
  return result(::preadv(fd, iov, 2, 0), first, file);
}
int by_mapping(int fd, FileIndex file) {
  void* const map = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  return result(1, map, file);
}
int by_random_mapping(int fd, FileIndex file) {
  void* const map = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  ::madvise(map, 4096, MADV_RANDOM);  // a READ of one page, not of read-ahead
  return result(1, map, file);
}
int by_sendfile(int fd, FileIndex file) {
  const int out = ::memfd_create("out", 0);
  if (::sendfile(out, fd, nullptr, 4096) < 0) return errno;
  char byte = 0;
  return result(::pread(out, &byte, 1, 0), &byte, file);
}
int by_splice(int fd, FileIndex file) {
  int pipe[2];
  char byte = 0;
  if (::pipe(pipe) != 0) return 254;
  if (::splice(fd, nullptr, pipe[1], nullptr, 4096, 0) < 0) return errno;
  return result(::read(pipe[0], &byte, 1), &byte, file);
}
int by_direct(int fd, FileIndex file) {
  ::fcntl(fd, F_SETFL, O_DIRECT);
  return result(::pread(fd, direct_buffer(), 256 << 10, 0), direct_buffer(), file);
}

const std::pair<const char*, Wait> kWaits[] = {
    {"pread", by_pread},       {"small pread", by_small_pread},
    {"preadv", by_preadv},     {"mapping", by_mapping},
    {"sendfile", by_sendfile}, {"random mapping", by_random_mapping},
    {"splice", by_splice},     {"direct", by_direct}};

constexpr std::size_t kKinds = std::size(kWaits);

bool is_mapping(std::size_t kind) {
  return kWaits[kind].second == by_mapping || kWaits[kind].second == by_random_mapping;
}

/// A reader of each kind, each of a file of its own.
struct WaitingReaders : FakeMount {
  explicit WaitingReaders(void (*on_sigint)(int), int flags = 0) : FakeMount(files()) {
    for (std::uint32_t i = 0; i < kKinds; ++i) {
      paths.push_back(path(std::to_string(i)));
      source->hold(FileIndex{i}, 0, 4 * kMiB);
      readers.push_back(std::make_unique<Child>([this, i, on_sigint, flags] {
        handle(SIGBUS, exit_on_sigbus);
        if (on_sigint != nullptr) handle(SIGINT, on_sigint, flags);
        return kWaits[i].second(::open(paths[i].c_str(), O_RDONLY), FileIndex{i});
      }));
      EXPECT_TRUE(source->wait_parked_at_least(i + 1)) << kWaits[i].first;
    }
  }
  static Files files() {
    Files files;
    for (std::size_t i = 0; i < kKinds; ++i) files.emplace_back(std::to_string(i), 4 * kMiB);
    return files;
  }
  /// Expects that the signal ends the reader with that code in that time.
  void expect_ended(std::size_t kind, int signal, int code, Duration promised) {
    const auto start = std::chrono::steady_clock::now();
    readers[kind]->kill(signal);
    EXPECT_EQ(readers[kind]->exit_code(seconds(20)), code) << kWaits[kind].first;
    EXPECT_LE(std::chrono::steady_clock::now() - start, promised * kSlack) << kWaits[kind].first;
  }
  void release_all() {
    for (std::uint32_t i = 0; i < kKinds; ++i) source->release(FileIndex{i});
  }
  std::vector<std::string> paths;
  std::vector<std::unique_ptr<Child>> readers;
};

/// Before and after what they asked for has been given back to be asked for again.
constexpr Duration kMoments[] = {milliseconds(20), milliseconds(700)};

TEST(FuseSignal, FatalSignalsEndEveryKindOfWaitAndItsDemand) {
  for (const int signal : {SIGKILL, SIGINT}) {
    for (const auto moment : kMoments) {
      WaitingReaders m(nullptr);
      std::this_thread::sleep_for(moment);
      for (std::size_t kind = 0; kind < kKinds; ++kind)
        m.expect_ended(kind, signal, -1, milliseconds(100));
      EXPECT_TRUE(m.source->wait_parked(0)) << "somebody still asks for what nobody waits for";
    }
  }
}

TEST(FuseSignal, AHandlerEndsEveryKindOfCallWithEintr) {
  for (const auto& [moment, flags] :
       {std::pair{kMoments[0], 0}, {kMoments[1], 0}, {kMoments[1], SA_RESTART}}) {
    WaitingReaders m(ignore_signal, flags);
    std::this_thread::sleep_for(moment);
    for (std::size_t kind = 0; kind < kKinds; ++kind)
      if (!is_mapping(kind)) m.expect_ended(kind, SIGINT, EINTR, milliseconds(400));
    m.release_all();
    for (std::uint32_t kind = 0; kind < kKinds; ++kind) {
      struct stat st {};
      EXPECT_EQ(::stat(m.paths[kind].c_str(), &st), 0);
      EXPECT_EQ(st.st_size, static_cast<off_t>(4 * kMiB)) << kWaits[kind].first;
      EXPECT_EQ(read_and_compare(m.paths[kind].c_str(), FileIndex{kind}, 0, 4 * kMiB), 0);
    }
    for (std::size_t kind = 0; kind < kKinds; ++kind)
      if (is_mapping(kind)) {
        EXPECT_EQ(m.readers[kind]->exit_code(), 0) << kWaits[kind].first;
      }
    EXPECT_TRUE(m.source->wait_parked(0));
  }
}

TEST(FuseSignal, AHandlerRunsDuringAPageFault) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer keeps handlers back until a system call";
#endif
  for (const auto moment : kMoments) {
    WaitingReaders m(exit_on_sigint);
    std::this_thread::sleep_for(moment);
    for (std::size_t kind = 0; kind < kKinds; ++kind)
      if (is_mapping(kind)) m.expect_ended(kind, SIGINT, kHandled, milliseconds(400));
  }
}

TEST(FuseSignal, APageFaultGoesOnThroughATimerThatNeverRests) {
  FakeMount m({{"a", 4 * kMiB}});
  m.source->hold(FileIndex{0}, 0, 4 * kMiB);
  const std::string path = m.path("a");
  std::vector<std::unique_ptr<Child>> readers;
  for (const Wait wait : {by_mapping, by_random_mapping}) {
    readers.push_back(std::make_unique<Child>([&path, wait] {
      handle(SIGBUS, exit_on_sigbus);
      handle(SIGALRM, ignore_signal);
      const itimerval often = {{0, 5000}, {0, 5000}};
      ::setitimer(ITIMER_REAL, &often, nullptr);
      return wait(::open(path.c_str(), O_RDONLY), FileIndex{0});
    }));
  }
  for (auto& reader : readers) EXPECT_EQ(reader->wait(milliseconds(800)), std::nullopt);
  m.source->release(FileIndex{0});
  for (auto& reader : readers) EXPECT_EQ(reader->exit_code(), 0);
}

TEST(FuseSignal, APageFaultThatTimesOutRaisesSigbusAndTheNextOneSucceeds) {
  FakeMount m({{"a", 4 * kMiB}});
  m.source->hold(FileIndex{0}, 0, 4 * kMiB);
  m.source->set_timeout(milliseconds(500));
  const std::string path = m.path("a");
  for (const Wait wait : {by_mapping, by_random_mapping}) {
    Child reader([&] {
      handle(SIGBUS, exit_on_sigbus);
      return wait(::open(path.c_str(), O_RDONLY), FileIndex{0});
    });
    EXPECT_EQ(reader.exit_code(seconds(20)), kSigbus);
  }
  m.source->release(FileIndex{0});
  Child reader([&] { return by_mapping(::open(path.c_str(), O_RDONLY), FileIndex{0}); });
  EXPECT_EQ(reader.exit_code(), 0);
}

}  // namespace
}  // namespace swarmfs::test
