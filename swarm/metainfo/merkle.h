// BEP 52's merkle trees, as pure functions.
//
// A file's tree has one leaf per 16 KiB block (the last block unpadded), filled up with zero
// leaves to a power of two. Level 0 is the leaves; level k joins 2^k of them; the level of the
// root is the tree's height. Indices count nodes of a level from the left.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/hash.h"

namespace swarmfs::metainfo::merkle {

using Hashes = std::vector<Sha256Hash>;
using HashView = std::span<const Sha256Hash>;

/// Root of 2^level zero leaves; level 0..63.
const Sha256Hash& zero_subtree(unsigned level);

/// Blocks of a file or piece of this many bytes.
std::uint64_t block_count(std::uint64_t bytes);
/// Height of the tree of a file of `length` > 0 bytes.
unsigned height(std::uint64_t length);
/// Level whose nodes each cover one piece; piece_length a power of two, at least 16 KiB.
unsigned piece_level(std::uint32_t piece_length);
/// Height of the tree over one piece of a file: piece_level(), but a file shorter than a piece
/// has a tree of its own width only.
unsigned piece_height(std::uint32_t piece_length, std::uint64_t file_length);

/// The node at level `top` over `nodes`, which stand at level `level` from its left edge on;
/// missing ones are zero subtrees. nodes.size() at most 2^(top - level).
Sha256Hash root(HashView nodes, unsigned level, unsigned top);

/// Hashes a run of bytes that arrives in chunks of any size into leaves.
class LeafHasher {
 public:
  void update(ByteView bytes);
  /// The leaves since construction or the last finish(); a last short block counts as one.
  Hashes finish();

 private:
  Sha256 hasher_;
  std::uint32_t filled_ = 0;
  Hashes leaves_;
};

/// A whole level of a file's tree and everything above it: the lookup behind answers to hash
/// requests. Holds only nodes that are not padding; about twice the memory of the level.
class HashTree {
 public:
  /// `nodes` are the non-padding hashes of `level`, at least one; `top` the height of the tree.
  HashTree(Hashes nodes, unsigned level, unsigned top);
  const Sha256Hash& root() const { return levels_.back().front(); }
  /// The node, padding included; nothing below the level it was built from or out of range.
  std::optional<Sha256Hash> node(unsigned level, std::uint64_t index) const;

 private:
  unsigned level_;
  std::vector<Hashes> levels_;
};

/// What a hash request asks for (BEP 52): `length` hashes of level `base` from `index` on, and
/// uncle hashes that lead `proof_layers` levels up from the base.
struct HashRun {
  std::uint32_t base = 0;
  std::uint32_t index = 0;
  std::uint32_t length = 0;
  std::uint32_t proof_layers = 0;
  bool operator==(const HashRun&) const = default;
};

/// Longest run worth an answer: all leaves of a 128 MiB piece. BEP 52 advises 512, but clients ask
/// for the leaves of a whole piece at once.
inline constexpr std::uint32_t kMaxRun = 8192;

/// BEP 52's rules for a request to a file of `file_length` bytes: length a power of two, 2 to
/// kMaxRun (1 where the level has one node), index a multiple of it, inside the level, and the
/// proof ending below the root.
bool valid(const HashRun& run, std::uint64_t file_length);

/// How many uncle hashes follow the run: proof layers inside the run's own subtree are omitted.
std::uint32_t uncle_count(const HashRun& run);

/// Looks up a node of a file's tree, padding included; nothing if it is not known.
using NodeAt = std::function<std::optional<Sha256Hash>(unsigned level, std::uint64_t index)>;

/// The hashes of a `hashes` message: the run, then its uncles from the lowest up. Nothing if a
/// node is not known: then the request is to be rejected.
std::optional<Hashes> answer(const HashRun& run, const NodeAt& node_at);

/// A node computed from below.
struct Ancestor {
  unsigned level = 0;
  std::uint64_t index = 0;
  Sha256Hash hash{};
};

/// Climbs from the hashes of a `hashes` message to the highest node they lead to. Nothing if
/// their number is not what the run asks for. The hashes are right if that node's hash is the
/// one known already: the file's root, or a hash of a layer verified earlier.
std::optional<Ancestor> climb(const HashRun& run, HashView hashes);

/// The proof_layers that make climb() end at the root of a tree of this height.
std::uint32_t proof_layers_to_root(std::uint32_t base, unsigned tree_height);

/// True if `hashes` answers the run and leads to `root`, the root of a tree of this height.
bool proves(const HashRun& run, HashView hashes, unsigned tree_height, const Sha256Hash& root);

}  // namespace swarmfs::metainfo::merkle
