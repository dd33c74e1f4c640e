// Small files read one after the other: what is wanted ahead of them lies in the files behind.
#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

constexpr std::uint64_t kLength = 32 << 10;
constexpr std::uint32_t kFiles = 200;

class FuseRunTest : public testing::Test {
 protected:
  void SetUp() override {
    m.source->set_order(256 << 10);
    m.source->set_bytes_here(kLength - 1);  // of each, which still arrive
  }
  static FakeMount::Files files() {
    FakeMount::Files files;
    for (std::uint32_t i = 0; i < kFiles; ++i) files.emplace_back("f" + std::to_string(i), kLength);
    return files;
  }
  int read(std::uint32_t file) const {
    return read_and_compare(m.path("f" + std::to_string(file)).c_str(), FileIndex{file}, 0,
                            kLength);
  }
  /// Whether the last window told is empty within `at_most`.
  bool wants_nothing(Duration at_most) const {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (std::chrono::steady_clock::now() < end) {
      const auto windows = m.source->windows();
      if (!windows.empty() && windows.back().begin == windows.back().end) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  FakeMount m{files()};
};

TEST_F(FuseRunTest, FilesInOrderOpenAWindowOverThoseBehindThem) {
  for (std::uint32_t i = 0; i < 7; ++i) ASSERT_EQ(read(i), 0);
  EXPECT_TRUE(m.source->windows().empty());  // a few files are no run
  for (std::uint32_t i = 7; i < 40; ++i) ASSERT_EQ(read(i), 0);
  const auto windows = m.source->windows();
  ASSERT_FALSE(windows.empty());
  EXPECT_EQ(windows.front().begin, 8 * kLength);
  EXPECT_EQ(windows.front().end, 8 * kLength + (1 << 20));
  for (const auto& window : windows) EXPECT_EQ(window.handle, windows.front().handle);
  EXPECT_GT(windows.back().end, 40 * kLength);
}

TEST_F(FuseRunTest, TheWindowEndsWithTheTorrent) {
  for (std::uint32_t i = kFiles - 20; i < kFiles; ++i) ASSERT_EQ(read(i), 0);
  const auto windows = m.source->windows();
  ASSERT_FALSE(windows.empty());
  for (const auto& window : windows) EXPECT_LE(window.end, kFiles * kLength);
}

TEST_F(FuseRunTest, NothingIsWantedSoonAfterTheReaderHasGone) {
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_EQ(read(i), 0);
  ASSERT_FALSE(m.source->windows().empty());
  EXPECT_TRUE(wants_nothing(std::chrono::seconds(20)));
}

TEST_F(FuseRunTest, FilesInOppositeOrderAreNoRun) {
  for (std::uint32_t i = 40; i-- > 0;) ASSERT_EQ(read(i), 0);
  EXPECT_TRUE(m.source->windows().empty());
}

TEST_F(FuseRunTest, FilesThatAreAllHereAreNoRun) {
  m.source->set_bytes_here(kLength);
  for (std::uint32_t i = 0; i < 40; ++i) ASSERT_EQ(read(i), 0);
  EXPECT_TRUE(m.source->windows().empty());
}

TEST_F(FuseRunTest, EveryHandleIsClosedWithTheMount) {
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_EQ(read(i), 0);
  m.session.reset();
  EXPECT_EQ(m.source->open_handles(), 0U);
}

}  // namespace
}  // namespace swarmfs::test
