// How a torrent's files lie in its piece address space: the one place for that arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "swarm/base/block.h"
#include "swarm/base/strong_index.h"

namespace swarmfs {

/// One file in the address space. Offsets and lengths in bytes.
struct LayoutFile {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool pad = false;  ///< BEP 47: zeros that no file system shows and no disk stores
};

/// Which addressing the pieces follow.
enum class PieceAddressing : std::uint8_t {
  contiguous,  ///< v1 and hybrid: files back to back, a piece may span several (BEP 3)
  per_file,    ///< v2 only: every file starts a piece and its last piece ends with it (BEP 52)
};

/// Immutable after construction; safe to read from any thread.
class Layout {
 public:
  Layout() = default;
  /// `files` in torrent order with ascending offsets: contiguous files back to back from 0,
  /// per_file ones each at a multiple of `piece_length`. piece_length in 1..512 MiB.
  Layout(std::uint32_t piece_length, std::vector<LayoutFile> files, PieceAddressing addressing);

  std::uint32_t piece_length() const { return piece_length_; }
  std::uint32_t piece_count() const { return piece_count_; }
  PieceAddressing addressing() const { return addressing_; }
  /// End of the address space, pads and per-file gaps included.
  std::uint64_t total_size() const { return total_size_; }
  /// Bytes of all files that are not pads.
  std::uint64_t content_size() const { return content_size_; }
  const std::vector<LayoutFile>& files() const { return files_; }

  /// Bytes that peers exchange for this piece: pads count, gaps of per_file do not.
  std::uint32_t piece_size(PieceIndex piece) const;
  std::uint32_t block_count(PieceIndex piece) const {
    return (piece_size(piece) + kBlockSize - 1) / kBlockSize;
  }
  std::uint32_t block_size(PieceIndex piece, std::uint32_t block) const;

  /// A run of bytes of a piece inside one file.
  struct Slice {
    FileIndex file;
    std::uint64_t file_offset = 0;
    std::uint32_t length = 0;
    bool pad = false;
  };
  /// The files under [begin, begin + length) of a piece, in order. Range must lie in the piece.
  std::vector<Slice> slices(PieceIndex piece, std::uint32_t begin, std::uint32_t length) const;

  /// A run of bytes of a file inside one piece.
  struct Span {
    PieceIndex piece;
    std::uint32_t begin = 0;
    std::uint32_t length = 0;
    /// The blocks of the piece under it: the first, and one past the last. Not of an empty span.
    std::uint32_t first_block() const { return begin / kBlockSize; }
    std::uint32_t end_block() const { return (begin + length - 1) / kBlockSize + 1; }
  };
  /// The pieces under [offset, offset + length) of a file, in order. Range must lie in the file.
  std::vector<Span> spans(FileIndex file, std::uint64_t offset, std::uint64_t length) const;

  /// First piece that holds bytes of the file, and one past the last. Empty for empty files.
  struct PieceRange {
    PieceIndex first;
    PieceIndex end;
  };
  PieceRange pieces_of(FileIndex file) const;

  /// For per_file addressing: the file a piece belongs to.
  FileIndex file_of(PieceIndex piece) const;

 private:
  std::size_t file_at(std::uint64_t address) const;

  std::uint32_t piece_length_ = kBlockSize;
  std::uint32_t piece_count_ = 0;
  PieceAddressing addressing_ = PieceAddressing::contiguous;
  std::uint64_t total_size_ = 0;
  std::uint64_t content_size_ = 0;
  std::vector<LayoutFile> files_;
};

}  // namespace swarmfs
