#include "cache/store.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "swarm/base/hex.h"

namespace swarmfs::cache {
namespace {

constexpr unsigned kPrivate = 0700;

fs::path folder_of(const fs::path& cache_folder, const InfoHashes& hashes) {
  return cache_folder / to_hex(hashes.primary());
}

/// Changes whenever recorded piece numbers would mean other bytes in other places.
Sha1Hash fingerprint(const Layout& layout, const Place& place) {
  Bytes text;
  append_be<std::uint32_t>(text, layout.piece_length());
  append_be<std::uint8_t>(text, static_cast<std::uint8_t>(layout.addressing()));
  for (const LayoutFile& file : layout.files()) {
    append_be<std::uint64_t>(text, file.offset);
    append_be<std::uint64_t>(text, file.length);
    append_be<std::uint8_t>(text, file.pad ? 1 : 0);
  }
  if (!place.numbered()) {
    append(text, as_bytes(place.root.string()));
    for (const fs::path& path : place.files) {
      text.push_back(0);
      append(text, as_bytes(path.string()));
    }
  }
  return sha1(text);
}

std::vector<ByteView> in_blocks(ByteView bytes) {
  std::vector<ByteView> blocks;
  blocks.reserve(bytes.size() / kBlockSize + 1);
  for (; !bytes.empty(); bytes = bytes.subspan(blocks.back().size()))
    blocks.push_back(bytes.first(std::min<std::size_t>(kBlockSize, bytes.size())));
  return blocks;
}

}  // namespace

StoreOptions StoreOptions::for_cache(const fs::path& cache_folder, const InfoHashes& hashes,
                                     Layout layout) {
  StoreOptions options;
  options.layout = std::move(layout);
  options.place.root = folder_of(cache_folder, hashes);
  options.state_folder = options.place.root;
  return options;
}

// ---- Opening and closing ----

Store::Store(StoreOptions options, VerifyPiece verify)
    : options_(std::move(options)),
      verify_(std::move(verify)),
      files_(*options_.disk, options_.layout, options_.place),
      states_(options_.layout.piece_count()),
      space_asked_(TimePoint::min().time_since_epoch().count()) {}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options, VerifyPiece verify) {
  std::unique_ptr<Store> store(new Store(std::move(options), std::move(verify)));
  Disk& disk = *store->options_.disk;
  const fs::path& folder = store->options_.state_folder;
  if (!folder.empty()) {
    if (const auto r = make_folders(disk, folder, kPrivate); !r) return r.error();
    auto lock = disk.lock(folder / "lock");
    if (!lock) return lock.error();
    store->lock_ = std::move(*lock);
  }
  if (const auto r = store->files_.prepare(); !r) return r.error();
  if (!folder.empty())
    if (const auto r = store->open_record(); !r) return r.error();
  store->opened_ = true;
  if (store->options_.background_flush && !store->options_.place.read_only)
    store->flusher_ =
        std::jthread([s = store.get()](const std::stop_token& stop) { s->run_flusher(stop); });
  return store;
}

Result<> Store::open_record() {
  auto record = PieceRecord::open(*options_.disk, options_.state_folder);
  if (!record) return record.error();
  const Sha1Hash layout = fingerprint(options_.layout, options_.place);
  const auto recorded = (*record)->begin(layout, states_.count());
  if (!recorded) return recorded.error();
  if (recorded->other_layout)
    if (const auto r = files_.remove_all(); !r) return r.error();
  record_ = std::move(*record);
  if (options_.before_checks) options_.before_checks(*this);

  for (std::uint32_t i = 0; i < states_.count(); ++i) {
    if (!recorded->pieces[i]) continue;
    states_.change(PieceIndex(i), states_.see(PieceIndex(i)), PieceState::unchecked);
    ++found_.recorded;
  }
  found_.clean = recorded->clean;
  found_.record_lost = recorded->damaged || recorded->other_layout;
  if (recorded->damaged || (recorded->known && !recorded->clean))
    found_.recovered = find_unrecorded();
  if (options_.cancel.stop_requested())
    return fail(ErrorKind::cancelled,
                "opening " + options_.state_folder.string() + " was given up");
  return {};
}

Store::~Store() {
  flusher_ = {};
  set_on_lost(nullptr);
  const Result<> flushed = flush();
  // Left unmarked after a failure, so that the next run looks for what is there unrecorded.
  if (flushed && losses_ == 0 && record_ && opened_) (void)record_->mark_clean();
}

void Store::set_on_lost(std::function<void(PieceIndex)> on_lost) {
  const std::lock_guard lock(mutex_);
  on_lost_ = std::move(on_lost);
}

void Store::tell_lost(std::span<const PieceIndex> pieces) {
  if (pieces.empty()) return;
  std::function<void(PieceIndex)> on_lost;
  {
    const std::lock_guard lock(mutex_);
    on_lost = on_lost_;
  }
  if (!on_lost) return;
  for (const PieceIndex piece : pieces) on_lost(piece);
}

