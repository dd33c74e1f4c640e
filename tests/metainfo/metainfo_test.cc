// parse() and verify_piece() against torrents that libtorrent made.
#include "swarm/metainfo/metainfo.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "swarm/base/hex.h"
#include "swarm/metainfo/verify_piece.h"

namespace swarmfs::metainfo {
namespace {

using fixtures::joined;

Metainfo fixture(const std::string& name) {
  auto m = load(fixtures::file(name));
  EXPECT_TRUE(m) << m.error().message;
  return std::move(m).value();
}

struct Expected {
  std::string torrent, v1, v2;
  std::uint32_t pieces;
};

// What libtorrent says about its own torrents.
const std::vector<Expected> kExpected = {
    {"tree_v1.torrent", "c4501bd622e382b02c4c2f4fdaf49a1a6d565a73", "", 7},
    {"tree_v2.torrent", "", "3aa35bfd1526f17e633e659fafeaa446733afabf3d4c11c2aa0b0d3cd23a532a", 9},
    {"tree_hybrid.torrent", "78ab09693f9d4854f0a8d768deb8ee9e96d49b70",
     "7d7934ad02ca533febc72268e2b1eac3e98bbbce03d9ef79037192b51b37d389", 9},
    {"single_v1.torrent", "e48d9f357784d27b98527c2ac455b4998fc67d3e", "", 13},
    {"single_v2.torrent", "", "c392eb606f27f562d0fdc77ee3148a457d57b9cf847d2503ac3cad8d98186a09",
     13},
    {"single_hybrid.torrent", "4aee98a5c1779e374bfe65a93f8ba759850eb6de",
     "ae669750213a134c826a4f0279392168e92bac91b893ce386df7860aceb3c72a", 13}};

TEST(Metainfo, HasTheInfoHashesAndPiecesThatLibtorrentSees) {
  for (const Expected& e : kExpected) {
    SCOPED_TRACE(e.torrent);
    const Metainfo m = fixture(e.torrent);
    EXPECT_EQ(m.hashes.v1 ? to_hex(*m.hashes.v1) : "", e.v1);
    EXPECT_EQ(m.hashes.v2 ? to_hex(*m.hashes.v2) : "", e.v2);
    EXPECT_EQ(m.layout.piece_count(), e.pieces);
    EXPECT_EQ(m.files.size(), m.layout.files().size());
    const Metainfo bare = parse_info(m.info).value();
    EXPECT_EQ(bare.hashes, m.hashes);
    EXPECT_EQ(bare.layout.piece_count(), e.pieces);
  }
}

TEST(Metainfo, ListsFilesInOrderWithPadsApart) {
  for (const char* name : {"tree_v1.torrent", "tree_v2.torrent", "tree_hybrid.torrent"}) {
    SCOPED_TRACE(name);
    const Metainfo m = fixture(name);
    EXPECT_EQ(m.name, "tree");
    EXPECT_FALSE(m.single_file);
    EXPECT_EQ(m.layout.content_size(), 205'541u);
    std::vector<std::string> paths;
    for (const File& f : m.files) {
      if (f.pad) {
        EXPECT_TRUE(f.path.empty());
      } else {
        paths.push_back(joined(f.path));
        EXPECT_EQ(f.length, fixtures::contents().at(paths.back()).size());
        EXPECT_EQ(f.pieces_root.has_value(), m.has_v2() && f.length > 0);
      }
    }
    std::sort(paths.begin(), paths.end());
    EXPECT_EQ(paths,
              (std::vector<std::string>{"a.bin", "empty", "sub/b.bin", "sub/deep/c.bin", "z.bin"}));
  }
  const Metainfo single = fixture("single_v2.torrent");
  EXPECT_TRUE(single.single_file);
  EXPECT_EQ(single.name, "single.bin");
  ASSERT_EQ(single.files.size(), 1u);
  EXPECT_EQ(joined(single.files[0].path), "single.bin");
}

TEST(Metainfo, ReadsTrackersAndComments) {
  const Metainfo m = fixture("tree_hybrid.torrent");
  EXPECT_EQ(m.trackers, (std::vector<std::vector<std::string>>{{"http://tracker.example/announce"},
                                                               {"udp://tracker.example:6969"}}));
  EXPECT_EQ(m.webseeds, std::vector<std::string>{"http://seed.example/"});
  EXPECT_EQ(m.comment, "made for a test");
  EXPECT_FALSE(m.is_private);
}

TEST(Metainfo, VerifiesEveryPieceHoweverItIsCut) {
  for (const std::string& name : fixtures::torrents()) {
    SCOPED_TRACE(name);
    const Metainfo m = fixture(name);
    for (std::uint32_t i = 0; i < m.layout.piece_count(); ++i) {
      const Bytes piece = fixtures::piece_bytes(m, PieceIndex(i));
      const ByteView all(piece);
      EXPECT_TRUE(fixtures::verifies(m, PieceIndex(i), {{all}})) << i;
      const std::size_t odd = std::min<std::size_t>(piece.size(), 4097);
      EXPECT_TRUE(fixtures::verifies(m, PieceIndex(i), {{all.first(odd), all.subspan(odd)}})) << i;
    }
  }
}

TEST(Metainfo, RefusesAPieceWithAnyByteChangedMissingOrAdded) {
  for (const std::string& name : fixtures::torrents()) {
    SCOPED_TRACE(name);
    const Metainfo m = fixture(name);
    for (std::uint32_t i = 0; i < m.layout.piece_count(); ++i) {
      Bytes piece = fixtures::piece_bytes(m, PieceIndex(i));
      for (const std::size_t at : {std::size_t{0}, piece.size() / 2, piece.size() - 1}) {
        piece[at] ^= 1;
        EXPECT_FALSE(fixtures::verifies(m, PieceIndex(i), {{ByteView(piece)}}))
            << i << " at " << at;
        piece[at] ^= 1;
      }
      EXPECT_FALSE(
          fixtures::verifies(m, PieceIndex(i), {{ByteView(piece).first(piece.size() - 1)}}));
      piece.push_back(0);
      EXPECT_FALSE(fixtures::verifies(m, PieceIndex(i), {{ByteView(piece)}}));
    }
  }
}

TEST(Metainfo, HybridPiecesMustPassBothHashes) {
  Metainfo m = fixture("tree_hybrid.torrent");
  const Bytes piece = fixtures::piece_bytes(m, PieceIndex(2));
  const auto check = [&](const Metainfo& manifest, std::optional<Bytes> bytes = {}) {
    return verify_piece(PieceRoots(std::make_shared<const Metainfo>(manifest)), PieceIndex(2),
                        {{ByteView(bytes ? *bytes : piece)}});
  };
  ASSERT_TRUE(fixtures::verifies(m, PieceIndex(2), {{ByteView(piece)}}));
  Metainfo other = m;
  other.piece_hashes[2][0] ^= 1;
  EXPECT_FALSE(fixtures::verifies(other, PieceIndex(2), {{ByteView(piece)}}));
  EXPECT_EQ(check(other), PieceCheck::contradiction);
  Bytes wrong = piece;
  wrong[5] ^= 1;
  EXPECT_EQ(check(other, wrong), PieceCheck::bad);
  other = m;
  (*other.piece_roots[2])[0] ^= 1;
  EXPECT_FALSE(fixtures::verifies(other, PieceIndex(2), {{ByteView(piece)}}));
  EXPECT_EQ(check(other), PieceCheck::contradiction);
  EXPECT_EQ(check(other, wrong), PieceCheck::bad) << "neither matches";
  EXPECT_EQ(check(m, wrong), PieceCheck::bad);
  other = m;
  other.piece_roots[2].reset();
  EXPECT_TRUE(fixtures::verifies(other, PieceIndex(2), {{ByteView(piece)}}));
}

/// Who sends a filled pad must not have the manifest blamed for it.
TEST(Metainfo, AFilledPadIsBadBytesAndNoContradiction) {
  const Metainfo m = fixture("tree_hybrid.torrent");
  const PieceRoots roots(std::make_shared<const Metainfo>(m));
  unsigned padded = 0;
  for (std::uint32_t i = 0; i < m.layout.piece_count(); ++i) {
    const auto slices = m.layout.slices(PieceIndex(i), 0, m.layout.piece_size(PieceIndex(i)));
    if (!slices.back().pad) continue;
    ++padded;
    Bytes piece = fixtures::piece_bytes(m, PieceIndex(i));
    EXPECT_EQ(verify_piece(roots, PieceIndex(i), {{ByteView(piece)}}), PieceCheck::good);
    piece.back() = 1;
    EXPECT_EQ(verify_piece(roots, PieceIndex(i), {{ByteView(piece)}}), PieceCheck::bad);
  }
  EXPECT_GT(padded, 0u);
}

TEST(Metainfo, AV2PieceWithoutItsLayerCannotBeVerified) {
  const Metainfo m = parse_info(fixture("tree_v2.torrent").info).value();
  std::size_t known = 0;
  for (std::uint32_t i = 0; i < m.layout.piece_count(); ++i) {
    const Bytes piece = fixtures::piece_bytes(m, PieceIndex(i));
    EXPECT_EQ(fixtures::verifies(m, PieceIndex(i), {{ByteView(piece)}}),
              m.piece_roots[i].has_value());
    known += m.piece_roots[i].has_value() ? 1 : 0;
  }
  EXPECT_EQ(known, 1u);  // z.bin is shorter than a piece
}

TEST(Metainfo, LoadErrorsNameThePath) {
  const auto missing = load("/nonexistent/x.torrent");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_NE(missing.error().message.find("/nonexistent/x.torrent"), std::string::npos);
  const auto folder = load(FIXTURE_DIR);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().kind, ErrorKind::bad_input);
  const auto script = load(fixtures::file("make_fixtures.py"));
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error().kind, ErrorKind::bad_input);
  EXPECT_NE(script.error().message.find("make_fixtures.py"), std::string::npos);
}

}  // namespace
}  // namespace swarmfs::metainfo
