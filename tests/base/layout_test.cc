// Layout against a model that writes down the owner of every byte.
#include "swarm/base/layout.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace swarmfs {
namespace {

struct Owner {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
};

/// The address space byte by byte: nothing where per_file addressing leaves a gap.
struct Model {
  std::vector<std::optional<Owner>> bytes;
  std::uint32_t piece_length = 0;

  explicit Model(const Layout& layout) : piece_length(layout.piece_length()) {
    const auto& files = layout.files();
    for (std::uint32_t f = 0; f < files.size(); ++f) {
      if (bytes.size() < files[f].offset + files[f].length && files[f].length > 0)
        bytes.resize(files[f].offset + files[f].length);
      for (std::uint64_t i = 0; i < files[f].length; ++i) bytes[files[f].offset + i] = Owner{f, i};
    }
  }
  std::uint32_t pieces() const {
    return static_cast<std::uint32_t>((bytes.size() + piece_length - 1) / piece_length);
  }
  std::uint32_t size(std::uint32_t piece) const {
    std::uint32_t n = 0;
    for (std::size_t at = std::size_t{piece} * piece_length;
         at < bytes.size() && at < std::size_t{piece + 1} * piece_length; ++at)
      n += bytes[at].has_value();
    return n;
  }
};

Layout contiguous(std::uint32_t piece_length, const std::vector<std::int64_t>& lengths) {
  std::vector<LayoutFile> files;
  std::uint64_t offset = 0;
  for (const std::int64_t length : lengths) {
    const auto size = static_cast<std::uint64_t>(std::abs(length));
    files.push_back({offset, size, length < 0});
    offset += size;
  }
  return Layout(piece_length, files, PieceAddressing::contiguous);
}

Layout per_file(std::uint32_t piece_length, const std::vector<std::uint64_t>& lengths) {
  std::vector<LayoutFile> files;
  std::uint64_t offset = 0;
  for (const std::uint64_t length : lengths) {
    files.push_back({offset, length, false});
    offset += (length + piece_length - 1) / piece_length * piece_length;
  }
  return Layout(piece_length, files, PieceAddressing::per_file);
}

void expect_slices(const Layout& layout, const Model& model, PieceIndex piece, std::uint32_t begin,
                   std::uint32_t length) {
  std::size_t at = std::size_t{piece.value} * model.piece_length + begin;
  std::uint32_t covered = 0;
  for (const auto& slice : layout.slices(piece, begin, length)) {
    ASSERT_GT(slice.length, 0U);
    EXPECT_EQ(slice.pad, layout.files()[slice.file.value].pad);
    for (std::uint32_t i = 0; i < slice.length; ++i, ++at) {
      ASSERT_TRUE(model.bytes.at(at));
      ASSERT_EQ(model.bytes[at]->file, slice.file.value);
      ASSERT_EQ(model.bytes[at]->offset, slice.file_offset + i);
    }
    covered += slice.length;
  }
  EXPECT_EQ(covered, length);
}

void expect_spans(const Layout& layout, std::uint32_t file, std::uint64_t offset,
                  std::uint64_t length) {
  std::uint64_t at = layout.files()[file].offset + offset;
  std::uint64_t covered = 0;
  for (const auto& span : layout.spans(FileIndex(file), offset, length)) {
    EXPECT_EQ(std::uint64_t{span.piece.value} * layout.piece_length() + span.begin, at);
    EXPECT_GT(span.length, 0U);
    EXPECT_LE(span.begin + span.length, layout.piece_size(span.piece));
    at += span.length;
    covered += span.length;
  }
  EXPECT_EQ(covered, length);
}

void expect_pieces_of(const Layout& layout, const Model& model, std::uint32_t file) {
  const auto range = layout.pieces_of(FileIndex(file));
  const auto& f = layout.files()[file];
  if (f.length == 0) {
    EXPECT_EQ(range.first, range.end);
    return;
  }
  for (std::uint32_t p = 0; p < model.pieces(); ++p) {
    bool holds = false;
    for (std::size_t at = std::size_t{p} * model.piece_length;
         at < std::min(model.bytes.size(), std::size_t{p + 1} * model.piece_length); ++at)
      holds |= model.bytes[at] && model.bytes[at]->file == file;
    EXPECT_EQ(holds, PieceIndex(p) >= range.first && PieceIndex(p) < range.end) << "piece " << p;
  }
}

void check(const Layout& layout, std::mt19937& rng) {
  const Model model(layout);
  ASSERT_EQ(layout.piece_count(), model.pieces());
  // A gap in front of trailing empty files belongs to the address space, but to no piece.
  EXPECT_GE(layout.total_size(), model.bytes.size());
  for (std::uint32_t p = 0; p < model.pieces(); ++p) {
    const PieceIndex piece(p);
    const std::uint32_t size = model.size(p);
    ASSERT_EQ(layout.piece_size(piece), size);
    std::uint32_t sum = 0;
    for (std::uint32_t b = 0; b < layout.block_count(piece); ++b) {
      EXPECT_GT(layout.block_size(piece, b), 0U);
      sum += layout.block_size(piece, b);
    }
    EXPECT_EQ(sum, size);
    expect_slices(layout, model, piece, 0, size);
    const std::uint32_t begin = static_cast<std::uint32_t>(rng() % size);
    expect_slices(layout, model, piece, begin,
                  static_cast<std::uint32_t>(rng() % (size - begin + 1)));
    if (layout.addressing() == PieceAddressing::per_file) {
      EXPECT_EQ(layout.file_of(piece).value,
                model.bytes[std::size_t{p} * model.piece_length]->file);
    }
  }
  for (std::uint32_t f = 0; f < layout.files().size(); ++f) {
    const std::uint64_t length = layout.files()[f].length;
    expect_pieces_of(layout, model, f);
    expect_spans(layout, f, 0, length);
    if (length == 0) continue;
    const std::uint64_t offset = rng() % length;
    expect_spans(layout, f, offset, rng() % (length - offset + 1));
  }
}

TEST(Layout, ContiguousAgreesWithAByteByByteModel) {
  std::mt19937 rng(1);
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t piece_length = 1 + rng() % 40;
    std::vector<std::int64_t> lengths(1 + rng() % 12);
    for (auto& length : lengths) {
      const auto kind = rng() % 4;
      length = kind == 0 ? 0 : static_cast<std::int64_t>(1 + rng() % 100);
      if (kind == 1) length = -length;
    }
    SCOPED_TRACE(round);
    check(contiguous(piece_length, lengths), rng);
  }
}

