// A set of byte ranges, merged where they touch.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace swarmfs::mount {

/// Not thread-safe.
class PageRanges {
 public:
  bool empty() const { return ranges_.empty(); }

  bool overlaps(std::uint64_t begin, std::uint64_t end) const {
    const auto it = ranges_.upper_bound(begin);
    if (it != ranges_.end() && it->first < end) return true;
    return it != ranges_.begin() && std::prev(it)->second > begin;
  }

  void insert(std::uint64_t begin, std::uint64_t end) {
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin() && std::prev(it)->second >= begin) --it;
    while (it != ranges_.end() && it->first <= end) {
      begin = it->first < begin ? it->first : begin;
      end = it->second > end ? it->second : end;
      it = ranges_.erase(it);
    }
    ranges_.emplace(begin, end);
  }

  void erase(std::uint64_t begin, std::uint64_t end) {
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin() && std::prev(it)->second > begin) --it;
    while (it != ranges_.end() && it->first < end) {
      const auto [low, high] = *it;
      it = ranges_.erase(it);
      if (low < begin) ranges_.emplace(low, begin);
      if (high > end) ranges_.emplace(end, high);
    }
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< begin to end
};

}  // namespace swarmfs::mount
