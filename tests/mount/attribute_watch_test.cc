#include "mount/attribute_watch.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "tests/support/fake_source.h"

namespace swarmfs::mount {
namespace {

/// Two files of 4096 bytes, of which `bytes` are here, and a kernel that notes what it was told.
class AttributeWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    source->set_bytes_here(0);
    fs::TorrentSpec spec;
    spec.name = "t";
    for (std::uint32_t i = 0; i < 2; ++i) {
      fs::FileSpec file;
      file.path = {std::string(1, static_cast<char>('a' + i))};
      file.length = 4096;
      file.index = FileIndex{i};
      spec.files.push_back(std::move(file));
    }
    spec.source = source;
    ASSERT_TRUE(tree.add_torrent(std::move(spec)));
    const auto folder = *tree.lookup(fs::kRootIno, "t");
    a = *tree.lookup(folder, "a");
    b = *tree.lookup(folder, "b");
    watch.start(
        [this](fs::Ino ino) {
          told.push_back(ino);
          return answer;
        },
        std::chrono::hours(1));  // looks only when the test does
  }
  void give(fs::Ino ino) { watch.give(*tree.attributes(ino)); }
  std::vector<fs::Ino> look() {
    told.clear();
    watch.look();
    return told;
  }

  std::shared_ptr<test::FakeSource> source =
      std::make_shared<test::FakeSource>(std::vector<std::uint64_t>{4096, 4096});
  fs::Tree tree{0};
  fs::Ino a = 0, b = 0;
  int answer = 0;
  std::vector<fs::Ino> told;
  AttributeWatch watch{tree};
};

TEST_F(AttributeWatchTest, TellsTheKernelWhatHasChangedAndOnlyOnce) {
  give(a);
  EXPECT_TRUE(look().empty());
  source->set_bytes_here(512);
  EXPECT_EQ(look(), std::vector{a});
  EXPECT_TRUE(look().empty());
  source->set_bytes_here(1024);
  EXPECT_EQ(look(), std::vector{a});
}

TEST_F(AttributeWatchTest, ForgetsWhatIsComplete) {
  give(a);
  source->set_bytes_here(4096);
  EXPECT_EQ(look(), std::vector{a});
  EXPECT_EQ(watch.size(), 0U);
}

TEST_F(AttributeWatchTest, AnInodeTheKernelDoesNotKnowYetIsTriedOnceMore) {
  give(a);
  source->set_bytes_here(512);
  answer = -ENOENT;
  EXPECT_EQ(look(), std::vector{a});
  EXPECT_EQ(look(), std::vector{a});
  EXPECT_TRUE(look().empty());
  EXPECT_EQ(watch.size(), 0U);
}

TEST_F(AttributeWatchTest, TwoAnswersUnderWayAreTakenBackBoth) {
  const auto old = *tree.attributes(a);
  source->set_bytes_here(512);
  give(a);
  look();
  watch.give(old);  // asked for first, given last: the kernel may have it
  EXPECT_EQ(look(), std::vector{a});
}

TEST_F(AttributeWatchTest, AChangeBeforeTheAnswerIsGivenIsSeen) {
  const auto old = *tree.attributes(a);
  give(b);
  source->set_bytes_here(512);
  EXPECT_EQ(look(), std::vector{b});
  watch.give(old);
  EXPECT_EQ(look(), std::vector{a});
}

}  // namespace
}  // namespace swarmfs::mount