// ---- Writing ----

Result<> Store::check_shape(PieceIndex piece, std::span<const BlockPtr> blocks) const {
  bool fits = piece.value < states_.count() && blocks.size() == options_.layout.block_count(piece);
  for (std::uint32_t i = 0; fits && i < blocks.size(); ++i)
    fits = blocks[i] && blocks[i]->size == options_.layout.block_size(piece, i);
  if (fits) return {};
  return fail(ErrorKind::bad_input, "blocks do not make up piece " + std::to_string(piece.value));
}

Result<> Store::write_piece(PieceIndex piece, std::span<const BlockPtr> blocks) {
  if (const auto r = check_shape(piece, blocks); !r) return r.error();
  const auto stored = [&] {
    const PieceState state = states_.see(piece).state();
    return state != PieceState::absent && state != PieceState::unchecked;
  };
  std::uint64_t losses = 0;
  {
    const std::lock_guard lock(mutex_);
    if (stored()) return {};
    losses = losses_;
  }
  if (const auto r = files_.write(piece, blocks); !r) return r.error();

  const std::lock_guard lock(mutex_);
  // A sync that failed meanwhile may have been about these very bytes.
  if (losses != losses_)
    return fail(ErrorKind::io, "the disk failed to sync while piece " +
                                   std::to_string(piece.value) + " was written");
  if (stored()) return {};
  stats_.bytes_written += options_.layout.piece_size(piece);
  add_written(piece);
  return {};
}

void Store::add_written(PieceIndex piece) {
  // Only a re-check may change the word beside us, and from unchecked only.
  while (!states_.change(piece, states_.see(piece), PieceState::written)) {
  }
  const bool first = pending_.changes.empty();
  pending_.changes[piece.value] = true;
  pending_.bytes += options_.layout.piece_size(piece);
  if (first || pending_.bytes >= options_.group_bytes) wake_.notify_all();
}

void Store::mark_present(const std::vector<bool>& verified) {
  for (std::uint32_t i = 0; i < std::min<std::size_t>(verified.size(), states_.count()); ++i) {
    const PieceIndex piece(i);
    // What the user put there may not be synced yet; it is recorded like what we write.
    const bool ours = !options_.place.read_only;
    if (verified[i] && ours && !files_.touch(piece)) continue;
    const std::lock_guard lock(mutex_);
    const PieceStates::Seen seen = states_.see(piece);
    if (seen.here() && seen.state() != PieceState::unchecked) continue;
    if (verified[i] && ours) {
      add_written(piece);
    } else if (verified[i]) {
      states_.change(piece, seen, PieceState::kept);
    } else if (states_.change(piece, seen, PieceState::absent) && seen.here()) {
      pending_.changes[i] = false;
    }
  }
}

std::size_t Store::find_unrecorded() {
  std::size_t count = 0;
  Bytes buffer;
  for (std::uint32_t i = 0; i < states_.count(); ++i) {
    const PieceIndex piece(i);
    if (options_.cancel.stop_requested()) break;
    if (states_.see(piece).here() || !files_.has_data(piece)) continue;
    Result<> read;
    if (!verify_on_disk(piece, buffer, read)) continue;
    // What a killed run left in the page cache still has to reach the disk.
    if (!options_.place.read_only && !files_.touch(piece)) continue;
    const std::lock_guard lock(mutex_);
    if (states_.see(piece).here()) continue;
    if (options_.place.read_only)
      states_.change(piece, states_.see(piece), PieceState::kept);
    else
      add_written(piece);
    ++count;
  }
  return count;
}

// ---- Reading ----

bool Store::has(PieceIndex piece) const {
  return piece.value < states_.count() && states_.see(piece).here();
}

std::vector<bool> Store::pieces() const {
  std::vector<bool> here(states_.count());
  for (std::uint32_t i = 0; i < states_.count(); ++i) here[i] = has(PieceIndex(i));
  return here;
}

std::uint64_t Store::bytes_here(FileIndex file) const {
  // Asked for with every attribute of a file, which may have two million pieces.
  const LayoutFile& f = options_.layout.files()[file.value];
  const std::uint64_t piece_length = options_.layout.piece_length(), end = f.offset + f.length;
  const auto pieces = options_.layout.pieces_of(file);
  std::uint64_t bytes = 0;
  for (PieceIndex p = pieces.first; p < pieces.end; ++p) {
    if (!states_.see(p).here()) continue;
    const std::uint64_t begin = p.value * piece_length;
    bytes += std::min(begin + piece_length, end) - std::max(begin, f.offset);
  }
  return bytes;
}

