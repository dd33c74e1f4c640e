// What the tree holds of a torrent, from the moment it is shown until long after it is gone.
//
// Names and sizes are in the manifest, so a torrent is shown before its store has been opened,
// which may take a check of the disk. Reads wait here until then. Once it ends, because its store
// cannot be opened or because it was removed, every read gets that error, and the content is let
// go: its store closes when the last one who is just using it is done.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "mount/torrent_content.h"
#include "swarm/base/content_source.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::mount {

/// Thread-safe.
class TorrentSource final : public ContentSource,
                            public std::enable_shared_from_this<TorrentSource> {
 public:
  enum class State : std::uint8_t { opening, open, broken, gone };

  /// `parked` is called, without a lock, after a read began to wait for the store: expire() is to
  /// be called a read timeout later. May be empty.
  TorrentSource(std::shared_ptr<const metainfo::Metainfo> metainfo, std::function<void()> parked);

  /// The store is open: the reads that waited go on there. False if it has ended already.
  bool open(const std::shared_ptr<TorrentContent>& content);
  struct Ended {
    State was = State::opening;
    std::shared_ptr<TorrentContent> content;  ///< that it had until now
  };
  /// Ends for good: as `gone` if the error is of that kind, else as broken, and then reads fail as
  /// of the kind io. Those that wait for the store end here, those in the swarm by who ends that.
  /// What was broken may still go.
  Ended end(const Error& why);
  /// Ends reads that have waited for the store since before `since` with timed_out.
  void expire(TimePoint since);

  State state() const;
  /// Why it is broken or gone.
  Error error() const;
  /// Null unless it is open.
  std::shared_ptr<TorrentContent> content() const;
  const metainfo::Metainfo& metainfo() const { return *metainfo_; }
  /// What the swarm calls a read that was given out here; 0 while it waits for the store.
  ReadId in_swarm(ReadId read) const;

  // ContentSource
  ReadId read(const ReadRequest& request, ReadDone done, ReadPart part) override;
  void cancel(ReadId read) override;
  std::optional<Content> peek(FileIndex file, std::uint64_t offset, std::uint32_t length) override;
  void set_window(HandleId handle, FileIndex file, std::uint64_t begin, std::uint64_t end,
                  double bps) override;
  void close(HandleId handle) override;
  FilePlace place_of(FileIndex file) const override;
  Fd open_verified(FileIndex file) override;
  void verify_later(FileIndex file) override;
  std::uint64_t bytes_here(FileIndex file) const override;
  std::uint64_t changes() const override;
  std::string piece_map(FileIndex file) const override;
  bool is_pinned(FileIndex file) const override;
  std::string state_text() const override;
  std::uint32_t peers() const override;

 private:
  struct Window {
    FileIndex file;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    double bps = 0;
  };
  struct Waiting {
    ReadRequest request;
    ReadDone done;
    ReadPart part;
    TimePoint since;
  };
  /// A read that waited here and now is the content's.
  struct Forwarded {
    HandleId handle;
    ReadId id;  ///< 0: still being handed over
    bool cancelled = false;
  };
  using WaitingReads = std::map<ReadId, Waiting>;
  void forward(TorrentContent& content, ReadId ours, const Waiting& read);

  const std::shared_ptr<const metainfo::Metainfo> metainfo_;
  const std::function<void()> parked_;
  mutable std::shared_mutex mutex_;  ///< guards what follows; nothing is called with it held
  State state_ = State::opening;
  Error error_;
  std::shared_ptr<TorrentContent> content_;
  std::uint64_t next_ = 0;
  WaitingReads waiting_;
  std::map<ReadId, Forwarded> forwarded_;
  std::map<HandleId, Window> windows_;  ///< wanted before the store was open
};

}  // namespace swarmfs::mount
