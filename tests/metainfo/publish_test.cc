#include "swarm/metainfo/publish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "swarm/base/hex.h"
#include "swarm/metainfo/check.h"
#include "swarm/metainfo/content_path.h"
#include "swarm/metainfo/write_file.h"
#include "temp_tree.h"

namespace swarmfs::metainfo {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Publish : public testing::Test {
 protected:
  void SetUp() override { fixtures::write_contents(folder_.path()); }
  fs::path tree() const { return folder_ / "tree"; }

  /// Publishes, and parses what came out.
  Metainfo torrent_of(const fs::path& path, const PublishOptions& options) {
    const auto published = publish(path, options);
    EXPECT_TRUE(published) << published.error().message;
    auto m = parse(published.value().torrent);
    EXPECT_TRUE(m) << m.error().message;
    return std::move(m).value();
  }
  std::string error_of(const fs::path& path, const PublishOptions& options = {}) {
    const auto published = publish(path, options);
    return published ? "published" : published.error().message;
  }

  fixtures::TempFolder folder_;
};

TEST_F(Publish, GivesTheInfoHashesThatLibtorrentGives) {
  // (libtorrent orders the files of a v1 folder as the disk happens to list them.)
  const std::vector<std::tuple<std::string, Format, fs::path, std::uint32_t>> cases = {
      {"tree_v2.torrent", Format::v2, tree(), 32'768},
      {"tree_hybrid.torrent", Format::hybrid, tree(), 32'768},
      {"single_v1.torrent", Format::v1, folder_ / "single.bin", 16'384},
      {"single_v2.torrent", Format::v2, folder_ / "single.bin", 16'384},
      {"single_hybrid.torrent", Format::hybrid, folder_ / "single.bin", 16'384}};
  for (const auto& [name, format, path, piece_length] : cases) {
    SCOPED_TRACE(name);
    const Metainfo theirs = load(fixtures::file(name)).value();
    const Metainfo ours = torrent_of(path, {.format = format, .piece_length = piece_length});
    EXPECT_EQ(as_text(ours.info), as_text(theirs.info));
    EXPECT_EQ(ours.hashes, theirs.hashes);
    EXPECT_EQ(ours.piece_roots, theirs.piece_roots);
  }
}

TEST_F(Publish, WhatItPublishedChecksOutPieceByPiece) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    for (const std::uint32_t piece_length : {16'384u, 65'536u, 0u}) {
      const PublishOptions options{.format = format, .piece_length = piece_length};
      const Metainfo m = torrent_of(tree(), options);
      EXPECT_EQ(m.format, format);
      for (std::uint32_t i = 0; i < m.layout.piece_count(); ++i) {
        const Bytes piece = fixtures::piece_bytes(m, PieceIndex(i));
        EXPECT_TRUE(fixtures::verifies(m, PieceIndex(i), {{ByteView(piece)}}));
      }
      PieceRoots roots(std::make_shared<const Metainfo>(m));
      const auto report = check_pieces(roots, tree());
      ASSERT_TRUE(report);
      EXPECT_EQ(report->bad_pieces(), 0u);
      EXPECT_TRUE(report->problems.empty());
    }
  }
}

TEST_F(Publish, IsDeterministicWhateverTheThreads) {
  const PublishOptions options{.piece_length = 16'384, .threads = 1};
  const Bytes once = publish(tree(), options)->torrent;
  for (const unsigned threads : {2u, 5u, 16u}) {
    EXPECT_EQ(publish(tree(), {.piece_length = 16'384, .threads = threads})->torrent, once);
  }
}

TEST_F(Publish, CarriesTheOptions) {
  const Metainfo m = torrent_of(tree(), {.trackers = {"http://a/", "udp://b:1"},
                                         .webseeds = {"http://w/"},
                                         .is_private = true,
                                         .comment = "hello",
                                         .creation_date = 5});
  EXPECT_EQ(m.trackers, (std::vector<std::vector<std::string>>{{"http://a/"}, {"udp://b:1"}}));
  EXPECT_EQ(m.webseeds, std::vector<std::string>{"http://w/"});
  EXPECT_TRUE(m.is_private);
  EXPECT_EQ(m.comment, "hello");
  EXPECT_EQ(m.creation_date, 5);
  EXPECT_EQ(m.name, "tree");
}

TEST_F(Publish, KeepsExecutablesLinksAndOddNames) {
  fs::permissions(tree() / "a.bin", fs::perms::owner_exec, fs::perm_options::add);
  fs::create_symlink("../a.bin", tree() / "sub" / "link");
  fs::create_symlink("sub/deep", tree() / "folder link");
  fixtures::write_file(tree() / "  \n\"é", fixtures::pattern(7, 10));
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    const Metainfo m = torrent_of(tree(), {.format = format});
    std::map<std::string, const File*> files;
    for (const File& f : m.files) files[fixtures::joined(f.path)] = &f;
    EXPECT_TRUE(files.at("a.bin")->executable);
    EXPECT_FALSE(files.at("z.bin")->executable);
    EXPECT_EQ(fixtures::joined(files.at("sub/link")->symlink), "a.bin");
    EXPECT_EQ(link_text(*files.at("sub/link")), "../a.bin");
    EXPECT_EQ(fixtures::joined(files.at("folder link")->symlink), "sub/deep");
    EXPECT_TRUE(files.contains("  \n\"é"));
    PieceRoots roots(std::make_shared<const Metainfo>(m));
    const auto report = check_pieces(roots, tree());
    EXPECT_EQ(report->bad_pieces(), 0u);
    EXPECT_TRUE(report->problems.empty()) << report->problems[0].error.message;
  }
}

TEST_F(Publish, RefusesWhatItCannotPublishAndNamesIt) {
  EXPECT_THAT(error_of(folder_ / "absent"), HasSubstr("absent"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("/dev/null"));
  fs::create_directories(folder_ / "void/inner");
  EXPECT_THAT(error_of(folder_ / "void"), HasSubstr("nothing to publish"));
  fixtures::write_file(folder_ / "void/inner/empty", {});
  EXPECT_THAT(error_of(folder_ / "void"), HasSubstr("nothing to publish"));

  const auto refuses = [&](const fs::path& odd, const std::string& why) {
    EXPECT_THAT(error_of(tree()), HasSubstr(why));
    EXPECT_THAT(error_of(tree()), HasSubstr(odd.filename().string()));
    fs::remove(odd);
    EXPECT_EQ(error_of(tree()), "published");
  };
  ASSERT_EQ(::mkfifo((tree() / "pipe").c_str(), 0600), 0);
  refuses(tree() / "pipe", "neither file");
  for (const char* target : {"/etc/passwd", "../single.bin", "..", "sub/../../x", "."}) {
    fs::create_symlink(target, tree() / "out");
    refuses(tree() / "out", "not below the folder");
  }
  fixtures::write_file(tree() / "back\\slash", fixtures::pattern(1, 1));
  refuses(tree() / "back\\slash", "rename");
  fixtures::write_file(tree() / "\xff", fixtures::pattern(1, 1));
  refuses(tree() / "\xff", "UTF-8");
}

TEST_F(Publish, NamesAFileItMayNotRead) {
  fs::permissions(tree() / "z.bin", fs::perms::none);
  for (const fs::path& folder : {folder_.path(), tree()}) fs::permissions(folder, fs::perms(0755));
  const uid_t we = ::geteuid();
  constexpr uid_t kNobody = 65534;
  if (we == 0) {
    ASSERT_EQ(::seteuid(kNobody), 0);  // root may read everything
  }
  const std::string error = error_of(tree());
  ASSERT_EQ(::seteuid(we), 0);
  EXPECT_THAT(error, HasSubstr("z.bin"));
}

TEST_F(Publish, NoticesAFileThatChangesMeanwhile) {
  std::atomic<bool> done = false;
  const auto meddle = [&](std::uint64_t, std::uint64_t) {
    if (!done.exchange(true)) fixtures::write_file(tree() / "z.bin", fixtures::pattern(1, 6));
  };
  const auto published = publish(tree(), {}, meddle);
  ASSERT_FALSE(published);
  EXPECT_THAT(published.error().message, HasSubstr("z.bin"));
}

TEST_F(Publish, CanBeCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto published = publish(tree(), {.piece_length = 16'384}, {}, stop.get_token());
  // With so little to hash the work may end before anybody looks, but then it ends well.
  if (!published) {
    EXPECT_EQ(published.error().kind, ErrorKind::cancelled);
  }
}

TEST_F(Publish, ReportsProgressToTheEnd) {
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  const auto published = publish(tree(), {}, [&](std::uint64_t n, std::uint64_t of) {
    EXPECT_GE(n, last);
    last = n;
    total = of;
  });
  ASSERT_TRUE(published);
  EXPECT_EQ(total, 205'541u);
  EXPECT_EQ(last, total);
}

TEST(ChoosePieceLength, MakesOneToTwoThousandPieces) {
  EXPECT_EQ(choose_piece_length(1), 64u << 10);
  EXPECT_EQ(choose_piece_length(std::uint64_t{1} << 40), 16u << 20);
  for (std::uint64_t size = 200'000'000; size < 30'000'000'000; size += 777'777'777) {
    const std::uint64_t pieces = size / choose_piece_length(size);
    EXPECT_GE(pieces, 990u) << size;
    EXPECT_LE(pieces, 2000u) << size;
  }
}

TEST(WriteFile, ReplacesWholeOrNotAtAll) {
  const fixtures::TempFolder folder;
  const fs::path path = folder / "out.torrent";
  const Bytes first = fixtures::pattern(1, 100'000);
  ASSERT_TRUE(write_file_atomically(path, first));
  EXPECT_EQ(fixtures::read_file(path), first);
  const Bytes second = fixtures::pattern(2, 10);
  ASSERT_TRUE(write_file_atomically(path, second));
  EXPECT_EQ(fixtures::read_file(path), second);
  const auto failed = write_file_atomically(folder / "no/such/folder/x", second);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("no/such/folder/x"));
  EXPECT_FALSE(write_file_atomically(folder.path(), second));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace swarmfs::metainfo
