#include "swarm/metainfo/merkle.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "swarm/base/hex.h"

namespace swarmfs::metainfo::merkle {
namespace {

constexpr std::uint32_t kPiece = 32'768;

Hashes leaves_of(ByteView bytes) {
  LeafHasher hasher;
  hasher.update(bytes);
  return hasher.finish();
}

/// The root of a full binary tree, computed the slow, obvious way.
Sha256Hash naive_root(Hashes leaves, std::size_t width) {
  leaves.resize(width);
  while (leaves.size() > 1) {
    Hashes above;
    for (std::size_t i = 0; i < leaves.size(); i += 2) {
      above.push_back(sha256_pair(leaves[i], leaves[i + 1]));
    }
    leaves = above;
  }
  return leaves[0];
}

Hashes numbered(std::size_t n) {
  Hashes out(n);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = sha256(as_bytes(std::to_string(i)));
  }
  return out;
}

TEST(Merkle, RootsAreThoseLibtorrentWrote) {
  const Metainfo m = load(fixtures::file("tree_v2.torrent")).value();
  for (std::uint32_t i = 0; i < m.files.size(); ++i) {
    const File& file = m.files[i];
    if (!file.pieces_root) continue;
    const Bytes& content = fixtures::contents().at(fixtures::joined(file.path));
    const Hashes leaves = leaves_of(content);
    EXPECT_EQ(leaves.size(), block_count(content.size()));
    EXPECT_EQ(root(leaves, 0, height(content.size())), *file.pieces_root);
    const auto range = m.layout.pieces_of(FileIndex(i));
    const std::size_t per_piece = kPiece / kBlockSize;
    for (std::uint32_t p = range.first.value; p < range.end.value; ++p) {
      const std::size_t first = (p - range.first.value) * per_piece;
      const auto mine = HashView(leaves).subspan(first, std::min(per_piece, leaves.size() - first));
      EXPECT_EQ(root(mine, 0, piece_height(kPiece, file.length)), *m.piece_roots[p]);
    }
  }
}

TEST(Merkle, ZeroSubtreesAreTreesOfZeroLeaves) {
  EXPECT_EQ(zero_subtree(0), Sha256Hash{});
  for (unsigned level = 0; level < 8; ++level) {
    EXPECT_EQ(zero_subtree(level), naive_root({}, std::size_t{1} << level));
    EXPECT_EQ(root({}, 0, level), zero_subtree(level));
  }
}

TEST(Merkle, PadsToTheHeightAsked) {
  for (std::size_t n = 1; n <= 20; ++n) {
    const Hashes leaves = numbered(n);
    EXPECT_EQ(root(leaves, 0, 5), naive_root(leaves, 32)) << n;
  }
}

TEST(Merkle, HeightsAndLevels) {
  EXPECT_EQ(height(1), 0u);
  EXPECT_EQ(height(kBlockSize), 0u);
  EXPECT_EQ(height(kBlockSize + 1), 1u);
  EXPECT_EQ(height(3 * kBlockSize), 2u);
  EXPECT_EQ(height(std::uint64_t{1} << 50), 36u);
  EXPECT_EQ(piece_level(kBlockSize), 0u);
  EXPECT_EQ(piece_level(1 << 20), 6u);
  EXPECT_EQ(piece_height(1 << 20, 40'000), 2u);
  EXPECT_EQ(piece_height(1 << 20, std::uint64_t{1} << 30), 6u);
}

TEST(Merkle, LeavesDoNotDependOnHowBytesArrive) {
  const Bytes bytes = fixtures::pattern(1, 100'000);
  for (const std::size_t chunk : {1000u, 16'384u, 40'000u}) {
    LeafHasher hasher;
    for (std::size_t at = 0; at < bytes.size(); at += chunk) {
      hasher.update(ByteView(bytes).subspan(at, std::min(chunk, bytes.size() - at)));
    }
    EXPECT_EQ(hasher.finish(), leaves_of(bytes));
    EXPECT_TRUE(hasher.finish().empty());
  }
}

TEST(Merkle, TreeNodesIncludePadding) {
  const Hashes leaves = numbered(5);
  const HashTree tree(leaves, 0, 3);
  EXPECT_EQ(tree.root(), naive_root(leaves, 8));
  EXPECT_EQ(tree.node(0, 4), leaves[4]);
  EXPECT_EQ(tree.node(0, 7), Sha256Hash{});
  EXPECT_EQ(tree.node(1, 3), zero_subtree(1));
  EXPECT_EQ(tree.node(3, 0), tree.root());
  EXPECT_FALSE(tree.node(0, 8));
  EXPECT_FALSE(tree.node(4, 0));
  EXPECT_FALSE(HashTree(leaves, 2, 5).node(1, 0));
}

/// Every legal run over a file of `blocks` blocks, answered and checked.
class MerkleRuns : public testing::TestWithParam<std::size_t> {
 protected:
  std::size_t blocks() const { return GetParam(); }
  std::uint64_t length() const { return blocks() * kBlockSize - 5; }
  HashTree tree() const { return HashTree(numbered(blocks()), 0, height(length())); }

  template <class Use>
  void each_run(Use use) const {
    const unsigned top = height(length());
    for (std::uint32_t base = 0; base < top; ++base) {
      for (std::uint32_t n = 2; n <= 1U << (top - base); n *= 2) {
        for (std::uint32_t index = 0; index < 1U << (top - base); index += n) {
          for (std::uint32_t p = 0; p <= proof_layers_to_root(base, top); ++p) {
            use(HashRun{base, index, n, p});
          }
        }
      }
    }
  }
};

TEST_P(MerkleRuns, AnswersClimbToNodesOfTheTree) {
  const HashTree t = tree();
  const auto node_at = [&](unsigned level, std::uint64_t i) { return t.node(level, i); };
  std::size_t proven = 0;
  each_run([&](const HashRun& run) {
    ASSERT_TRUE(valid(run, length()));
    const auto hashes = answer(run, node_at);
    ASSERT_TRUE(hashes);
    ASSERT_EQ(hashes->size(), run.length + uncle_count(run));
    const auto top = climb(run, *hashes);
    ASSERT_TRUE(top);
    EXPECT_EQ(top->hash, t.node(top->level, top->index));
    if (run.proof_layers == proof_layers_to_root(run.base, height(length()))) {
      EXPECT_TRUE(proves(run, *hashes, height(length()), t.root()));
      ++proven;
    }
  });
  EXPECT_GT(proven, 0u);
}

TEST_P(MerkleRuns, AnyWrongHashIsNoticed) {
  const HashTree t = tree();
  const unsigned top = height(length());
  const auto node_at = [&](unsigned level, std::uint64_t i) { return t.node(level, i); };
  each_run([&](const HashRun& run) {
    if (run.proof_layers != proof_layers_to_root(run.base, top)) return;
    Hashes hashes = *answer(run, node_at);
    for (Sha256Hash& hash : hashes) {
      hash[31] ^= 1;
      EXPECT_FALSE(proves(run, hashes, top, t.root()));
      hash[31] ^= 1;
    }
    hashes.pop_back();
    EXPECT_FALSE(proves(run, hashes, top, t.root()));
    hashes.resize(hashes.size() + 2);
    EXPECT_FALSE(proves(run, hashes, top, t.root()));
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, MerkleRuns, testing::Values(2, 3, 5, 8, 11, 16));

TEST(Merkle, RunsOutsideTheFileAreInvalid) {
  const std::uint64_t file = 11 * kBlockSize;  // 16 leaves, height 4
  EXPECT_TRUE(valid({0, 8, 8, 3}, file));
  EXPECT_FALSE(valid({0, 16, 8, 0}, file));  // past the level
  EXPECT_FALSE(valid({0, 0xfffffff8, 8, 0}, file));
  EXPECT_FALSE(valid({0, 4, 8, 0}, file));  // index no multiple of length
  EXPECT_FALSE(valid({0, 0, 3, 0}, file));  // no power of two
  EXPECT_FALSE(valid({0, 0, 0, 0}, file));
  EXPECT_FALSE(valid({0, 0, 1, 0}, file));
  EXPECT_FALSE(valid({0, 0, 32, 0}, file));  // wider than the level
  EXPECT_FALSE(valid({0, 0, 8, 4}, file));   // proof past the root
  EXPECT_FALSE(valid({5, 0, 2, 0}, file));   // above the root
  EXPECT_FALSE(valid({0xffffffff, 0, 2, 0}, file));
  EXPECT_FALSE(valid({0, 0, 2, 0}, 0));
  EXPECT_TRUE(valid({0, 0, kMaxRun, 0}, std::uint64_t{kMaxRun} * kBlockSize));
  EXPECT_FALSE(valid({0, 0, 2 * kMaxRun, 0}, std::uint64_t{kMaxRun} * kBlockSize * 2));
}

TEST(Merkle, UnknownNodesMakeNoAnswer) {
  const HashTree upper(numbered(4), 2, 4);
  const auto node_at = [&](unsigned level, std::uint64_t i) { return upper.node(level, i); };
  EXPECT_TRUE(answer({2, 0, 2, 1}, node_at));
  EXPECT_FALSE(answer({0, 0, 4, 3}, node_at));
}

}  // namespace
}  // namespace swarmfs::metainfo::merkle
