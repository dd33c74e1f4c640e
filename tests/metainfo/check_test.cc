#include "swarm/metainfo/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "swarm/metainfo/content_path.h"
#include "temp_tree.h"

namespace swarmfs::metainfo {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Check : public testing::Test {
 protected:
  void SetUp() override { fixtures::write_contents(folder_.path()); }
  fs::path tree() const { return folder_ / "tree"; }
  static Metainfo fixture(const std::string& name) { return load(fixtures::file(name)).value(); }

  static CheckReport check(const Metainfo& m, const fs::path& base) {
    PieceRoots roots(std::make_shared<const Metainfo>(m));
    auto report = check_pieces(roots, base);
    EXPECT_TRUE(report);
    return std::move(report).value();
  }
  /// Pieces that hold a byte of the file.
  static std::vector<bool> without(const Metainfo& m, const std::string& path,
                                   std::uint64_t from = 0) {
    std::vector<bool> good(m.layout.piece_count(), true);
    for (std::uint32_t i = 0; i < m.files.size(); ++i) {
      if (fixtures::joined(m.files[i].path) != path) continue;
      for (const auto& span : m.layout.spans(FileIndex(i), from, m.files[i].length - from)) {
        good[span.piece.value] = false;
      }
    }
    return good;
  }

  fixtures::TempFolder folder_;
};

TEST_F(Check, FindsWholeContentGood) {
  for (const std::string& name : fixtures::torrents()) {
    const Metainfo m = fixture(name);
    const CheckReport report = check(m, m.single_file ? folder_ / "single.bin" : tree());
    EXPECT_EQ(report.bad_pieces(), 0u) << name;
    EXPECT_TRUE(report.problems.empty()) << name;
  }
}

TEST_F(Check, FindsExactlyThePieceWithAFlippedByte) {
  for (const char* name : {"tree_v1.torrent", "tree_v2.torrent", "tree_hybrid.torrent"}) {
    SCOPED_TRACE(name);
    const Metainfo m = fixture(name);
    Bytes bytes = fixtures::contents().at("a.bin");
    bytes[70'000] ^= 1;
    fixtures::write_file(tree() / "a.bin", bytes);
    const CheckReport report = check(m, tree());
    EXPECT_TRUE(report.problems.empty());
    EXPECT_EQ(report.bad_pieces(), 1u);
    std::vector<bool> expected = without(m, "a.bin", 70'000);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(report.good[i] || !expected[i]) << i;
    }
  }
}

TEST_F(Check, AMissingFileMakesItsPiecesBadAndIsNamed) {
  fs::remove(tree() / "sub/b.bin");
  for (const char* name : {"tree_v1.torrent", "tree_v2.torrent", "tree_hybrid.torrent"}) {
    SCOPED_TRACE(name);
    const Metainfo m = fixture(name);
    const CheckReport report = check(m, tree());
    EXPECT_EQ(report.good, without(m, "sub/b.bin"));
    ASSERT_EQ(report.problems.size(), 1u);
    EXPECT_EQ(report.problems[0].error.kind, ErrorKind::not_found);
    EXPECT_THAT(report.problems[0].error.message, HasSubstr("sub/b.bin"));
  }
}

TEST_F(Check, AShortFileLosesOnlyTheEnd) {
  fs::resize_file(tree() / "a.bin", 40'000);
  const Metainfo m = fixture("tree_hybrid.torrent");
  const CheckReport report = check(m, tree());
  EXPECT_EQ(report.good, without(m, "a.bin", 40'000));
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].error.kind, ErrorKind::mismatch);
}

TEST_F(Check, ALongerFileIsNamedThoughItsPiecesAreGood) {
  fs::resize_file(tree() / "a.bin", 100'001);
  const CheckReport report = check(fixture("tree_v2.torrent"), tree());
  EXPECT_EQ(report.bad_pieces(), 0u);
  ASSERT_EQ(report.problems.size(), 1u);
}

TEST_F(Check, AFolderOrFifoInAFilesPlaceIsNamedAndDoesNotHang) {
  fs::remove(tree() / "a.bin");
  fs::create_directory(tree() / "a.bin");
  fs::remove(tree() / "z.bin");
  ASSERT_EQ(::mkfifo((tree() / "z.bin").c_str(), 0600), 0);
  const CheckReport report = check(fixture("tree_v2.torrent"), tree());
  EXPECT_EQ(report.problems.size(), 2u);
  EXPECT_GT(report.bad_pieces(), 0u);
}

TEST_F(Check, FindsContentFromEveryPathAPersonMightGive) {
  const Metainfo single = fixture("single_v1.torrent");
  EXPECT_EQ(find_content(single, folder_ / "single.bin").value(), folder_ / "single.bin");
  EXPECT_EQ(find_content(single, folder_.path()).value(), folder_ / "single.bin");
  const Metainfo multi = fixture("tree_v1.torrent");
  EXPECT_EQ(find_content(multi, tree()).value(), tree());
  EXPECT_EQ(find_content(multi, folder_.path()).value(), folder_ / "tree");
  EXPECT_EQ(find_content(multi, folder_ / "absent").error().kind, ErrorKind::not_found);
  EXPECT_EQ(find_content(single, folder_ / "absent").error().kind, ErrorKind::not_found);
  EXPECT_EQ(find_content(multi, folder_ / "single.bin").error().kind, ErrorKind::bad_input);
  fs::create_directory(tree() / "tree");  // a folder of the torrent's name inside it
  EXPECT_EQ(find_content(multi, tree()).value(), tree());
}

/// A manifest as a magnet link brings it (BEP 9): without piece layers.
TEST_F(Check, WithoutPieceLayersTheFilesRootDecides) {
  for (const char* name : {"tree_v2.torrent", "tree_hybrid.torrent"}) {
    SCOPED_TRACE(name);
    const Metainfo full = fixture(name);
    PieceRoots roots(std::make_shared<const Metainfo>(parse_info(full.info).value()));
    ASSERT_GT(roots.unknown(), 0u);
    const auto report = check_pieces(roots, tree());
    ASSERT_TRUE(report);
    EXPECT_EQ(report->bad_pieces(), 0u);
    EXPECT_TRUE(report->problems.empty());
    EXPECT_EQ(roots.unknown(), 0u) << "the layers are known from now on";
    for (std::uint32_t i = 0; i < full.layout.piece_count(); ++i)
      EXPECT_EQ(roots.of(PieceIndex(i)), full.piece_roots[i]);
  }
}

TEST_F(Check, WithoutPieceLayersABadByteCostsTheWholeFileAndSaysSo) {
  Bytes bytes = fixtures::contents().at("a.bin");
  bytes[70'000] ^= 1;
  fixtures::write_file(tree() / "a.bin", bytes);
  const Metainfo m = parse_info(fixture("tree_v2.torrent").info).value();
  CheckReport report = check(m, tree());
  EXPECT_EQ(report.good, without(m, "a.bin"));
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_TRUE(report.problems[0].pieces_unknown);
  EXPECT_EQ(report.problems[0].error.kind, ErrorKind::mismatch);
  EXPECT_THAT(report.problems[0].error.message, HasSubstr("a.bin"));
  EXPECT_THAT(report.problems[0].error.message, HasSubstr("no piece layer"));

  const Metainfo hybrid = parse_info(fixture("tree_hybrid.torrent").info).value();
  report = check(hybrid, tree());
  EXPECT_EQ(report.bad_pieces(), 1u) << "the v1 hashes tell which";
  EXPECT_TRUE(report.problems.empty());

  fs::remove(tree() / "a.bin");
  report = check(m, tree());
  EXPECT_EQ(report.good, without(m, "a.bin"));
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].error.kind, ErrorKind::not_found);
}

TEST_F(Check, HashesThatDisagreeAreTheManifestsFault) {
  Metainfo m = parse_info(fixture("tree_hybrid.torrent").info).value();
  for (File& file : m.files)
    if (file.length == 100'000) (*file.pieces_root)[0] ^= 1;
  const CheckReport report = check(m, tree());
  EXPECT_EQ(report.good, without(m, "a.bin"));
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0].error.message, HasSubstr("contradicts itself"));
}

TEST_F(Check, CanBeCancelled) {
  PieceRoots roots(std::make_shared<const Metainfo>(fixture("single_v1.torrent")));
  std::stop_source stop;
  const auto report = check_pieces(
      roots, folder_ / "single.bin", [&](std::uint64_t, std::uint64_t) { stop.request_stop(); },
      stop.get_token());
  if (!report) {
    EXPECT_EQ(report.error().kind, ErrorKind::cancelled);
  }
}

}  // namespace
}  // namespace swarmfs::metainfo
