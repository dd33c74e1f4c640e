#include "mount/kept_manifests.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

std::vector<std::string> texts(const KeptManifests& kept) {
  std::vector<std::string> out;
  for (const auto& path : kept.added()) {
    std::ifstream in(path, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

using Texts = std::vector<std::string>;

struct KeptManifestsTest : testing::Test {
  KeptManifests open(const std::string& options = "a b") const { return {place, options}; }
  test::TempFolder folder;
  const std::filesystem::path place = folder.path() / "kept";
};

TEST_F(KeptManifestsTest, MakesNothingUntilThereIsSomethingToKeep) {
  const auto kept = open();
  EXPECT_TRUE(kept.added().empty());
  EXPECT_FALSE(std::filesystem::exists(place));
}

TEST_F(KeptManifestsTest, ANewProcessFindsWhatWasAddedInOrderAndWhatWasRemoved) {
  {
    auto kept = open();
    for (const char* name : {"ff", "aa", "cc"}) ASSERT_TRUE(kept.add(name, as_bytes(name)));
    ASSERT_TRUE(kept.remove("aa"));
    ASSERT_TRUE(kept.remove("dd"));
    ASSERT_TRUE(kept.add("ee", as_bytes("ee")));
  }
  {
    auto kept = open();
    EXPECT_EQ(texts(kept), (Texts{"ff", "cc", "ee"}));
    EXPECT_EQ(kept.removed(), (std::set<std::string>{"aa", "dd"}));
    ASSERT_TRUE(kept.add("aa", as_bytes("again")));
    kept.forget_removal("dd");
  }
  const auto kept = open();
  EXPECT_EQ(texts(kept), (Texts{"ff", "cc", "ee", "again"}));
  EXPECT_TRUE(kept.removed().empty());
}

TEST_F(KeptManifestsTest, IsVoidForAMountThatWasStartedOtherwise) {
  ASSERT_TRUE(open().add("aa", as_bytes("x")));
  auto other = open("other options");
  EXPECT_TRUE(other.added().empty());
  EXPECT_FALSE(std::filesystem::exists(place));
}

TEST_F(KeptManifestsTest, LeavesOutWhatWasHalfWritten) {
  auto kept = open();
  ASSERT_TRUE(kept.add("aa", as_bytes("x")));
  std::ofstream(place / "000000002-bb.torrent.part") << "half";
  std::ofstream(place / "000000003-cc.torrent.a1B2c3") << "half";
  EXPECT_EQ(texts(open()), Texts{"x"});
}

TEST_F(KeptManifestsTest, IsForgottenWhenTheMountEnds) {
  auto kept = open();
  ASSERT_TRUE(kept.add("aa", as_bytes("x")));
  kept.clear();
  EXPECT_FALSE(std::filesystem::exists(place));
  EXPECT_TRUE(open().added().empty());
}

TEST_F(KeptManifestsTest, SaysWhenItCannotKeep) {
  KeptManifests kept(folder.path() / "none" / "kept", "x");
  EXPECT_FALSE(kept.add("aa", as_bytes("x")));
  EXPECT_FALSE(kept.remove("aa"));
}

}  // namespace
}  // namespace swarmfs::mount
