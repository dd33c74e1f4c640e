// Where web servers have the bytes of a torrent: BEP 19 and BEP 17.
#include "swarm/engine/web_seed_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/base/bencode.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::engine {
namespace {

using metainfo::Format;
using testing::ElementsAre;
using Part = WebSeedFiles::Part;
using Kind = WebSeedFiles::Kind;

constexpr std::uint32_t kPiece = 2 * kBlockSize;

/// A v1 manifest as it stands in a file. `files`: what is in info before "name".
metainfo::Metainfo parsed(const std::string& files, const std::string& name, std::uint64_t size) {
  const std::uint64_t pieces = (size + kPiece - 1) / kPiece;
  std::string text = "d4:infod" + files + "4:name" + std::to_string(name.size()) + ":" + name +
                     "12:piece lengthi" + std::to_string(kPiece) + "e6:pieces" +
                     std::to_string(pieces * 20) + ":" + std::string(pieces * 20, 'x') + "ee";
  return metainfo::parse(as_bytes(text)).value();
}

metainfo::Metainfo single(const std::string& name) {
  return parsed("6:lengthi100000e", name, 100'000);
}

std::string url(const metainfo::Metainfo& m, const std::string& base, std::uint32_t file = 0) {
  return WebSeedFiles::make(m, base, Kind::files).value().url(WebSource(file), 0, 9).to_string();
}

TEST(WebSeedFiles, OneFileIsTheUrlItselfOrItsNameBelowIt) {
  const auto m = single("file.exe");
  EXPECT_EQ(url(m, "http://mirror.com/file.exe"), "http://mirror.com/file.exe");
  EXPECT_EQ(url(m, "http://mirror.com/pub/"), "http://mirror.com/pub/file.exe");
  EXPECT_EQ(url(m, "http://mirror.com"), "http://mirror.com/file.exe");
  EXPECT_EQ(url(m, "http://mirror.com/get?id=7"), "http://mirror.com/get?id=7");
  EXPECT_EQ(url(m, "http://mirror.com/pub/?key=1"), "http://mirror.com/pub/file.exe?key=1");
}

TEST(WebSeedFiles, SeveralFilesAreBelowTheTorrentsName) {
  // BEP 19's example.
  const auto m = parsed("5:filesld6:lengthi949e4:pathl10:Readme.txteee", "michael", 949);
  EXPECT_EQ(url(m, "http://mirror.com/pub/"), "http://mirror.com/pub/michael/Readme.txt");
  EXPECT_EQ(url(m, "http://mirror.com/pub"), "http://mirror.com/pub/michael/Readme.txt");
}

TEST(WebSeedFiles, NamesAreThoseOfTheMakerAndEscaped) {
  const auto m = parsed(
      "5:filesld6:lengthi9e4:pathl8:a b/\xc3\xa9%?5:..\\#\x01"
      "ee"
      "d6:lengthi7e4:pathl3:con4:x+&=eee",
      "name; 1", 16);
  EXPECT_EQ(url(m, "http://h/", 0), "http://h/name%3B%201/a%20b%2F%C3%A9%25%3F/..%5C%23%01");
  EXPECT_EQ(url(m, "http://h/", 1), "http://h/name%3B%201/con/x%2B%26%3D");
}

TEST(WebSeedFiles, BlocksAcrossFilesArePartsOfEach) {
  const auto content = test::make_content(Format::v1, kPiece, {20'000, 5'000, 30'000});
  const auto files = WebSeedFiles::make(*content.metainfo, "http://h/", Kind::files).value();
  EXPECT_THAT(files.parts({PieceIndex(0), 0, kBlockSize}),
              ElementsAre(Part{WebSource(0), 0, kBlockSize}));
  EXPECT_THAT(files.parts({PieceIndex(0), kBlockSize, kBlockSize}),
              ElementsAre(Part{WebSource(0), 16'384, 3'616}, Part{WebSource(1), 0, 5'000},
                          Part{WebSource(2), 0, 7'768}));
  EXPECT_THAT(files.parts({PieceIndex(1), 8'192, 8'192}),
              ElementsAre(Part{WebSource(2), 15'960, 8'192}));
}

TEST(WebSeedFiles, PaddingIsZerosOfNobody) {
  const auto content = test::make_content(Format::hybrid, kPiece, {10'000, 40'000});
  const auto files = WebSeedFiles::make(*content.metainfo, "http://h/", Kind::files).value();
  EXPECT_THAT(files.parts({PieceIndex(0), 0, kBlockSize}),
              ElementsAre(Part{WebSource(0), 0, 10'000}, Part{std::nullopt, 0, 6'384}));
  EXPECT_THAT(files.parts({PieceIndex(0), kBlockSize, kBlockSize}),
              ElementsAre(Part{std::nullopt, 0, kBlockSize}));
  EXPECT_THAT(files.parts({PieceIndex(1), 0, kBlockSize}),
              ElementsAre(Part{WebSource(2), 0, kBlockSize}));
}

TEST(WebSeedFiles, InV2EachFileBeginsAPiece) {
  const auto content = test::make_content(Format::v2, kPiece, {10'000, 40'000});
  const auto files = WebSeedFiles::make(*content.metainfo, "http://h/", Kind::files).value();
  EXPECT_THAT(files.parts({PieceIndex(0), 0, 10'000}), ElementsAre(Part{WebSource(0), 0, 10'000}));
  EXPECT_THAT(files.parts({PieceIndex(2), 0, 7'232}),
              ElementsAre(Part{WebSource(1), 32'768, 7'232}));
}

TEST(WebSeedFiles, PartsAddUpToEveryBlock) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    const auto content = test::make_content(format, kPiece, {1, 16'384, 70'000, 3, 50'000});
    const auto files = WebSeedFiles::make(*content.metainfo, "http://h/", Kind::files).value();
    std::map<std::uint32_t, std::uint64_t> of_file;
    for (std::uint32_t p = 0; p < content.layout().piece_count(); ++p)
      for (std::uint32_t b = 0; b < content.layout().block_count(PieceIndex(p)); ++b) {
        const auto size = content.layout().block_size(PieceIndex(p), b);
        std::uint64_t sum = 0;
        for (const Part& part : files.parts({PieceIndex(p), b * kBlockSize, size})) {
          sum += part.length;
          if (!part.source) continue;
          EXPECT_EQ(part.offset, of_file[part.source->value]) << "in the order of the file";
          of_file[part.source->value] += part.length;
        }
        EXPECT_EQ(sum, size);
      }
    for (const auto& [file, bytes] : of_file)
      EXPECT_EQ(bytes, content.layout().files()[file].length);
  }
}

TEST(WebSeedFiles, ScriptsAreAskedForPiecesByHash) {
  const auto content = test::make_content(Format::v1, kPiece, {100'000});
  auto m = *content.metainfo;
  // BEP 17's example.
  m.hashes.v1 = Sha1Hash{0x9c, 0xd9, 0x69, 0x8a, 0xf5, 0x55, 0x75, 0x1a, 0x91, 0x86,
                         0xae, 0x06, 0x6c, 0x57, 0xea, 0x21, 0x57, 0x23, 0x35, 0xe0};
  const auto files =
      WebSeedFiles::make(m, "http://www.whatever.com/seed.php", Kind::script).value();
  const std::string hash =
      "http://www.whatever.com/seed.php?info_hash=%9C%D9i%8A%F5Uu%1A%91%86%AE%06lW%EA%21W%235%E0";
  EXPECT_EQ(files.url(WebSource(2), 0, kPiece - 1).to_string(), hash + "&piece=2");
  EXPECT_EQ(files.url(WebSource(1), 16'384, 32'767).to_string(),
            hash + "&piece=1&ranges=16384-32767");
  EXPECT_EQ(files.url(WebSource(3), 0, 100'000 - 3 * kPiece - 1).to_string(), hash + "&piece=3")
      << "the last piece is shorter";
  EXPECT_EQ(
      WebSeedFiles::make(m, "http://h/s?a=1", Kind::script).value().url(WebSource(0), 0, 9).target,
      "/s?a=1&info_hash=%9C%D9i%8A%F5Uu%1A%91%86%AE%06lW%EA%21W%235%E0&piece=0&ranges=0-9");
  EXPECT_THAT(files.parts({PieceIndex(1), 16'384, 16'384}),
              ElementsAre(Part{WebSource(1), 16'384, 16'384}));
}

TEST(WebSeedFiles, RefusesWhatIsNoWebSeed) {
  const auto v2 = test::make_content(Format::v2, kPiece, {100'000});
  EXPECT_EQ(WebSeedFiles::make(*v2.metainfo, "http://h/", Kind::script).error().kind,
            ErrorKind::unsupported);
  EXPECT_FALSE(WebSeedFiles::make(*v2.metainfo, "udp://h:1/", Kind::files));
  EXPECT_FALSE(WebSeedFiles::make(*v2.metainfo, "ftp://h/", Kind::files));
  EXPECT_FALSE(WebSeedFiles::make(*v2.metainfo, "nonsense", Kind::files));
}

}  // namespace
}  // namespace swarmfs::engine
