// Leaf hashes of pieces, kept for peers that ask for them (BEP 52).
//
// Computing them takes a whole piece from the disk, and readers ask for a few leaves at a time.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <utility>

#include "swarm/base/strong_index.h"
#include "swarm/metainfo/merkle.h"

namespace swarmfs::engine {

/// Trees over single pieces; the least recently used give way. Not thread-safe.
class LeafCache {
 public:
  /// `max_leaves`: in all trees together, at about 64 bytes each. One tree may exceed it alone.
  explicit LeafCache(std::size_t max_leaves) : max_leaves_(max_leaves) {}

  /// Null if it is not kept. Valid until the next add() or erase().
  const metainfo::merkle::HashTree* find(PieceIndex piece) {
    const auto it = index_.find(piece);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->tree;
  }
  /// `leaves`: all of the piece that are not padding, at least one; `height`: of the tree over it.
  const metainfo::merkle::HashTree* add(PieceIndex piece, metainfo::merkle::Hashes leaves,
                                        unsigned height) {
    erase(piece);
    const std::size_t count = leaves.size();
    entries_.push_front({piece, count, metainfo::merkle::HashTree(std::move(leaves), 0, height)});
    index_[piece] = entries_.begin();
    held_ += count;
    while (held_ > max_leaves_ && entries_.size() > 1) erase(entries_.back().piece);
    return &entries_.front().tree;
  }
  void erase(PieceIndex piece) {
    const auto it = index_.find(piece);
    if (it == index_.end()) return;
    held_ -= it->second->leaves;
    entries_.erase(it->second);
    index_.erase(it);
  }
  std::size_t leaves() const { return held_; }

 private:
  struct Entry {
    PieceIndex piece;
    std::size_t leaves;
    metainfo::merkle::HashTree tree;
  };
  const std::size_t max_leaves_;
  std::size_t held_ = 0;
  std::list<Entry> entries_;  ///< most recently used first
  std::map<PieceIndex, std::list<Entry>::iterator> index_;
};

}  // namespace swarmfs::engine
