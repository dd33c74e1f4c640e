// PieceRoots: what it believes, what it does not, and what survives being kept.
#include "swarm/metainfo/piece_roots.h"

#include <gtest/gtest.h>

#include <random>

#include "swarm/base/block.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::metainfo {
namespace {

constexpr std::uint32_t kPiece = 2 * kBlockSize;
using test::make_content;
using test::TestContent;

TestContent lacking(Format format = Format::v2) {
  return test::without_layers(make_content(format, kPiece, {11 * kPiece - 5, 100, 6 * kPiece}));
}

merkle::HashRun whole(std::uint32_t length) { return {1, 0, length, 0}; }

TEST(PieceRoots, TakesARunOnlyIfItLeadsToTheFilesRoot) {
  for (const Format format : {Format::v2, Format::hybrid}) {
    const TestContent content = lacking(format);
    PieceRoots roots(content.metainfo);
    EXPECT_EQ(roots.unknown(), 17U);
    EXPECT_EQ(roots.incomplete().size(), 2U);
    merkle::Hashes layer = test::layer_of(content, FileIndex(0));
    const PieceIndex first = content.layout().pieces_of(FileIndex(0)).first;
    layer.resize(16, merkle::zero_subtree(1));
    for (std::size_t i = 0; i < layer.size(); ++i) {
      merkle::Hashes wrong = layer;
      wrong[i][31] ^= 1;
      EXPECT_EQ(roots.learn(FileIndex(0), whole(16), wrong), LayerProof::wrong) << i;
    }
    EXPECT_EQ(roots.learn(FileIndex(2), whole(16), layer), LayerProof::wrong) << "another file";
    EXPECT_EQ(roots.learn(FileIndex(1), whole(16), layer), LayerProof::wrong) << "it has no layer";
    EXPECT_EQ(roots.learn(FileIndex(0), {0, 0, 16, 0}, layer), LayerProof::wrong)
        << "another level";
    EXPECT_FALSE(roots.of(first));
    EXPECT_EQ(roots.unknown(), 17U);
    EXPECT_EQ(roots.learn(FileIndex(0), whole(16), layer), LayerProof::good);
    EXPECT_EQ(roots.of(first), layer[0]);
    EXPECT_EQ(roots.of(PieceIndex(first.value + 10)), layer[10]);
    EXPECT_TRUE(roots.complete(FileIndex(0)));
    EXPECT_EQ(roots.unknown(), 6U);
    EXPECT_EQ(roots.learn(FileIndex(0), whole(16), layer), LayerProof::good) << "again";
    EXPECT_EQ(roots.unknown(), 6U);
  }
}

TEST(PieceRoots, AProvenNodeBeyondTheFilesEndIsTheManifestsFault) {
  // Seven pieces by the root, and six of them by the length: both give a tree of one height.
  const TestContent content = make_content(Format::v2, kPiece, {7 * kPiece});
  const merkle::Hashes layer = [&] {
    merkle::Hashes l = test::layer_of(content, FileIndex(0));
    l.resize(8, merkle::zero_subtree(1));
    return l;
  }();
  const TestContent shorter = test::without_layers(make_content(Format::v2, kPiece, {6 * kPiece}));
  auto m = std::make_shared<Metainfo>(*shorter.metainfo);
  m->files[0].pieces_root = content.metainfo->files[0].pieces_root;
  PieceRoots roots(m);
  EXPECT_EQ(roots.learn(FileIndex(0), whole(8), layer), LayerProof::contradiction);
  EXPECT_EQ(roots.unknown(), 6U);
}

TEST(PieceRoots, FilesOfTheSameContentShareALayer) {
  const TestContent one = make_content(Format::v2, kPiece, {5 * kPiece});
  auto m = std::make_shared<Metainfo>(*test::without_layers(one).metainfo);
  m->layout = Layout(kPiece, {{0, 5 * kPiece, false}, {5 * kPiece, 5 * kPiece, false}},
                     PieceAddressing::per_file);
  m->files.push_back(m->files[0]);
  m->piece_roots.resize(10);
  PieceRoots roots(m);
  EXPECT_EQ(roots.unknown(), 10U);
  const merkle::Hashes layer = test::layer_of(one, FileIndex(0));
  EXPECT_TRUE(roots.learn(FileIndex(1), layer));
  EXPECT_EQ(roots.unknown(), 0U);
  for (std::uint32_t p = 0; p < 10; ++p) EXPECT_EQ(roots.of(PieceIndex(p)), layer[p % 5]);
  EXPECT_TRUE(roots.incomplete().empty());
  EXPECT_EQ(roots.learnt(), 1U);
}

TEST(PieceRoots, KeepsWholeLayersAndProvesThemAgainWhenTheyComeBack) {
  const TestContent content = lacking();
  PieceRoots roots(content.metainfo);
  EXPECT_TRUE(roots.save().empty());
  ASSERT_TRUE(roots.learn(FileIndex(0), test::layer_of(content, FileIndex(0))));
  ASSERT_TRUE(roots.learn(FileIndex(2), test::layer_of(content, FileIndex(2))));
  const Bytes saved = roots.save();
  EXPECT_EQ(saved.size(), 2 * 40 + 17 * 32U);

  PieceRoots again(content.metainfo);
  again.load(saved);
  EXPECT_EQ(again.unknown(), 0U);
  EXPECT_EQ(again.save(), saved);
  for (std::uint32_t p = 0; p < content.layout().piece_count(); ++p)
    EXPECT_EQ(again.of(PieceIndex(p)),
              p == 11 ? content.metainfo->piece_roots[11] : roots.of(PieceIndex(p)));

  // Whatever the disk made of it, a root is right or not known.
  std::mt19937 rng(5);
  for (std::size_t at = 0; at < saved.size(); ++at) {
    Bytes damaged = saved;
    damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ (1 + rng() % 255));
    PieceRoots other(content.metainfo);
    other.load(damaged);
    EXPECT_GE(other.unknown(), 6U) << at;
    for (std::uint32_t p = 0; p < content.layout().piece_count(); ++p) {
      const auto root = other.of(PieceIndex(p));
      EXPECT_TRUE(!root || root == roots.of(PieceIndex(p)));
    }
    PieceRoots cut(content.metainfo);
    cut.load(ByteView(saved).first(at));
    EXPECT_GE(cut.unknown(), 6U);
  }
}

}  // namespace
}  // namespace swarmfs::metainfo
