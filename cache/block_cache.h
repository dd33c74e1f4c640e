// Verified blocks in memory, bounded in bytes.
//
// Blocks that the disk does not hold yet are pinned: they are never evicted, and count as
// unwritten, so that the engine can hold back before they fill the memory. The rest is evicted by
// SIEVE: oldest first, but a block that was read since the hand last passed stays for another
// round. One long sequential read therefore does not push out what is read again and again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "swarm/base/block.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::cache {

/// All methods are thread-safe and short: no I/O, no callback.
class BlockCache {
 public:
  struct Stats {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t evicted = 0;          ///< blocks
    std::uint64_t bytes = 0;            ///< held, unwritten ones included
    std::uint64_t unwritten_bytes = 0;  ///< pinned
  };

  /// Keeps evictable blocks until all blocks together exceed about `capacity_bytes`; pinned ones
  /// may exceed it.
  explicit BlockCache(std::uint64_t capacity_bytes);
  /// Another capacity from now on; what is too much is evicted.
  void set_capacity(std::uint64_t bytes);

  /// Keeps a verified block, in place of one already there. A pinned one stays until written().
  void put(PieceIndex piece, std::uint32_t block, BlockPtr content, bool pinned);
  /// Null if it is not here.
  BlockPtr get(PieceIndex piece, std::uint32_t block);
  /// get() without counting as a use.
  bool contains(PieceIndex piece, std::uint32_t block) const;

  /// The disk holds the piece: its blocks may be evicted from now on.
  void written(PieceIndex piece, std::uint32_t block_count);
  /// Forgets the piece's blocks, pinned or not (it could not be written, or was dropped).
  void erase(PieceIndex piece, std::uint32_t block_count);

  /// Bytes that are pinned. Any thread, no lock.
  std::uint64_t unwritten_bytes() const { return unwritten_bytes_.load(); }
  Stats stats() const;

 private:
  static constexpr std::size_t kShards = 16;

  struct Entry {
    std::uint64_t key = 0;
    BlockPtr content;
    bool pinned = false;
    bool used = false;  ///< since the hand last passed
  };
  using Entries = std::list<Entry>;
  struct Shard {
    mutable std::mutex mutex;
    Entries entries;  ///< newest first
    std::unordered_map<std::uint64_t, Entries::iterator> index;
    Entries::iterator hand = entries.end();  ///< next to be looked at, moving from old to new
    std::uint64_t bytes = 0;
    std::uint64_t pinned_bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t evicted = 0;
  };

  static std::uint64_t key_of(PieceIndex piece, std::uint32_t block) {
    return std::uint64_t{piece.value} << 32 | block;
  }
  const Shard& shard_of(std::uint64_t key) const;
  Shard& shard_of(std::uint64_t key);
  void unpin(Shard& shard, Entry& entry);
  void remove(Shard& shard, Entries::iterator entry);
  void evict(Shard& shard);

  std::atomic<std::uint64_t> shard_capacity_;
  std::atomic<std::uint64_t> unwritten_bytes_ = 0;
  std::array<Shard, kShards> shards_;
};

}  // namespace swarmfs::cache
