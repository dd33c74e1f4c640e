#include "cache/piece_record.h"

#include <sqlite3.h>

#include <algorithm>
#include <set>
#include <utility>

#include "swarm/base/hash.h"

namespace swarmfs::cache {
namespace {

constexpr int kSchemaVersion = 1;
constexpr std::size_t kChunkPieces = 4096;
constexpr std::size_t kChunkBytes = kChunkPieces / 8;

constexpr std::string_view kLayoutKey = "meta/layout";
constexpr std::string_view kCleanKey = "meta/clean";

std::string chunk_key(std::size_t chunk) { return "pieces/" + std::to_string(chunk); }

/// Covers the key too, so that a value cannot turn up under another one.
Sha1Hash checksum(std::string_view key, ByteView value) {
  Sha1 hasher;
  hasher.update(as_bytes(key));
  hasher.update(value);
  return hasher.finish();
}

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorKind::no_space;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorKind::busy;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorKind::permission;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::mismatch;
    default:
      return ErrorKind::io;
  }
}

Error record_error(sqlite3* database, const fs::path& path) {
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(database);
  return fail(kind_of(code),
              "piece record " + path.string() + ": " +
                  (database == nullptr ? "out of memory" : sqlite3_errmsg(database)));
}

Error damaged(const fs::path& path) {
  return fail(ErrorKind::mismatch, "piece record " + path.string() + " is damaged");
}

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Statement prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(database, sql, -1, &statement, nullptr);
  return Statement(statement);
}

void bind_text(const Statement& statement, int at, std::string_view text) {
  sqlite3_bind_text(statement.get(), at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

void bind_bytes(const Statement& statement, int at, ByteView bytes) {
  // A null pointer would bind NULL, not an empty blob.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  sqlite3_bind_blob64(statement.get(), at, data, bytes.size(), SQLITE_STATIC);
}

Bytes column_bytes(const Statement& statement, int at) {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement.get(), at));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement.get(), at));
  return data == nullptr ? Bytes() : Bytes(data, data + size);
}

}  // namespace

void PieceRecord::CloseDatabase::operator()(sqlite3* database) const { sqlite3_close(database); }

PieceRecord::PieceRecord(Database database, fs::path path, bool was_damaged)
    : database_(std::move(database)), path_(std::move(path)), damaged_(was_damaged) {}

PieceRecord::~PieceRecord() = default;

Result<std::unique_ptr<PieceRecord>> PieceRecord::open(Disk& disk, const fs::path& folder) {
  const fs::path path = folder / "record.db";
  const fs::path log = folder / "record.db-wal";
  bool was_damaged = false;
  auto database = open_database(disk, path);
  if (!database && database.error().kind == ErrorKind::mismatch) {
    was_damaged = true;
    if (const auto r = disk.rename(path, folder / "record.db.damaged"); !r) return r.error();
    for (const fs::path& name : {log, folder / "record.db-journal", folder / "record.db-shm"})
      if (const auto r = disk.remove(name); !r) return r.error();
    // The old names must not come back beside the new database.
    if (const auto r = disk.sync_folder(folder); !r) return r.error();
    database = open_database(disk, path);
  }
  if (!database) return database.error();
  if (const auto r = disk.sync_folder(folder); !r) return r.error();
  return std::unique_ptr<PieceRecord>(new PieceRecord(std::move(*database), path, was_damaged));
}

Result<PieceRecord::Database> PieceRecord::open_database(Disk& disk, const fs::path& path) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
      disk.sqlite_vfs());
  Database database(raw);
  if (opened != SQLITE_OK) return record_error(raw, path);
  const auto run = [&](const char* sql) {
    return sqlite3_exec(raw, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
  };
  // The folder's lock keeps others out, so SQLite may keep its own for good, and needs no shared
  // memory beside the log.
  if (!run("PRAGMA locking_mode=EXCLUSIVE") || !run("PRAGMA journal_mode=WAL") ||
      !run("PRAGMA synchronous=FULL") || !run("PRAGMA temp_store=MEMORY"))
    return record_error(raw, path);

  int version = 0;
  {
    const Statement ask = prepare(raw, "PRAGMA user_version");
    if (!ask || sqlite3_step(ask.get()) != SQLITE_ROW) return record_error(raw, path);
    version = sqlite3_column_int(ask.get(), 0);
  }
  if (version != 0 && version != kSchemaVersion) return damaged(path);
  const std::string make =
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS entries"
      "(key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, sum BLOB NOT NULL);"
      "PRAGMA user_version=" +
      std::to_string(kSchemaVersion) + ";COMMIT";
  if (version == 0 && !run(make.c_str())) return record_error(raw, path);

  // Reads every page: what is damaged must show now, not in the middle of a run.
  const Statement check = prepare(raw, "PRAGMA quick_check(1)");
  if (!check || sqlite3_step(check.get()) != SQLITE_ROW) return record_error(raw, path);
  const Bytes answer = column_bytes(check, 0);
  if (as_text(answer) != "ok") return damaged(path);
  const Statement values = prepare(raw, "SELECT key, value, sum FROM entries");
  if (!values) return record_error(raw, path);
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(values.get())) == SQLITE_ROW) {
    const Bytes key = column_bytes(values, 0);
    const Sha1Hash sum = checksum(as_text(key), column_bytes(values, 1));
    if (!std::ranges::equal(column_bytes(values, 2), sum)) return damaged(path);
  }
  if (step != SQLITE_DONE) return record_error(raw, path);
  return database;
}

