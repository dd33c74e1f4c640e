// Which addresses the user wants nothing to do with.
//
// Immutable once built, so it is shared between threads and swapped as a whole. Ranges are kept
// sorted and merged: 8 bytes each of IPv4 and 32 of IPv6, and a lookup is one binary search.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

class AddressFilter {
  using V6 = std::array<std::uint8_t, 16>;
  template <class Address>
  struct Range {
    Address first, last;  ///< both included
  };

 public:
  /// Collects ranges in any order, overlapping or not.
  class Builder {
   public:
    /// Both ends are included. False, and nothing is added, if they are of two families or the
    /// last is before the first.
    bool add(const IpAddress& first, const IpAddress& last);
    /// What was collected; the builder is empty afterwards.
    AddressFilter build();

   private:
    std::vector<Range<std::uint32_t>> v4_;
    std::vector<Range<V6>> v6_;
  };

  bool blocks(const IpAddress& address) const;
  /// Ranges after merging those that overlap or touch.
  std::size_t ranges() const { return v4_.size() + v6_.size(); }

 private:
  std::vector<Range<std::uint32_t>> v4_;
  std::vector<Range<V6>> v6_;
};

/// Shared by all that ask; null blocks nothing.
using AddressFilterPtr = std::shared_ptr<const AddressFilter>;

inline bool blocked_by(const AddressFilterPtr& filter, const IpAddress& address) {
  return filter != nullptr && filter->blocks(address);
}

}  // namespace swarmfs::engine
