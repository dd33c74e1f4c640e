// Figures of the filesystem alone: content from memory, no network. Prints them; judges nothing.
#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "tests/support/fake_mount.h"

namespace {

using namespace swarmfs;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return to_seconds(Clock::now() - start); }

double resident_mib() {
  std::ifstream statm("/proc/self/statm");
  long size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}

double read_rate(const std::string& path) {
  const auto start = Clock::now();
  const int fd = ::open(path.c_str(), O_RDONLY);
  std::vector<char> buffer(128 << 10);
  double bytes = 0;
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    bytes += static_cast<double>(n);
  ::close(fd);
  return bytes / seconds_since(start) / 1e9;
}

void sequential() {
  for (const unsigned threads : {1U, 2U, 4U}) {
    mount::FuseOptions options;
    options.threads = threads;
    test::FakeMount m({{"a", 1 << 30}}, options);
    const double cold = read_rate(m.path("a"));
    std::printf("sequential, %u threads: cold %.2f GB/s, warm %.2f GB/s\n", threads, cold,
                read_rate(m.path("a")));
  }
}

void random_reads() {
  test::FakeMount m({{"a", std::uint64_t{4} << 30}});
  const int fd = ::open(m.path("a").c_str(), O_RDONLY);
  std::mt19937_64 rng(1);
  std::vector<double> us;
  char page[4096];
  for (int i = 0; i < 50'000; ++i) {
    const auto start = Clock::now();
    const auto at = static_cast<off_t>(rng() % (1 << 20) * 4096);
    if (::pread(fd, page, sizeof page, at) != sizeof page) std::abort();
    us.push_back(seconds_since(start) * 1e6);
  }
  ::close(fd);
  std::sort(us.begin(), us.end());
  std::printf("cold random 4 KiB: p50 %.1f us, p99 %.1f us\n", us[us.size() / 2],
              us[us.size() * 99 / 100]);
}

void listing() {
  const double before = resident_mib();
  fs::Tree tree(0);
  fs::TorrentSpec spec;
  spec.name = "t";
  std::vector<std::uint64_t> lengths;
  for (std::uint32_t i = 0; i < 61'000; ++i) {
    auto& file = spec.files.emplace_back();
    file.path = {"folder " + std::to_string(i % 2000), "a file of some name " + std::to_string(i)};
    file.length = 1000;
    file.index = FileIndex{i};
    lengths.push_back(1000);
  }
  spec.source = std::make_shared<test::FakeSource>(lengths);
  if (!tree.add_torrent(std::move(spec))) std::abort();
  std::printf("tree of 61,000 files in 2,000 folders: %.1f MiB\n", resident_mib() - before);
  test::TempFolder folder;
  auto session = mount::FuseSession::mount(folder.path(), tree, {});
  if (!session) std::abort();
  (*session)->start();
  for (const char* which : {"cold", "again"}) {
    const auto start = Clock::now();
    if (std::system(("find " + folder.path() + " -ls | wc -l").c_str()) != 0) std::abort();
    std::printf("find -ls, %s: %.2f s\n", which, seconds_since(start));
  }
}

/// Content comes 400 ms after it is asked for: longer than a READ stays unexpired.
void slow_pieces() {
  for (const auto expire_after : {Duration(std::chrono::milliseconds(300)), Duration(std::chrono::hours(1))}) {
    mount::FuseOptions options;
    options.expire_after = expire_after;
    test::FakeMount m({{"a", 16 << 20}}, options);
    std::atomic<bool> done{false};
    std::thread feeder([&] {
      while (!done) {
        m.source->hold(FileIndex{0}, 0, 16 << 20);
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        m.source->release(FileIndex{0});
      }
    });
    const double rate = read_rate(m.path("a"));
    std::printf("a round of pieces each 400 ms, expiry %s: %.3f MB/s, %llu expired, %llu READs\n",
                expire_after < std::chrono::minutes(1) ? "300 ms" : "never", rate * 1000,
                static_cast<unsigned long long>(m.session->stats().expired),
                static_cast<unsigned long long>(m.session->stats().reads));
    done = true;
    feeder.join();
  }
}

}  // namespace

int main() {
  listing();
  sequential();
  random_reads();
  slow_pieces();
}
