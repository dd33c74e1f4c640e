// One walk towards an id: whom to ask next, and when it has arrived (BEP 5).
#pragma once

#include <optional>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/dht/node_id.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

using wire::NodeInfo;

/// Asks the nearest nodes known, several at a time, until the nearest kWidth that are there have
/// answered. A node that is slow holds up nobody: its place goes to the next, and it counts only if
/// its answer comes before the end. Knows no time; who uses it says what happened.
class Lookup {
 public:
  static constexpr std::size_t kWidth = 8;
  static constexpr std::size_t kFirst = 5;  ///< asked at a time, at first
  static constexpr std::size_t kMost = 8;   ///< and once answers come
  static constexpr std::size_t kMaxCandidates = 80;
  static constexpr std::size_t kMaxAsked = 120;  ///< then it ends, whatever is known
  static constexpr std::size_t kMaxTaken = 16;   ///< nodes of one answer

  explicit Lookup(const NodeId& target) : target_(target) {}
  const NodeId& target() const { return target_; }

  /// A node worth asking. One of a public address (nobody gets more places by more ports).
  void add(const NodeInfo& node);
  /// A place to begin whose id is not known.
  void add(const Endpoint& entry);

  /// Whom to ask now: it counts as asked.
  std::optional<Endpoint> next();
  /// What the others have become of an endpoint that next() gave. Others are ignored.
  void on_reply(const NodeInfo& from, const std::vector<NodeInfo>& nodes, const Bytes& token);
  void on_slow(const Endpoint& endpoint);
  void on_failure(const Endpoint& endpoint);
  bool done() const;

  struct Holder {
    NodeInfo node;
    Bytes token;
  };
  /// Where to announce: the nearest kWidth that gave a token and whose id fits their address (BEP
  /// 42), and of the nearest of all also those whose id does not.
  std::vector<Holder> holders() const;
  std::size_t asked() const { return asked_; }
  std::size_t answered() const { return answered_; }

 private:
  enum class State : std::uint8_t { idle, asked, slow, answered, failed };
  struct Candidate {
    NodeInfo node;
    bool known = true;  ///< its id is; entries come first
    State state = State::idle;
    Bytes token;
  };
  Candidate* find(const Endpoint& endpoint);
  bool counts(const Candidate& candidate) const;
  void sort();

  NodeId target_;
  std::vector<Candidate> candidates_;  ///< nearest first
  std::size_t at_once_ = kFirst;
  std::size_t asked_ = 0, answered_ = 0;
};

}  // namespace swarmfs::dht
