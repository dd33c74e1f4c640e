// What is kept of reads through the real kernel: where answers came from and how long they took,
// which reads wait, and which have waited.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

constexpr FileIndex kFile{0};
constexpr std::uint64_t kMiB = 1 << 20;

std::uint64_t count(const mount::FuseStats& stats, ReadSource source) {
  return stats.latency[static_cast<std::size_t>(source)].count();
}

TEST(FuseWaits, CountsReadsByWhereTheirBytesCameFrom) {
  FakeMount m({{"a", kMiB}, {"b", kMiB}, {"c", kMiB}});
  const std::pair<const char*, ReadSource> rows[] = {
      {"a", ReadSource::memory}, {"b", ReadSource::disk}, {"c", ReadSource::peer}};
  std::uint32_t file = 0;
  for (const auto& [name, source] : rows) {
    m.source->set_source(source);
    EXPECT_EQ(read_and_compare(m.path(name).c_str(), FileIndex{file++}, 0, kMiB), 0);
  }
  const auto stats = m.session->stats();
  for (const auto& [name, source] : rows) EXPECT_GE(count(stats, source), 8U) << name;
  EXPECT_EQ(stats.reads, count(stats, ReadSource::memory) + count(stats, ReadSource::disk) +
                             count(stats, ReadSource::peer));
  EXPECT_EQ(stats.first_byte.count(), 3U) << "one for each open file";
}

TEST(FuseWaits, TimesTheFirstByteOfAnOpenFileFromItsFirstRead) {
  FakeMount m({{"a", kMiB}});
  m.source->hold(kFile, 0, kMiB);
  const std::string path = m.path("a");
  Child reader([&] { return read_and_compare(path.c_str(), kFile, 0, kMiB); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  // Longer than a READ may stay unanswered before the kernel gets it back to ask again.
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  const auto stats = m.session->stats();
  EXPECT_EQ(stats.first_byte.count(), 1U);
  EXPECT_GE(stats.first_byte.within_us(0.5), 600'000U);
  EXPECT_GE(stats.latency[0].within_us(1), 600'000U) << "asked again, it is still the same wait";
  const auto recent = m.session->recent_waits();
  EXPECT_TRUE(std::any_of(recent.begin(), recent.end(), [](const auto& wait) {
    return wait.waited >= std::chrono::milliseconds(590);
  }));
}

TEST(FuseWaits, ListsWhoWaitsForWhat) {
  FakeMount m({{"a", 4 * kMiB}});
  EXPECT_TRUE(m.session->waits().empty());
  m.source->hold(kFile, 2 * kMiB, 3 * kMiB);
  const std::string path = m.path("a");
  Child reader([&] { return read_and_compare(path.c_str(), kFile, 2 * kMiB, 4096); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  std::vector<mount::WaitingRead> waits;
  for (int i = 0; i < 500 && waits.empty(); ++i) {
    waits = m.session->waits();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ASSERT_FALSE(waits.empty());
  EXPECT_EQ(waits[0].source, m.source.get());
  EXPECT_EQ(waits[0].offset, 2 * kMiB);
  EXPECT_EQ(waits[0].tid, reader.pid());
  EXPECT_EQ(m.tree.path(waits[0].ino), "t/a");
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  EXPECT_TRUE(m.session->waits().empty());
}

TEST(FuseWaits, TellsWhichProgramAThreadThatReadsIsOf) {
  FakeMount m({{"a", 4 * kMiB}, {"b", 4 * kMiB}});
  m.source->hold(kFile, 0, 4 * kMiB);
  m.source->hold(FileIndex{1}, 0, 4 * kMiB);
  const std::string path = m.path("a"), other_path = m.path("b");
  // O_DIRECT: each read is one request, of the thread itself.
  const auto read_at = [](const std::string& file, std::uint64_t offset) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    alignas(4096) char buffer[4096];
    const ssize_t n = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(offset));
    ::close(fd);
    return n == sizeof buffer;
  };
  Child single([&] { return read_at(other_path, 0) ? 0 : 1; });
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i)
    threads.emplace_back([&, i] { good += read_at(path, i * kMiB) ? 1 : 0; });
  EXPECT_TRUE(m.source->wait_parked(4));
  const auto id = [](pid_t pid) { return ReaderId(static_cast<std::uint64_t>(pid)); };
  const auto readers = m.source->parked_readers();
  EXPECT_EQ(readers.count(id(::getpid())), 3U);
  EXPECT_EQ(readers.count(id(single.pid())), 1U);
  m.source->release(kFile);
  m.source->release(FileIndex{1});
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 3);
  EXPECT_EQ(single.exit_code(), 0);
}

TEST(FuseWaits, KeepsReadsThatWaitedAndNoOthers) {
  FakeMount m({{"a", 4 * kMiB}});
  const std::string path = m.path("a");
  EXPECT_EQ(read_and_compare(path.c_str(), kFile, 0, 4096), 0);
  EXPECT_TRUE(m.session->recent_waits().empty()) << "it did not wait";
  m.source->set_source(ReadSource::peer);
  m.source->hold(kFile, 2 * kMiB, 3 * kMiB);
  Child reader([&] { return read_and_compare(path.c_str(), kFile, 2 * kMiB, 4096); });
  ASSERT_TRUE(m.source->wait_parked_at_least(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  m.source->release(kFile);
  EXPECT_EQ(reader.exit_code(), 0);
  const auto recent = m.session->recent_waits();
  ASSERT_FALSE(recent.empty());
  const mount::PastWait& last = recent.back();
  EXPECT_EQ(last.error, 0);
  EXPECT_EQ(last.offset, 2 * kMiB);
  EXPECT_EQ(last.tid, reader.pid());
  EXPECT_GE(last.waited, std::chrono::milliseconds(40));
  EXPECT_EQ(last.story.source, ReadSource::peer);
  EXPECT_EQ(last.story.cause, "waited as the test wished");
}

TEST(FuseWaits, KeepsTheErrnoAndTheCauseOfReadsThatFailed) {
  FakeMount m({{"a", 4 * kMiB}});
  const std::string path = m.path("a");
  m.source->hold(kFile, 0, 4 * kMiB);
  m.source->set_timeout(std::chrono::milliseconds(700));
  Child reader([&] { return read_and_compare(path.c_str(), kFile, kMiB, 4096); });
  EXPECT_EQ(reader.exit_code(), ETIMEDOUT);
  const auto recent = m.session->recent_waits();
  ASSERT_FALSE(recent.empty());
  EXPECT_EQ(recent.front().error, ETIMEDOUT);
  EXPECT_EQ(recent.front().story.cause, "nothing came");
  EXPECT_GE(m.session->stats().errors, 1U);
}

TEST(WaitRing, IsBoundedAndHasTheNewestFirst) {
  mount::WaitRing ring;
  for (unsigned i = 0; i < 3 * mount::WaitRing::kKept; ++i) {
    mount::PastWait wait;
    wait.offset = i;
    ring.note(std::move(wait));
  }
  const auto recent = ring.recent();
  ASSERT_EQ(recent.size(), mount::WaitRing::kKept);
  EXPECT_EQ(recent.front().offset, 3 * mount::WaitRing::kKept - 1);
  EXPECT_EQ(recent.back().offset, 2 * mount::WaitRing::kKept);
}

}  // namespace
}  // namespace swarmfs::test
