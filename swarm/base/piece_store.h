// The port between the swarm and whatever keeps verified pieces.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"

namespace swarmfs {

/// Says whether these bytes, one whole piece in order, match the manifest. Pure, any thread.
using VerifyPiece = std::function<bool(PieceIndex, std::span<const ByteView>)>;

/// Keeps verified pieces of one torrent. Only verified bytes go in; what comes out was verified
/// in this run (a store re-checks a piece that an earlier run wrote before it first hands it out).
///
/// All methods are thread-safe. write_piece, read and flush may wait for the local disk, so the
/// engine thread calls none of them; the others answer from memory.
class PieceStore {
 public:
  virtual ~PieceStore() = default;

  /// Stores a verified piece: `blocks` in order, kBlockSize each but the last of the piece.
  /// Readable at once; survives a crash only after a later commit. no_space, io on failure, and
  /// then the piece counts as not stored.
  virtual Result<> write_piece(PieceIndex piece, std::span<const BlockPtr> blocks) = 0;

  /// Fills `out` from [begin, begin + out.size()) of a stored piece; pads read as zeros.
  /// not_found if the piece is not stored, mismatch if the disk no longer holds what was
  /// verified (the piece is then dropped and on_lost is called).
  virtual Result<> read(PieceIndex piece, std::uint32_t begin, MutableByteView out) = 0;

  /// As read(), but gives up with false where it would wait for the disk or a re-check.
  virtual bool try_read(PieceIndex piece, std::uint32_t begin, MutableByteView out) = 0;

  /// True for pieces that read() can serve now.
  virtual bool has(PieceIndex piece) const = 0;
  /// has() for every piece at once.
  virtual std::vector<bool> pieces() const = 0;

  /// False while the disk is nearer to full than the store's reserve: fetch only what is read.
  virtual bool room_for_backfill() = 0;

  /// Makes everything written so far survive a crash.
  virtual Result<> flush() = 0;

  /// Called (any thread, no lock held) when a stored piece turned out damaged and was dropped.
  /// Set once, before the store is shared.
  virtual void set_on_lost(std::function<void(PieceIndex)> on_lost) = 0;
};

}  // namespace swarmfs