Fd Store::open_verified(FileIndex file) {
  const LayoutFile& f = options_.layout.files()[file.value];
  if (f.pad || f.length == 0) return Fd();
  const auto pieces = options_.layout.pieces_of(file);
  for (PieceIndex p = pieces.first; p < pieces.end; ++p)
    if (states_.see(p).state() != PieceState::kept) return Fd();
  return files_.duplicate(file);
}

bool Store::verify_next(FileIndex file) {
  const auto pieces = options_.layout.pieces_of(file);
  for (PieceIndex p = pieces.first; p < pieces.end; ++p) {
    if (states_.see(p).state() != PieceState::unchecked) continue;
    const auto checked = read(p, 0, {});  // of no byte: all that is left of it is the check
    return checked || checked.error().kind == ErrorKind::mismatch;
  }
  return false;
}

Result<> Store::read(PieceIndex piece, std::uint32_t begin, MutableByteView out) {
  if (piece.value >= states_.count() ||
      begin + std::uint64_t{out.size()} > options_.layout.piece_size(piece))
    return fail(ErrorKind::bad_input,
                "read beyond the end of piece " + std::to_string(piece.value));
  // Goes round again only when the piece has moved on to another state meanwhile.
  while (true) {
    const PieceStates::Seen seen = states_.see(piece);
    Result<bool> done = false;
    switch (seen.state()) {
      case PieceState::absent:
        return fail(ErrorKind::not_found,
                    "piece " + std::to_string(piece.value) + " is not stored");
      case PieceState::unchecked:
      case PieceState::syncing:
        done = read_checked(piece, seen, begin, out);
        break;
      case PieceState::written:
      case PieceState::kept:
        done = read_trusted(piece, seen, begin, out);
        break;
    }
    if (done) {
      if (*done) return {};
      continue;
    }
    if (done.error().kind == ErrorKind::mismatch && !drop(piece, seen)) continue;
    return done.error();
  }
}

bool Store::try_read(PieceIndex piece, std::uint32_t begin, MutableByteView out) {
  if (!has(piece) || begin + std::uint64_t{out.size()} > options_.layout.piece_size(piece))
    return false;
  const PieceStates::Seen seen = states_.see(piece);
  if (seen.state() != PieceState::written && seen.state() != PieceState::kept) return false;
  return files_.read_cached(piece, begin, out) && PieceStates::held(seen, states_.see(piece));
}

/// False if the piece has moved on to another state, so that the bytes may not be used.
Result<bool> Store::read_trusted(PieceIndex piece, PieceStates::Seen seen, std::uint32_t begin,
                                 MutableByteView out) {
  if (const auto r = files_.read(piece, begin, out); !r) return r.error();
  return PieceStates::held(seen, states_.see(piece));
}

/// Reads the whole piece and hands out part of it from the very bytes that were verified. False
/// if the piece has moved on to another state.
Result<bool> Store::read_checked(PieceIndex piece, PieceStates::Seen seen, std::uint32_t begin,
                                 MutableByteView out) {
  const std::lock_guard one_check(recheck_mutexes_[piece.value % recheck_mutexes_.size()]);
  if (states_.see(piece) != seen) return false;
  Bytes buffer;
  Result<> read;
  if (!verify_on_disk(piece, buffer, read)) {
    if (!read) return read.error();
    return fail(ErrorKind::mismatch, "piece " + std::to_string(piece.value) +
                                         " is damaged on disk; it will be fetched again");
  }
  if (seen.state() == PieceState::unchecked) states_.change(piece, seen, PieceState::kept);
  std::copy_n(buffer.begin() + begin, out.size(), out.begin());
  const std::lock_guard lock(mutex_);
  ++stats_.pieces_rechecked;
  return true;
}

bool Store::verify_on_disk(PieceIndex piece, Bytes& buffer, Result<>& read) {
  buffer.resize(options_.layout.piece_size(piece));
  read = files_.read(piece, 0, buffer);
  return read && verify_(piece, in_blocks(buffer));
}

/// False if the piece has moved on since it was seen.
bool Store::drop(PieceIndex piece, PieceStates::Seen seen) {
  {
    const std::lock_guard lock(mutex_);
    if (!states_.change(piece, seen, PieceState::absent)) return false;
    pending_.changes[piece.value] = false;
    ++stats_.pieces_lost;
    wake_.notify_all();
  }
  tell_lost({&piece, 1});
  return true;
}

// ---- Syncing and recording ----

Result<> Store::flush() {
  std::vector<PieceIndex> lost;
  const Result<> done = flush_batch(lost);
  tell_lost(lost);
  return done;
}

