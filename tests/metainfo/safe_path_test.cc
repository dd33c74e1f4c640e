#include "swarm/metainfo/safe_path.h"

#include <gtest/gtest.h>

#include <set>

namespace swarmfs::metainfo {
namespace {

using Path = std::vector<std::string>;
using namespace std::string_view_literals;

Path safe(std::vector<std::string_view> raw) { return safe_path(raw); }

TEST(SafePath, KeepsOrdinaryNames) {
  EXPECT_EQ(safe({"Some folder", "é 日本語.txt"}), (Path{"Some folder", "é 日本語.txt"}));
  EXPECT_EQ(safe({"..."}), Path{"..."});
  EXPECT_EQ(safe({"a\nb"}), Path{"a\nb"});
}

TEST(SafePath, NothingLeavesTheFolder) {
  EXPECT_EQ(safe({"..", "..", "etc", "passwd"}), (Path{"etc", "passwd"}));
  EXPECT_EQ(safe({"/etc/passwd"}), Path{"_etc_passwd"});
  EXPECT_EQ(safe({"", ".", "a", "", ".."}), Path{"a"});
  EXPECT_EQ(safe({"..\\..\\x"}), Path{".._.._x"});
  EXPECT_EQ(safe({"a\0b"sv}), Path{"a_b"});
  EXPECT_EQ(safe({".."}), Path{});
}

TEST(SafePath, ReplacesInvalidUtf8) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(valid_utf8("a\xff"
                       "b"),
            "a" + r + "b");
  EXPECT_EQ(valid_utf8("\xc0\xaf"), r + r);                  // overlong slash
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(valid_utf8("\xe2\x82"), r + r);                  // cut short
  EXPECT_EQ(valid_utf8("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
}

TEST(SafePath, ShortensLongNamesBeforeTheirExtension) {
  const std::string name = std::string(300, 'x') + ".mkv";
  const std::string out = safe_component(name);
  EXPECT_EQ(out, std::string(251, 'x') + ".mkv");
  std::string wide;
  for (int i = 0; i < 200; ++i) wide += "é";
  const std::string cut = safe_component(wide);
  EXPECT_LE(cut.size(), kMaxComponent);
  EXPECT_EQ(cut, valid_utf8(cut));
  EXPECT_EQ(safe_component(std::string(400, '\xff')).size(), 255u);
}

TEST(SafePath, MakesDuplicatesUnique) {
  UniquePaths unique;
  EXPECT_EQ(unique.add({"a.txt"}), Path{"a.txt"});
  EXPECT_EQ(unique.add({"a.txt"}), Path{"a.1.txt"});
  EXPECT_EQ(unique.add({"a.txt"}), Path{"a.2.txt"});
  EXPECT_EQ(unique.add({"d", "a.txt"}), (Path{"d", "a.txt"}));
}

TEST(SafePath, FilesAndFoldersOfOneNameLiveSideBySide) {
  UniquePaths unique;
  EXPECT_EQ(unique.add({"a"}), Path{"a"});
  EXPECT_EQ(unique.add({"a", "b"}), (Path{"a.1", "b"}));
  EXPECT_EQ(unique.add({"a", "c"}), (Path{"a.1", "c"}));
  EXPECT_EQ(unique.add({"a", "b"}), (Path{"a.1", "b.1"}));
  EXPECT_EQ(unique.add({"x", "y"}), (Path{"x", "y"}));
  EXPECT_EQ(unique.add({"x"}), Path{"x.1"});
}

TEST(SafePath, ManyEqualLongNamesStayShortAndDistinctQuickly) {
  UniquePaths unique;
  std::set<std::string> seen;
  const std::string name(255, 'n');
  for (int i = 0; i < 50'000; ++i) {
    const Path out = unique.add({name});
    EXPECT_LE(out[0].size(), kMaxComponent);
    EXPECT_TRUE(seen.insert(out[0]).second);
  }
}

}  // namespace
}  // namespace swarmfs::metainfo
