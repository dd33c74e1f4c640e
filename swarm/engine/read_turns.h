// In which order parked reads are served: every program's oldest first, in turns.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

/// Whose read it is.
struct ReadOwner {
  ReadOwner(HandleId h, ReaderId r = {})
      : handle(h), reader(r) {}  // NOLINT: a handle alone will do
  HandleId handle;
  ReaderId reader;
};

/// A program with a hundred waiting reads and one with a single one wait for their own bytes alone:
/// the k-th oldest reads of all programs come before the (k+1)-th of any. Reads of one program, and
/// those of unknown ones, go by age.
class ReadTurns {
 public:
  /// `most`: how many reads order() gives at the most, so that a flood costs nothing to look at.
  explicit ReadTurns(std::size_t most) : most_(most) {}

  /// Ids grow with age: the smaller one is older.
  void add(ReadId read, ReaderId reader);
  void remove(ReadId read, ReaderId reader);

  /// Who is served first, second and so on. Valid until add() or remove().
  std::span<const ReadId> order();

 private:
  std::size_t most_;
  std::map<ReaderId, std::set<ReadId>> waiting_;
  std::vector<ReadId> order_;
  bool stale_ = false;
};

}  // namespace swarmfs::engine