Result<> Store::flush_batch(std::vector<PieceIndex>& lost) {
  const std::lock_guard one_flush(flush_mutex_);
  Batch batch = take_batch();
  if (batch.changes.empty()) return {};

  const TimePoint start = options_.now();
  const Result<> synced = files_.sync();
  const TimePoint middle = options_.now();
  Result<> done = synced;
  {
    const std::lock_guard lock(mutex_);
    if (synced)
      keep_synced(batch);
    else
      lose_unsynced(batch, lost);
  }
  if (synced) done = commit(batch);
  const std::lock_guard lock(mutex_);
  ++stats_.flushes;
  stats_.sync_seconds += to_seconds(middle - start);
  stats_.commit_seconds += to_seconds(options_.now() - middle);
  stats_.last_error = done ? std::string() : done.error().message;
  return done;
}

Store::Batch Store::take_batch() {
  const std::lock_guard lock(mutex_);
  Batch batch = std::exchange(pending_, {});
  for (const auto& [index, present] : batch.changes) {
    const PieceStates::Seen seen = states_.see(PieceIndex(index));
    if (present && seen.state() == PieceState::written)
      states_.change(PieceIndex(index), seen, PieceState::syncing);
  }
  return batch;
}

/// The failed sync may stand for any write that was not synced before, those of the next batch
/// and those in progress included.
void Store::lose_unsynced(const Batch& batch, std::vector<PieceIndex>& lost) {
  ++losses_;
  std::map<std::uint32_t, bool> changes = batch.changes;
  for (const auto& [index, present] : pending_.changes) changes[index] = present;
  for (auto& [index, present] : changes) {
    const PieceStates::Seen seen = states_.see(PieceIndex(index));
    // Kept: synced before, only its record failed.
    if (!present || !seen.here() || seen.state() == PieceState::kept) continue;
    states_.change(PieceIndex(index), seen, PieceState::absent);
    present = false;
    ++stats_.pieces_lost;
    lost.push_back(PieceIndex(index));
  }
  pending_ = {std::move(changes), 0};
}

/// Leaves in the batch what may be recorded as present.
void Store::keep_synced(Batch& batch) {
  std::erase_if(batch.changes, [&](const auto& change) {
    const auto& [index, present] = change;
    const PieceStates::Seen seen = states_.see(PieceIndex(index));
    if (!present) return false;
    if (seen.state() == PieceState::syncing)
      states_.change(PieceIndex(index), seen, PieceState::kept);
    return seen.state() != PieceState::syncing && seen.state() != PieceState::kept;
  });
}

Result<> Store::commit(const Batch& batch) {
  if (!record_) return {};
  std::vector<PieceRecord::Change> changes;
  changes.reserve(batch.changes.size());
  for (const auto& [index, present] : batch.changes) changes.push_back({index, present});
  Result<> done;
  {
    const std::lock_guard lock(record_mutex_);
    done = record_->commit(changes);
  }
  if (!done) {
    const std::lock_guard lock(mutex_);
    pending_.changes.insert(batch.changes.begin(), batch.changes.end());  // newer ones stay
  }
  return done;
}

void Store::run_flusher(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [&] { return !pending_.changes.empty(); })) {
    wake_.wait_for(lock, stop, options_.group_time,
                   [&] { return pending_.bytes >= options_.group_bytes; });
    if (stop.stop_requested()) return;
    lock.unlock();
    (void)flush();  // stats().last_error tells
    lock.lock();
  }
}

StoreStats Store::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool Store::room_for_backfill() {
  using namespace std::chrono_literals;
  const TimePoint now = options_.now();
  TimePoint::rep asked = space_asked_.load();
  const bool due = asked == TimePoint::min().time_since_epoch().count() ||
                   now - TimePoint(Duration(asked)) >= 1s;
  if (!due || !space_asked_.compare_exchange_strong(asked, now.time_since_epoch().count()))
    return room_;
  const auto space = files_.space();
  if (!space) return room_ = false;
  const auto share =
      static_cast<std::uint64_t>(static_cast<double>(space->total) * options_.reserve_share);
  return room_ = space->free > std::max(share, options_.reserve_bytes);
}

// ---- Blobs ----

Result<> Store::put_blob(std::string_view key, ByteView value) {
  const std::lock_guard lock(record_mutex_);
  if (!record_) return {};
  return record_->put_blob(key, value);
}

Result<std::optional<Bytes>> Store::blob(std::string_view key) {
  const std::lock_guard lock(record_mutex_);
  if (!record_) return std::optional<Bytes>();
  return record_->blob(key);
}

Result<std::optional<Bytes>> saved_blob(Disk& disk, const fs::path& cache_folder,
                                        const InfoHashes& hashes, std::string_view key) {
  const fs::path folder = folder_of(cache_folder, hashes);
  if (!disk.exists(folder / "record.db")) return std::optional<Bytes>();
  const auto lock = disk.lock(folder / "lock");
  if (!lock) return lock.error();
  auto record = PieceRecord::open(disk, folder);
  if (!record) return record.error();
  return (*record)->blob(key);
}

}  // namespace swarmfs::cache
