#include "swarm/engine/read_turns.h"

#include <algorithm>

namespace swarmfs::engine {

void ReadTurns::add(ReadId read, ReaderId reader) {
  waiting_[reader].insert(read);
  stale_ = true;
}

void ReadTurns::remove(ReadId read, ReaderId reader) {
  const auto it = waiting_.find(reader);
  if (it == waiting_.end() || it->second.erase(read) == 0) return;
  if (it->second.empty()) waiting_.erase(it);
  stale_ = true;
}

std::span<const ReadId> ReadTurns::order() {
  if (!stale_) return order_;
  stale_ = false;
  order_.clear();
  std::vector<std::pair<std::set<ReadId>::const_iterator, std::set<ReadId>::const_iterator>> left;
  for (const auto& [reader, reads] : waiting_) left.emplace_back(reads.begin(), reads.end());
  while (!left.empty() && order_.size() < most_) {
    const auto turn = order_.size();
    for (auto& [next, end] : left) order_.push_back(*next++);
    std::sort(order_.begin() + static_cast<std::ptrdiff_t>(turn), order_.end());
    std::erase_if(left, [](const auto& reads) { return reads.first == reads.second; });
  }
  order_.resize(std::min(order_.size(), most_));
  return order_;
}

}  // namespace swarmfs::engine
