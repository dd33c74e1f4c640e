// Integers that name things of one kind and cannot be mixed with another kind.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace swarmfs {

template <class Tag, class Int = std::uint32_t>
struct StrongIndex {
  using value_type = Int;
  Int value = 0;

  constexpr StrongIndex() = default;
  constexpr explicit StrongIndex(Int v) : value(v) {}
  constexpr auto operator<=>(const StrongIndex&) const = default;
  constexpr StrongIndex& operator++() {
    ++value;
    return *this;
  }
};

using PieceIndex = StrongIndex<struct PieceTag>;
using FileIndex = StrongIndex<struct FileTag>;
/// A connection in the engine; never reused within a run.
using PeerId = StrongIndex<struct PeerTag, std::uint64_t>;
/// An open file handle or other source of demand.
using HandleId = StrongIndex<struct HandleTag, std::uint64_t>;
/// A program that reads, as far as fairness between programs goes; 0: unknown.
using ReaderId = StrongIndex<struct ReaderTag, std::uint64_t>;
/// A parked read.
using ReadId = StrongIndex<struct ReadTag, std::uint64_t>;

}  // namespace swarmfs

template <class Tag, class Int>
struct std::hash<swarmfs::StrongIndex<Tag, Int>> {
  std::size_t operator()(const swarmfs::StrongIndex<Tag, Int>& i) const noexcept {
    return std::hash<Int>{}(i.value);
  }
};
