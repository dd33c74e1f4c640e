// A PieceStore and a BlockKeep in memory, whose disk can be slow, full or broken.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "swarm/base/layout.h"
#include "swarm/base/piece_store.h"
#include "swarm/net/block_keep.h"

namespace swarmfs::test {

/// Thread-safe, as its ports ask. Counts what waits to be written.
class MemoryStore final : public PieceStore, public net::BlockKeep {
 public:
  explicit MemoryStore(Layout layout) : layout_(std::move(layout)) {}

  void put_piece(PieceIndex piece, Bytes bytes) {
    const std::lock_guard lock(mutex_);
    stored_[piece] = std::move(bytes);
  }
  /// From now on writes fail with this kind.
  void fail_writes(std::optional<ErrorKind> kind) {
    const std::lock_guard lock(mutex_);
    failure_ = kind;
  }
  /// Writes wait while it is held.
  void hold(bool on) {
    const std::lock_guard lock(mutex_);
    held_ = on;
    changed_.notify_all();
  }
  std::uint64_t most_unwritten() const { return most_unwritten_; }
  Bytes piece(PieceIndex piece) const {
    const std::lock_guard lock(mutex_);
    const auto at = stored_.find(piece);
    return at == stored_.end() ? Bytes{} : at->second;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return stored_.size();
  }

  // PieceStore
  Result<> write_piece(PieceIndex piece, std::span<const BlockPtr> blocks) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_; });
    if (failure_) return fail(*failure_, "the test's disk took no more");
    Bytes bytes;
    for (const auto& block : blocks) append(bytes, block->view());
    stored_[piece] = std::move(bytes);
    return {};
  }
  Result<> read(PieceIndex piece, std::uint32_t begin, MutableByteView out) override {
    if (try_read(piece, begin, out)) return {};
    return fail(ErrorKind::not_found, "not stored");
  }
  bool try_read(PieceIndex piece, std::uint32_t begin, MutableByteView out) override {
    const std::lock_guard lock(mutex_);
    const auto at = stored_.find(piece);
    if (at == stored_.end() || at->second.size() < begin + out.size()) return false;
    std::copy_n(at->second.begin() + begin, out.size(), out.begin());
    return true;
  }
  bool has(PieceIndex piece) const override {
    const std::lock_guard lock(mutex_);
    return stored_.contains(piece);
  }
  std::vector<bool> pieces() const override {
    const std::lock_guard lock(mutex_);
    std::vector<bool> out(layout_.piece_count());
    for (const auto& [piece, bytes] : stored_) out[piece.value] = true;
    return out;
  }
  bool room_for_backfill() override { return true; }
  Result<> flush() override { return {}; }
  void set_on_lost(std::function<void(PieceIndex)>) override {}

  // net::BlockKeep
  void put(PieceIndex piece, std::uint32_t block, BlockPtr data) override {
    const std::lock_guard lock(mutex_);
    auto& kept = kept_[{piece, block}];
    if (!kept) unwritten_ += data->size;
    kept = std::move(data);
    most_unwritten_ = std::max<std::uint64_t>(most_unwritten_, unwritten_);
  }
  BlockPtr get(PieceIndex piece, std::uint32_t block) override {
    const std::lock_guard lock(mutex_);
    const auto at = kept_.find({piece, block});
    return at == kept_.end() ? nullptr : at->second;
  }
  void release(PieceIndex piece) override {
    const std::lock_guard lock(mutex_);
    auto at = kept_.lower_bound({piece, 0});
    while (at != kept_.end() && at->first.first == piece) {
      unwritten_ -= at->second->size;
      at = kept_.erase(at);
    }
  }

 private:
  const Layout layout_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<PieceIndex, Bytes> stored_;
  std::map<std::pair<PieceIndex, std::uint32_t>, BlockPtr> kept_;
  std::uint64_t unwritten_ = 0;
  std::atomic<std::uint64_t> most_unwritten_ = 0;
  std::optional<ErrorKind> failure_;
  bool held_ = false;
};

}  // namespace swarmfs::test
