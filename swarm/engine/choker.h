// Chooses which peers may download from us (BEP 3): tit for tat while we download, turns while we
// seed, one optimistic slot that rotates, and one slot kept for newcomers.
//
// Rules it keeps: never more than `slots` peers hold an unchoke; a slot is given at once while one
// is free; a peer that was unchoked less than a round ago is not choked again; whoever stays
// interested is served after a bounded wait.
#pragma once

#include <cstdint>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::engine {

/// What the choker knows of one connected peer. Rates are in bytes a second, smoothed.
struct ChokePeer {
  PeerId id;
  bool interested = false;
  bool unchoked = false;
  bool snubbed = false;      ///< owes us blocks and sends none; false when we asked for none
  bool newcomer = false;     ///< has no whole piece yet, so it has nothing to trade with
  bool upload_only = false;  ///< a seed or BEP 21 partial seed: never needs us
  double down_bps = 0;       ///< what it gives us
  double up_bps = 0;         ///< what we give it
  std::uint64_t sent_since_unchoke = 0;  ///< bytes
  TimePoint connected_at;
  TimePoint unchoked_at;  ///< of its last unchoke; anything before connected_at means never
};

struct ChokerConfig {
  unsigned slots = 8;             ///< in all, the two special kinds included
  unsigned optimistic_slots = 1;  ///< at most half of `slots`, but one even of one
  unsigned newcomer_slots = 1;    ///< at most half of what the optimistic ones leave
  Duration round = std::chrono::seconds(10);
  /// How long an optimistic unchoke lasts, and a turn where nobody trades.
  Duration optimistic_period = std::chrono::seconds(30);
};

/// Pure: time and randomness are arguments, and the order of `peers` makes no difference.
class Choker {
 public:
  explicit Choker(ChokerConfig config);

  /// Whether `candidate` may be unchoked at once, between rounds. Ask when it becomes interested,
  /// and for each waiting peer when a slot falls free (a peer left, or lost interest: choke that
  /// one right away, an idle unchoke holds its slot until the next round). Who has waited longer
  /// goes first, and free newcomer slots are not for others. Apply a yes before asking again.
  bool unchoke_now(const std::vector<ChokePeer>& peers, PeerId candidate) const;

  struct Decision {
    std::vector<PeerId> choke;    ///< ascending; to be applied before `unchoke`
    std::vector<PeerId> unchoke;  ///< ascending
  };
  /// One round, due at next_round(). `seeding`: nothing is wanted from anybody, so slots go by
  /// turns instead of by what a peer gives.
  Decision round(const std::vector<ChokePeer>& peers, bool seeding, TimePoint now, Rng& rng);

  /// When round() is due; before the first one, in the distant past.
  TimePoint next_round() const { return next_round_; }

 private:
  struct Optimistic {
    PeerId id;
    TimePoint since;
  };
  class Round;

  static bool holds(const std::vector<Optimistic>& optimistic, PeerId id);

  ChokerConfig config_;
  TimePoint next_round_{};
  std::vector<Optimistic> optimistic_;  ///< at most optimistic_slots
};

}  // namespace swarmfs::engine
