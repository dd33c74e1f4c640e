#include "cache/block_cache.h"

#include <iterator>
#include <utility>

namespace swarmfs::cache {

BlockCache::BlockCache(std::uint64_t capacity_bytes) : shard_capacity_(capacity_bytes / kShards) {}

void BlockCache::set_capacity(std::uint64_t bytes) {
  shard_capacity_ = bytes / kShards;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    evict(shard);
  }
}

const BlockCache::Shard& BlockCache::shard_of(std::uint64_t key) const {
  // Fibonacci hashing: neighbouring blocks spread evenly, so the shards fill evenly.
  return shards_[(key * 0x9E3779B97F4A7C15ULL) >> 60];
}

BlockCache::Shard& BlockCache::shard_of(std::uint64_t key) {
  return const_cast<Shard&>(std::as_const(*this).shard_of(key));
}

void BlockCache::put(PieceIndex piece, std::uint32_t block, BlockPtr content, bool pinned) {
  const std::uint64_t key = key_of(piece, block);
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.index.find(key); found != shard.index.end()) {
    // The disk still lacks what was pinned, whoever puts it again.
    pinned = pinned || found->second->pinned;
    remove(shard, found->second);
  }
  const std::uint64_t size = content->size;
  shard.entries.push_front({key, std::move(content), pinned, false});
  shard.index[key] = shard.entries.begin();
  shard.bytes += size;
  if (pinned) {
    shard.pinned_bytes += size;
    unwritten_bytes_ += size;
  }
  evict(shard);
}

BlockPtr BlockCache::get(PieceIndex piece, std::uint32_t block) {
  const std::uint64_t key = key_of(piece, block);
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(key);
  if (found == shard.index.end()) {
    ++shard.misses;
    return nullptr;
  }
  ++shard.hits;
  found->second->used = true;
  return found->second->content;
}

bool BlockCache::contains(PieceIndex piece, std::uint32_t block) const {
  const std::uint64_t key = key_of(piece, block);
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  return shard.index.contains(key);
}

void BlockCache::written(PieceIndex piece, std::uint32_t block_count) {
  for (std::uint32_t block = 0; block < block_count; ++block) {
    const std::uint64_t key = key_of(piece, block);
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (found == shard.index.end()) continue;
    unpin(shard, *found->second);
    evict(shard);
  }
}

void BlockCache::erase(PieceIndex piece, std::uint32_t block_count) {
  for (std::uint32_t block = 0; block < block_count; ++block) {
    const std::uint64_t key = key_of(piece, block);
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(key); found != shard.index.end())
      remove(shard, found->second);
  }
}

BlockCache::Stats BlockCache::stats() const {
  Stats sum;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum.hits += shard.hits;
    sum.misses += shard.misses;
    sum.evicted += shard.evicted;
    sum.bytes += shard.bytes;
    sum.unwritten_bytes += shard.pinned_bytes;
  }
  return sum;
}

void BlockCache::unpin(Shard& shard, Entry& entry) {
  if (!std::exchange(entry.pinned, false)) return;
  shard.pinned_bytes -= entry.content->size;
  unwritten_bytes_ -= entry.content->size;
}

void BlockCache::remove(Shard& shard, Entries::iterator entry) {
  unpin(shard, *entry);
  shard.bytes -= entry->content->size;
  shard.index.erase(entry->key);
  if (shard.hand == entry)
    shard.hand = entry == shard.entries.begin() ? shard.entries.end() : std::prev(entry);
  shard.entries.erase(entry);
}

void BlockCache::evict(Shard& shard) {
  // Two rounds look at every entry with its mark cleared; with only pinned ones left there is
  // nothing to find, and the sum below says so at once.
  while (shard.bytes > shard_capacity_ && shard.bytes > shard.pinned_bytes) {
    if (shard.hand == shard.entries.end()) shard.hand = std::prev(shard.entries.end());
    const auto at = shard.hand;
    if (at->pinned || at->used) {
      at->used = false;
      shard.hand = at == shard.entries.begin() ? shard.entries.end() : std::prev(at);
      continue;
    }
    remove(shard, at);
    ++shard.evicted;
  }
}

}  // namespace swarmfs::cache
