#include "swarm/base/layout.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace swarmfs {

Layout::Layout(std::uint32_t piece_length, std::vector<LayoutFile> files,
               PieceAddressing addressing)
    : piece_length_(piece_length), addressing_(addressing), files_(std::move(files)) {
  assert(piece_length_ > 0);
  for (const LayoutFile& f : files_) {
    total_size_ = std::max(total_size_, f.offset + f.length);
    if (!f.pad) content_size_ += f.length;
  }
  piece_count_ = static_cast<std::uint32_t>((total_size_ + piece_length_ - 1) / piece_length_);
}

std::size_t Layout::file_at(std::uint64_t address) const {
  // The last file that starts at or before the address; empty files before it are skipped
  // because they share its offset and come first in torrent order or end before it.
  auto it = std::upper_bound(files_.begin(), files_.end(), address,
                             [](std::uint64_t a, const LayoutFile& f) { return a < f.offset; });
  assert(it != files_.begin());
  do {
    --it;
  } while (it->length == 0 && it != files_.begin());
  return static_cast<std::size_t>(it - files_.begin());
}

std::uint32_t Layout::piece_size(PieceIndex piece) const {
  const std::uint64_t start = std::uint64_t{piece.value} * piece_length_;
  std::uint64_t end = total_size_;
  if (addressing_ == PieceAddressing::per_file) {
    const LayoutFile& f = files_[file_at(start)];
    end = f.offset + f.length;
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_length_, end - start));
}

std::uint32_t Layout::block_size(PieceIndex piece, std::uint32_t block) const {
  return std::min(kBlockSize, piece_size(piece) - block * kBlockSize);
}

std::vector<Layout::Slice> Layout::slices(PieceIndex piece, std::uint32_t begin,
                                          std::uint32_t length) const {
  std::vector<Slice> out;
  std::uint64_t address = std::uint64_t{piece.value} * piece_length_ + begin;
  std::uint64_t left = length;
  for (std::size_t i = length ? file_at(address) : 0; left > 0; ++i) {
    assert(i < files_.size());
    const LayoutFile& f = files_[i];
    if (f.length == 0) continue;
    const std::uint64_t in_file = address - f.offset;
    const std::uint64_t take = std::min(left, f.length - in_file);
    out.push_back({FileIndex(static_cast<std::uint32_t>(i)), in_file,
                   static_cast<std::uint32_t>(take), f.pad});
    address += take;
    left -= take;
  }
  return out;
}

std::vector<Layout::Span> Layout::spans(FileIndex file, std::uint64_t offset,
                                        std::uint64_t length) const {
  std::vector<Span> out;
  std::uint64_t address = files_[file.value].offset + offset;
  while (length > 0) {
    const auto begin = static_cast<std::uint32_t>(address % piece_length_);
    const auto take =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(length, piece_length_ - begin));
    out.push_back({PieceIndex(static_cast<std::uint32_t>(address / piece_length_)), begin, take});
    address += take;
    length -= take;
  }
  return out;
}

Layout::PieceRange Layout::pieces_of(FileIndex file) const {
  const LayoutFile& f = files_[file.value];
  const auto first = static_cast<std::uint32_t>(f.offset / piece_length_);
  if (f.length == 0) return {PieceIndex(first), PieceIndex(first)};
  const auto last = static_cast<std::uint32_t>((f.offset + f.length - 1) / piece_length_);
  return {PieceIndex(first), PieceIndex(last + 1)};
}

FileIndex Layout::file_of(PieceIndex piece) const {
  return FileIndex(static_cast<std::uint32_t>(file_at(std::uint64_t{piece.value} * piece_length_)));
}

}  // namespace swarmfs