TEST(Layout, PerFileAgreesWithAByteByByteModel) {
  std::mt19937 rng(2);
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t piece_length = 1 + rng() % 40;
    std::vector<std::uint64_t> lengths(1 + rng() % 12);
    for (auto& length : lengths) length = rng() % 3 == 0 ? 0 : 1 + rng() % 100;
    SCOPED_TRACE(round);
    check(per_file(piece_length, lengths), rng);
  }
}

TEST(Layout, BlocksOfRealPieceLengthsAreSixteenKibBarTheLast) {
  const Layout layout = contiguous(256 * 1024, {300'000, -1, 0, 5});
  EXPECT_EQ(layout.piece_count(), 2U);
  EXPECT_EQ(layout.block_count(PieceIndex(0)), 16U);
  EXPECT_EQ(layout.block_size(PieceIndex(0), 15), kBlockSize);
  EXPECT_EQ(layout.piece_size(PieceIndex(1)), 300'006U - 262'144U);
  EXPECT_EQ(layout.block_count(PieceIndex(1)), 3U);
  EXPECT_EQ(layout.block_size(PieceIndex(1), 2), 37'862U - 2 * kBlockSize);
  EXPECT_EQ(layout.content_size(), 300'005U);
}

TEST(Layout, TheLargestTorrentsDoNotOverflow) {
  // 2^21 pieces of 512 MiB: a pebibyte in one file, and one byte more in another.
  const std::uint32_t piece_length = 512U << 20;
  const std::uint64_t big = (std::uint64_t{1} << 50) - piece_length;
  const Layout layout = per_file(piece_length, {big, 1});
  EXPECT_EQ(layout.piece_count(), 1U << 21);
  const PieceIndex last((1U << 21) - 1);
  EXPECT_EQ(layout.piece_size(last), 1U);
  EXPECT_EQ(layout.piece_size(PieceIndex(last.value - 1)), piece_length);
  const auto spans = layout.spans(FileIndex(0), big - 1, 1);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans[0].piece.value, last.value - 1);
  EXPECT_EQ(spans[0].begin, piece_length - 1);
  EXPECT_EQ(layout.slices(last, 0, 1).front().file.value, 1U);
}

}  // namespace
}  // namespace swarmfs
