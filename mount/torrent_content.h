// One torrent's bytes for readers: memory, then disk, then the swarm.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "cache/block_cache.h"
#include "cache/store.h"
#include "mount/idle_checker.h"
#include "mount/limits.h"
#include "swarm/base/content_source.h"
#include "swarm/metainfo/piece_roots.h"
#include "swarm/net/block_keep.h"
#include "swarm/net/torrent_driver.h"

namespace swarmfs::mount {

/// Joins a torrent's store, its memory of blocks and its swarm into the ContentSource that the
/// filesystem reads, and is the BlockKeep that the swarm fills. Thread-safe.
class TorrentContent final : public ContentSource,
                             public net::BlockKeep,
                             public std::enable_shared_from_this<TorrentContent> {
 public:
  /// `memory_bytes`: for blocks kept beyond those the disk has yet to take.
  TorrentContent(std::shared_ptr<metainfo::PieceRoots> roots, std::unique_ptr<cache::Store> store,
                 std::uint64_t memory_bytes);

  /// Before the first read that is not answered from disk. `loop`: what the driver must not
  /// outlive.
  void attach(std::shared_ptr<net::TorrentDriver> driver, std::shared_ptr<void> loop,
              const Limits& limits);
  /// For verify_later(). Before the first read; it outlives this, or detach() comes before its end.
  void set_checker(IdleChecker& checker) { checker_ = &checker; }
  /// When nobody reads any more and the driver is stopped.
  void detach() {
    driver_.reset();
    loop_.reset();
    checker_ = nullptr;
  }
  net::TorrentDriver& driver() { return *driver_; }
  const std::shared_ptr<net::TorrentDriver>& shared_driver() const { return driver_; }
  cache::Store& store() { return *store_; }
  const metainfo::Metainfo& metainfo() const { return *roots_->metainfo(); }
  /// Memory for blocks kept beyond those the disk has yet to take, from now on.
  void set_memory(std::uint64_t bytes) { memory_.set_capacity(bytes); }
  /// Keeps the piece layers learnt since the last call beside the pieces, for the next run: see
  /// load_layers(). May wait for the disk; one call at a time.
  void keep_layers();

  // Orders of the user. They return at once, and take effect a little later on the loop.
  /// Without peers and trackers until resume(): reads of what is not here wait.
  void pause();
  void resume();
  bool paused() const { return paused_; }
  void set_limits(const Limits& limits);
  Limits limits() const;
  /// Pinned files are fetched before the rest, also on demand, and are pinned in the next run too.
  void pin(FileIndex file) { static_cast<void>(set_pinned({&file, 1}, true)); }
  void unpin(FileIndex file) { static_cast<void>(set_pinned({&file, 1}, false)); }
  /// Pins or unpins them. The disk's error if the next run will not know; may wait for the disk.
  Result<> set_pinned(std::span<const FileIndex> files, bool pinned);
  std::vector<FileIndex> pinned() const;
  /// Fetches bytes [begin, end) of a file, as far as there are so many, before what is pinned.
  void prefetch(FileIndex file, std::uint64_t begin, std::uint64_t end);
  /// How many of bytes [begin, end) of a file are here, and of how many.
  struct Share {
    std::uint64_t here = 0, all = 0;
  };
  Share share_here(FileIndex file, std::uint64_t begin, std::uint64_t end) const;

  // ContentSource
  ReadId read(const ReadRequest& request, ReadDone done, ReadPart part) override;
  void cancel(ReadId read) override;
  std::optional<Content> peek(FileIndex file, std::uint64_t offset, std::uint32_t length) override;
  void set_window(HandleId handle, FileIndex file, std::uint64_t begin, std::uint64_t end,
                  double bps) override;
  void close(HandleId handle) override;
  FilePlace place_of(FileIndex file) const override;
  Fd open_verified(FileIndex file) override { return store_->open_verified(file); }
  void verify_later(FileIndex file) override;
  std::uint64_t bytes_here(FileIndex file) const override;
  std::uint64_t changes() const override { return store_->changes(); }
  std::string piece_map(FileIndex file) const override;
  bool is_pinned(FileIndex file) const override;

  // net::BlockKeep
  void put(PieceIndex piece, std::uint32_t block, BlockPtr data) override;
  BlockPtr get(PieceIndex piece, std::uint32_t block) override;
  void release(PieceIndex piece) override;

 private:
  using Spans = std::vector<Layout::Span>;
  enum class Disk : std::uint8_t { may_wait, must_not_wait };
  struct Found {
    Content content;
    ReadSource source = ReadSource::memory;
  };
  /// The bytes of the spans, or nothing if some are not here (or not without waiting).
  std::optional<Found> collect(const Spans& spans, Disk disk);
  bool collect_from_memory(const Layout::Span& span, Content& out);
  bool is_stored(const Spans& spans) const;
  void read_from_disk(engine::ReadOwner owner, Spans spans, ReadDone done, ReadPart part,
                      unsigned tries, ReadStory story);
  ReadId park(engine::ReadOwner owner, Spans spans, ReadDone done, ReadPart part, unsigned tries);
  void load_pins();
  void tell_pins(const std::set<FileIndex>& pins);
  std::vector<Layout::Span> spans_within(FileIndex file, std::uint64_t begin,
                                         std::uint64_t end) const;

  std::shared_ptr<metainfo::PieceRoots> roots_;
  std::size_t kept_layers_;
  const Layout& layout_;
  std::unique_ptr<cache::Store> store_;
  cache::BlockCache memory_;
  std::shared_ptr<void> loop_;  ///< before the driver, which ends first
  std::shared_ptr<net::TorrentDriver> driver_;
  std::atomic<bool> paused_{false};
  std::mutex keep_pins_mutex_;       ///< held while pins are written; before the other
  mutable std::mutex orders_mutex_;  ///< guards limits_ and pins_
  Limits limits_;
  std::set<FileIndex> pins_;
  IdleChecker* checker_ = nullptr;
};

/// ContentSource::place_of() of a torrent's file.
FilePlace place_in(const Layout& layout, FileIndex file);

/// For StoreOptions::before_checks: gives `roots` the piece layers that an earlier run kept, so
/// that what it has written can be verified. Layers that the disk has changed are left out.
std::function<void(cache::Store&)> load_layers(std::shared_ptr<metainfo::PieceRoots> roots);

}  // namespace swarmfs::mount