Result<Recorded> PieceRecord::begin(ByteView layout_fingerprint, std::size_t piece_count) {
  Recorded recorded;
  const auto layout = get(kLayoutKey);
  if (!layout) return layout.error();
  const auto clean = get(kCleanKey);
  if (!clean) return clean.error();
  const bool same = layout->has_value() && std::ranges::equal(**layout, layout_fingerprint);
  recorded.known = same;
  recorded.clean = same && clean->has_value();
  recorded.damaged = damaged_;
  recorded.other_layout = layout->has_value() && !same;

  const std::size_t chunks = (piece_count + kChunkPieces - 1) / kChunkPieces;
  bits_.assign(chunks * kChunkBytes, 0);
  if (same)
    if (const auto r = load_pieces(piece_count); !r) return r.error();
  const auto marked = transaction([&]() -> Result<> {
    if (!same) {
      if (const auto r = clear_pieces(); !r) return r.error();
      if (const auto r = put(kLayoutKey, layout_fingerprint); !r) return r.error();
    }
    return erase(kCleanKey);
  });
  // On a full disk the torrent stays readable; that the marker stays only means that, after a
  // crash, a few pieces written last are fetched again instead of being looked for.
  if (!marked && !(same && marked.error().kind == ErrorKind::no_space)) return marked.error();

  recorded.pieces.resize(piece_count);
  for (std::size_t i = 0; i < piece_count; ++i)
    recorded.pieces[i] = (bits_[i / 8] >> (i % 8) & 1) != 0;
  return recorded;
}

Result<> PieceRecord::load_pieces(std::size_t piece_count) {
  for (std::size_t chunk = 0; chunk * kChunkPieces < piece_count; ++chunk) {
    const auto bits = get(chunk_key(chunk));
    if (!bits) return bits.error();
    if (!bits->has_value()) continue;
    if ((*bits)->size() != kChunkBytes) return damaged(path_);
    std::ranges::copy(**bits, bits_.begin() + static_cast<std::ptrdiff_t>(chunk * kChunkBytes));
  }
  return {};
}

Result<> PieceRecord::clear_pieces() {
  return execute("DELETE FROM entries WHERE key GLOB 'pieces/*'");
}

Result<> PieceRecord::store_chunk(std::size_t chunk) {
  return put(chunk_key(chunk), ByteView(bits_).subspan(chunk * kChunkBytes, kChunkBytes));
}

Result<> PieceRecord::commit(const std::vector<Change>& changes) {
  const Bytes before = bits_;
  std::set<std::size_t> chunks;
  for (const Change& change : changes) {
    const auto bit = static_cast<std::uint8_t>(1U << (change.piece % 8));
    std::uint8_t& byte = bits_[change.piece / 8];
    byte = static_cast<std::uint8_t>(change.present ? byte | bit : byte & ~bit);
    chunks.insert(change.piece / kChunkPieces);
  }
  const auto done = transaction([&]() -> Result<> {
    for (const std::size_t chunk : chunks)
      if (const auto r = store_chunk(chunk); !r) return r.error();
    return {};
  });
  if (!done) bits_ = before;
  return done;
}

Result<> PieceRecord::mark_clean() { return put(kCleanKey, {}); }

Result<> PieceRecord::put_blob(std::string_view key, ByteView value) {
  return put("blob/" + std::string(key), value);
}

Result<std::optional<Bytes>> PieceRecord::blob(std::string_view key) {
  return get("blob/" + std::string(key));
}

Result<> PieceRecord::transaction(const std::function<Result<>()>& body) {
  if (const auto r = execute("BEGIN IMMEDIATE"); !r) return r.error();
  auto done = body();
  if (done) done = execute("COMMIT");
  // Some failures have rolled back already; then this one fails, which changes nothing.
  if (!done) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

Result<> PieceRecord::execute(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return record_error(database_.get(), path_);
  return {};
}

Result<> PieceRecord::put(std::string_view key, ByteView value) {
  const Statement insert = prepare(
      database_.get(), "INSERT OR REPLACE INTO entries(key, value, sum) VALUES(?1, ?2, ?3)");
  if (!insert) return record_error(database_.get(), path_);
  const Sha1Hash sum = checksum(key, value);
  bind_text(insert, 1, key);
  bind_bytes(insert, 2, value);
  bind_bytes(insert, 3, sum);
  if (sqlite3_step(insert.get()) != SQLITE_DONE) return record_error(database_.get(), path_);
  return {};
}

Result<> PieceRecord::erase(std::string_view key) {
  const Statement remove = prepare(database_.get(), "DELETE FROM entries WHERE key = ?1");
  if (!remove) return record_error(database_.get(), path_);
  bind_text(remove, 1, key);
  if (sqlite3_step(remove.get()) != SQLITE_DONE) return record_error(database_.get(), path_);
  return {};
}

Result<std::optional<Bytes>> PieceRecord::get(std::string_view key) {
  const Statement select =
      prepare(database_.get(), "SELECT value, sum FROM entries WHERE key = ?1");
  if (!select) return record_error(database_.get(), path_);
  bind_text(select, 1, key);
  const int step = sqlite3_step(select.get());
  if (step == SQLITE_DONE) return std::optional<Bytes>();
  if (step != SQLITE_ROW) return record_error(database_.get(), path_);
  Bytes value = column_bytes(select, 0);
  if (!std::ranges::equal(column_bytes(select, 1), checksum(key, value)))
    return std::optional<Bytes>();
  return std::optional<Bytes>(std::move(value));
}

}  // namespace swarmfs::cache
