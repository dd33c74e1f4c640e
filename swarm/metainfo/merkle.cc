#include "swarm/metainfo/merkle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <utility>

#include "swarm/base/block.h"

namespace swarmfs::metainfo::merkle {
namespace {

/// Replaces a level by the one above it; a missing right child is a zero subtree.
void fold(Hashes& nodes, unsigned level) {
  const std::size_t parents = (nodes.size() + 1) / 2;
  for (std::size_t i = 0; i < parents; ++i) {
    const Sha256Hash& right = 2 * i + 1 < nodes.size() ? nodes[2 * i + 1] : zero_subtree(level);
    nodes[i] = sha256_pair(nodes[2 * i], right);
  }
  nodes.resize(parents);
}

unsigned log2_of(std::uint32_t power) { return static_cast<unsigned>(std::countr_zero(power)); }

}  // namespace

const Sha256Hash& zero_subtree(unsigned level) {
  static const auto table = [] {
    std::array<Sha256Hash, 64> t{};
    for (std::size_t i = 1; i < t.size(); ++i) t[i] = sha256_pair(t[i - 1], t[i - 1]);
    return t;
  }();
  return table.at(level);
}

std::uint64_t block_count(std::uint64_t bytes) {
  return bytes / kBlockSize + (bytes % kBlockSize != 0 ? 1 : 0);
}

unsigned height(std::uint64_t length) {
  assert(length > 0);
  return static_cast<unsigned>(std::bit_width(block_count(length) - 1));
}

unsigned piece_level(std::uint32_t piece_length) { return log2_of(piece_length / kBlockSize); }

unsigned piece_height(std::uint32_t piece_length, std::uint64_t file_length) {
  return std::min(piece_level(piece_length), height(file_length));
}

Sha256Hash root(HashView nodes, unsigned level, unsigned top) {
  assert(level <= top && nodes.size() <= (std::uint64_t{1} << (top - level)));
  if (nodes.empty()) return zero_subtree(top);
  Hashes row(nodes.begin(), nodes.end());
  for (; level < top; ++level) fold(row, level);
  return row.front();
}

void LeafHasher::update(ByteView bytes) {
  while (!bytes.empty()) {
    const std::size_t take = std::min<std::size_t>(bytes.size(), kBlockSize - filled_);
    hasher_.update(bytes.first(take));
    filled_ += static_cast<std::uint32_t>(take);
    bytes = bytes.subspan(take);
    if (filled_ == kBlockSize) {
      leaves_.push_back(hasher_.finish());
      filled_ = 0;
    }
  }
}

Hashes LeafHasher::finish() {
  if (filled_ > 0) leaves_.push_back(hasher_.finish());
  filled_ = 0;
  return std::exchange(leaves_, {});
}

HashTree::HashTree(Hashes nodes, unsigned level, unsigned top) : level_(level) {
  assert(!nodes.empty() && level <= top && nodes.size() <= (std::uint64_t{1} << (top - level)));
  for (; level < top; ++level) {
    Hashes above = nodes;
    fold(above, level);
    levels_.push_back(std::exchange(nodes, std::move(above)));
  }
  levels_.push_back(std::move(nodes));
}

std::optional<Sha256Hash> HashTree::node(unsigned level, std::uint64_t index) const {
  if (level < level_ || level - level_ >= levels_.size()) return std::nullopt;
  const std::size_t top = levels_.size() - 1 - (level - level_);
  if (index >> top != 0) return std::nullopt;
  const Hashes& row = levels_[level - level_];
  return index < row.size() ? row[index] : zero_subtree(level);
}

bool valid(const HashRun& run, std::uint64_t file_length) {
  if (file_length == 0) return false;
  const unsigned top = height(file_length);
  if (run.base > top) return false;
  const std::uint64_t width = std::uint64_t{1} << (top - run.base);
  if (run.length > kMaxRun || !std::has_single_bit(run.length)) return false;
  if (run.length < std::min<std::uint64_t>(2, width) || run.length > width) return false;
  if (run.index % run.length != 0 || run.index >= width) return false;
  return run.proof_layers <= proof_layers_to_root(run.base, top);
}

std::uint32_t uncle_count(const HashRun& run) {
  const std::uint32_t omitted = std::max(log2_of(std::bit_ceil(run.length)), 1U) - 1;
  return run.proof_layers > omitted ? run.proof_layers - omitted : 0;
}

std::optional<Hashes> answer(const HashRun& run, const NodeAt& node_at) {
  Hashes out;
  out.reserve(run.length + uncle_count(run));
  const auto add = [&](unsigned level, std::uint64_t index) {
    const std::optional<Sha256Hash> node = node_at(level, index);
    if (node) out.push_back(*node);
    return node.has_value();
  };
  for (std::uint32_t i = 0; i < run.length; ++i) {
    if (!add(run.base, std::uint64_t{run.index} + i)) return std::nullopt;
  }
  unsigned level = run.base + log2_of(run.length);
  std::uint64_t index = run.index / run.length;
  for (std::uint32_t left = uncle_count(run); left > 0; --left, ++level, index /= 2) {
    if (!add(level, index ^ 1)) return std::nullopt;
  }
  return out;
}

std::optional<Ancestor> climb(const HashRun& run, HashView hashes) {
  if (!std::has_single_bit(run.length) || run.index % run.length != 0) return std::nullopt;
  if (hashes.size() != std::uint64_t{run.length} + uncle_count(run)) return std::nullopt;
  const unsigned own = log2_of(run.length);
  if (run.base + std::uint64_t{own} + uncle_count(run) > 63) return std::nullopt;
  Ancestor node{run.base + own, run.index / run.length,
                root(hashes.first(run.length), run.base, run.base + own)};
  for (const Sha256Hash& uncle : hashes.subspan(run.length)) {
    node.hash = node.index % 2 == 0 ? sha256_pair(node.hash, uncle) : sha256_pair(uncle, node.hash);
    node.index /= 2;
    ++node.level;
  }
  return node;
}

std::uint32_t proof_layers_to_root(std::uint32_t base, unsigned tree_height) {
  return tree_height > base + 1 ? tree_height - base - 1 : 0;
}

bool proves(const HashRun& run, HashView hashes, unsigned tree_height, const Sha256Hash& root) {
  const std::optional<Ancestor> top = climb(run, hashes);
  return top && top->level == tree_height && top->index == 0 && top->hash == root;
}

}  // namespace swarmfs::metainfo::merkle
