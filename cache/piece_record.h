// The durable record of which pieces of a torrent were verified and synced.
//
// One small SQLite database per torrent, in WAL mode with synchronous=FULL: when commit() returns,
// the record survives a crash. It holds one table of entries, each with a checksum of its value:
//   meta/layout    fingerprint of what the pieces mean; another one voids the pieces
//   meta/clean     present while no run has the torrent open and the last one ended in order
//   pieces/<n>     bitmap of pieces n*4096 .. n*4096+4095, lowest bit first
//   blob/<key>     bytes the caller wants kept (info dictionary, piece layers)
// A database that cannot be read is moved aside and a new one begun: a record can be lost, never
// believed when damaged.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/disk.h"

struct sqlite3;

namespace swarmfs::cache {

/// What the last run left behind.
struct Recorded {
  std::vector<bool> pieces;
  bool known = false;         ///< a record of this layout was there
  bool clean = false;         ///< and its last run ended in order
  bool damaged = false;       ///< there was a record, but it could not be read
  bool other_layout = false;  ///< there was a record, but of other files
};

/// Not thread-safe. The caller holds the lock of the folder.
class PieceRecord {
 public:
  /// Opens or begins `folder`/record.db. `disk` must outlive this.
  static Result<std::unique_ptr<PieceRecord>> open(Disk& disk, const fs::path& folder);
  ~PieceRecord();
  PieceRecord(const PieceRecord&) = delete;
  PieceRecord& operator=(const PieceRecord&) = delete;

  /// Loads what is recorded for this layout and marks the record as in use. If it was made for
  /// another layout, its pieces are forgotten (blobs are kept).
  Result<Recorded> begin(ByteView layout_fingerprint, std::size_t piece_count);

  struct Change {
    std::uint32_t piece = 0;
    bool present = false;
  };
  /// Records the changes, all or none. Durable on return.
  Result<> commit(const std::vector<Change>& changes);
  /// The run ends in order: everything it wrote is recorded. Durable on return.
  Result<> mark_clean();

  /// Keeps bytes under a key, replacing what was there. Durable on return.
  Result<> put_blob(std::string_view key, ByteView value);
  /// Nothing if there is none, or if it is damaged.
  Result<std::optional<Bytes>> blob(std::string_view key);

 private:
  struct CloseDatabase {
    void operator()(sqlite3* database) const;
  };
  using Database = std::unique_ptr<sqlite3, CloseDatabase>;

  PieceRecord(Database database, fs::path path, bool damaged);
  static Result<Database> open_database(Disk& disk, const fs::path& path);
  Result<> load_pieces(std::size_t piece_count);
  Result<> store_chunk(std::size_t chunk);
  Result<> clear_pieces();
  Result<> transaction(const std::function<Result<>()>& body);

  Result<> execute(const char* sql);
  Result<> put(std::string_view key, ByteView value);
  Result<> erase(std::string_view key);
  Result<std::optional<Bytes>> get(std::string_view key);

  Database database_;
  const fs::path path_;
  bool damaged_;
  Bytes bits_;  ///< the pieces as committed, whole chunks
};

}  // namespace swarmfs::cache
