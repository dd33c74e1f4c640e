// Figures of the filesystem alone: content from memory, no network. Prints them; judges nothing.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>
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

/// Every 256 KiB piece is here from 400 ms after it is first asked for, by a read or a window of
/// at most 1 MiB: longer than a READ stays unexpired.
class SlowSource final : public ContentSource {
 public:
  SlowSource() : thread_([this] { run(); }) {}
  ~SlowSource() override {
    ends_ = true;
    thread_.join();
  }
  ReadId read(const ReadRequest& r, ReadDone done, ReadPart) override {
    {
      const std::lock_guard lock(mutex_);
      const auto due = ask(r.offset, r.offset + r.length);
      if (due > Clock::now()) {
        parked_.emplace(++last_, Parked{r, std::move(done), due});
        return ReadId{last_};
      }
    }
    done(content(r), {});
    return ReadId{0};
  }
  void cancel(ReadId id) override {
    std::unique_lock lock(mutex_);
    auto node = parked_.extract(id.value);
    lock.unlock();
    if (!node.empty()) node.mapped().done(fail(ErrorKind::cancelled, "cancelled"), {});
  }
  std::optional<Content> peek(FileIndex file, std::uint64_t offset, std::uint32_t length) override {
    return content({file, offset, length, {}});
  }
  void set_window(HandleId, FileIndex, std::uint64_t begin, std::uint64_t end, double) override {
    const std::lock_guard lock(mutex_);
    if (end > begin) ask(begin, std::min(end, begin + (1 << 20)));
  }
  void close(HandleId) override {}
  std::uint64_t bytes_here(FileIndex) const override { return 0; }
  std::uint64_t changes() const override { return 0; }
  std::string piece_map(FileIndex) const override { return ""; }

 private:
  struct Parked {
    ReadRequest request;
    ReadDone done;
    TimePoint due;
  };
  TimePoint ask(std::uint64_t begin, std::uint64_t end) {
    TimePoint due{};
    for (std::uint64_t piece = begin >> 18; piece << 18 < end; ++piece) {
      const auto arrival = Clock::now() + std::chrono::milliseconds(400);
      due = std::max(due, arrivals_.try_emplace(piece, arrival).first->second);
    }
    return due;
  }
  static Content content(const ReadRequest& r) {
    return {{nullptr, test::Pattern::view(r.file, r.offset, r.length)}};
  }
  void run() {
    while (!ends_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::vector<Parked> due;
      {
        const std::lock_guard lock(mutex_);
        std::erase_if(parked_, [&](auto& p) {
          if (p.second.due > Clock::now()) return false;
          due.push_back(std::move(p.second));
          return true;
        });
      }
      for (auto& p : due) p.done(content(p.request), {});
    }
  }
  std::mutex mutex_;
  std::map<std::uint64_t, TimePoint> arrivals_;
  std::map<std::uint64_t, Parked> parked_;
  std::uint64_t last_ = 0;
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

void slow_pieces() {
  for (const bool expires : {false, true, false, true}) {
    mount::FuseOptions options;
    if (!expires) options.expire_after = std::chrono::hours(1);
    fs::Tree tree(0);
    fs::TorrentSpec spec;
    spec.name = "x";
    spec.single_file = true;
    spec.files.emplace_back().length = 16 << 20;
    spec.source = std::make_shared<SlowSource>();
    if (!tree.add_torrent(std::move(spec))) std::abort();
    test::TempFolder folder;
    auto session = mount::FuseSession::mount(folder.path(), tree, options);
    if (!session) std::abort();
    (*session)->start();
    const double rate = read_rate(folder.path() + "/x");
    const auto stats = (*session)->stats();
    std::printf("pieces 400 ms after being asked for, expiry %s: %.2f MB/s, %llu of %llu READs\n",
                expires ? "300 ms" : "never", rate * 1000,
                static_cast<unsigned long long>(stats.expired),
                static_cast<unsigned long long>(stats.reads));
  }
}

}  // namespace

int main() {
  slow_pieces();
  listing();
  sequential();
  random_reads();
}
