// Verified pieces of one torrent on the local disk: the cache's PieceStore.
//
// The rule it keeps: no byte leaves it that was not verified in this run, not after a crash, a
// failed sync or a damaged disk either. A piece is verified in memory by the caller, written,
// synced together with others, and then recorded; only the record makes a later run claim it, and
// that run verifies it again before it first hands any of it out.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "cache/disk.h"
#include "cache/piece_files.h"
#include "cache/piece_record.h"
#include "cache/piece_states.h"
#include "swarm/base/clock.h"
#include "swarm/base/hash.h"
#include "swarm/base/layout.h"
#include "swarm/base/piece_store.h"

namespace swarmfs::cache {

struct StoreOptions {
  Layout layout;
  Place place;
  /// Folder of the lock and the record, made 0700 if missing. Empty: neither is kept, and only
  /// what is written or marked present in this run counts.
  fs::path state_folder;

  /// What is written is synced and recorded when it is this old, or this much.
  std::chrono::milliseconds group_time{2000};
  std::uint64_t group_bytes = 64ULL << 20;
  /// False: no thread of its own; only flush() and the destructor sync.
  bool background_flush = true;

  /// Backfill leaves free the larger of this share of the disk and this many bytes.
  double reserve_share = 0.05;
  std::uint64_t reserve_bytes = 2ULL << 30;

  /// Called by open() when blobs can be read and nothing has been verified yet: for what the
  /// verification needs from an earlier run. Only with a state folder.
  std::function<void(class Store&)> before_checks;

  /// Asked to stop, open() gives up with `cancelled` what it hashes; the next run begins it again.
  std::stop_token cancel;

  Disk* disk = &posix_disk();  ///< must outlive the store
  std::function<TimePoint()> now = &std::chrono::steady_clock::now;

  /// The cache layout: numbered files, record and lock in <cache_folder>/<primary info hash>.
  static StoreOptions for_cache(const fs::path& cache_folder, const InfoHashes& hashes,
                                Layout layout);
};

/// Sums since the store was opened.
struct StoreStats {
  std::uint64_t bytes_written = 0;
  std::uint64_t pieces_rechecked = 0;  ///< verified again after an earlier run or during a sync
  std::uint64_t pieces_lost = 0;
  std::uint64_t flushes = 0;
  double sync_seconds = 0;    ///< waiting for data to be on disk
  double commit_seconds = 0;  ///< waiting for the record
  std::string last_error;     ///< of a flush; empty if the last one worked
};

/// What open() found.
struct StoreFound {
  std::size_t recorded = 0;   ///< pieces claimed by the record
  std::size_t recovered = 0;  ///< pieces found on disk that the record did not have
  bool clean = false;         ///< the last run ended in order
  bool record_lost = false;   ///< the record was damaged, or of another layout
};

class Store final : public PieceStore {
 public:
  /// Locks, loads the record and, where the last run did not end in order or the record was
  /// damaged, hashes what lies on disk unrecorded. Errors: busy (says which process), no_space,
  /// permission, io.
  static Result<std::unique_ptr<Store>> open(StoreOptions options, VerifyPiece verify);
  /// Flushes and notes that the run ended in order. on_lost is not called any more.
  ~Store() override;

  // PieceStore
  Result<> write_piece(PieceIndex piece, std::span<const BlockPtr> blocks) override;
  Result<> read(PieceIndex piece, std::uint32_t begin, MutableByteView out) override;
  bool try_read(PieceIndex piece, std::uint32_t begin, MutableByteView out) override;
  bool has(PieceIndex piece) const override;
  std::vector<bool> pieces() const override;
  bool room_for_backfill() override;
  Result<> flush() override;
  void set_on_lost(std::function<void(PieceIndex)> on_lost) override;

  /// Takes the result of a full check made in this run: pieces that are true are here and
  /// verified; of those that are false, what an earlier run recorded is forgotten.
  void mark_present(const std::vector<bool>& verified);
  /// Hashes what lies on disk unrecorded, keeps what matches and returns how many pieces did.
  std::size_t find_unrecorded();

  /// A descriptor of the disk's file if every byte of it was verified in this run and is synced,
  /// so that it may be read without the store; else invalid.
  Fd open_verified(FileIndex file);

  /// Verifies the first piece of a file that an earlier run wrote and this one has not verified
  /// yet. False if there is none, or the disk does not answer. May wait for the disk.
  bool verify_next(FileIndex file);

  /// Bytes of a file that has() covers.
  std::uint64_t bytes_here(FileIndex file) const;
  /// Another number whenever has() of any piece has another answer.
  std::uint64_t changes() const { return states_.changes(); }
  const StoreFound& found() const { return found_; }
  StoreStats stats() const;
  std::size_t open_files() const { return files_.open_files(); }

  /// Keeps bytes about the torrent (info dictionary, piece layers) under a key; durable on return.
  Result<> put_blob(std::string_view key, ByteView value);
  /// Nothing if there is none. The caller checks its hash: the disk may have changed it.
  Result<std::optional<Bytes>> blob(std::string_view key);

 private:
  /// Not yet recorded: true for pieces that are here now, false for dropped ones.
  struct Batch {
    std::map<std::uint32_t, bool> changes;
    std::uint64_t bytes = 0;
  };

  Store(StoreOptions options, VerifyPiece verify);
  Result<> open_record();
  Result<> check_shape(PieceIndex piece, std::span<const BlockPtr> blocks) const;
  Result<bool> read_trusted(PieceIndex piece, PieceStates::Seen seen, std::uint32_t begin,
                            MutableByteView out);
  Result<bool> read_checked(PieceIndex piece, PieceStates::Seen seen, std::uint32_t begin,
                            MutableByteView out);
  bool verify_on_disk(PieceIndex piece, Bytes& buffer, Result<>& read);
  bool drop(PieceIndex piece, PieceStates::Seen seen);
  void add_written(PieceIndex piece);

  void tell_lost(std::span<const PieceIndex> pieces);
  Result<> flush_batch(std::vector<PieceIndex>& lost);
  Batch take_batch();
  void lose_unsynced(const Batch& batch, std::vector<PieceIndex>& lost);
  void keep_synced(Batch& batch);
  Result<> commit(const Batch& batch);
  void run_flusher(const std::stop_token& stop);

  std::unique_ptr<DiskLock> lock_;
  const StoreOptions options_;
  const VerifyPiece verify_;
  PieceFiles files_;
  PieceStates states_;
  StoreFound found_;
  bool opened_ = false;  ///< all the way: else it must not be said to have ended in order

  mutable std::mutex mutex_;  // guards what follows, and every change of states_ but a re-check's
  std::condition_variable_any wake_;
  std::function<void(PieceIndex)> on_lost_;
  Batch pending_;
  std::uint64_t losses_ = 0;  // failed syncs so far
  StoreStats stats_;

  std::mutex flush_mutex_;   // one flush at a time; taken before mutex_ and record_mutex_
  std::mutex record_mutex_;  // guards record_; null if there is no state folder
  std::unique_ptr<PieceRecord> record_;
  std::array<std::mutex, 64> recheck_mutexes_;  // by piece: one re-check of a piece at a time

  std::atomic<TimePoint::rep> space_asked_;
  std::atomic<bool> room_ = true;
  std::jthread flusher_;  // last: ends before what it uses
};

/// A blob that an earlier run kept for a torrent of the cache, without opening a Store: for a
/// magnet link, whose layout is not known before. Nothing if there is none.
Result<std::optional<Bytes>> saved_blob(Disk& disk, const fs::path& cache_folder,
                                        const InfoHashes& hashes, std::string_view key);

}  // namespace swarmfs::cache
