#include "swarm/engine/choker.h"

#include <algorithm>
#include <random>
#include <tuple>

namespace swarmfs::engine {
namespace {

/// BEP 3: a newcomer is three times as likely to get the optimistic slot.
constexpr unsigned kNewcomerWeight = 3;
/// A lottery leaves somebody unlucky. With n waiting the expected wait is at most 3n draws, so
/// whoever has waited for more than 4n is served without one.
constexpr unsigned kPatience = 4;

bool wants_slot(const ChokePeer& peer) { return peer.interested && !peer.upload_only; }

/// Peers unchoked in one round tie; by id the same ones would come last every time.
std::uint64_t tie_breaker(PeerId id, TimePoint since) {
  std::uint64_t x = id.value + static_cast<std::uint64_t>(since.time_since_epoch().count());
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Since when a peer waits for its turn. One that was served goes behind those who wait already,
/// and one that reconnects cannot jump the queue.
auto turn_order(const ChokePeer& peer) {
  const TimePoint since = std::max(peer.connected_at, peer.unchoked_at);
  const bool served = peer.unchoked_at >= peer.connected_at;
  return std::tuple(since, served, tie_breaker(peer.id, since), peer.id);
}

ChokerConfig sane(ChokerConfig config) {
  config.optimistic_slots =
      std::min({config.optimistic_slots, config.slots, std::max(1u, config.slots / 2)});
  config.newcomer_slots =
      std::min(config.newcomer_slots, (config.slots - config.optimistic_slots) / 2);
  return config;
}

}  // namespace

/// The choice of one round: seats are filled from the most binding claim to the least.
class Choker::Round {
 public:
  Round(const Choker& choker, const std::vector<ChokePeer>& peers, bool seeding, TimePoint now)
      : config_(choker.config_), seeding_(seeding), now_(now), optimistic_(choker.optimistic_) {
    for (const ChokePeer& peer : peers) seats_.push_back({&peer, wants_slot(peer), false});
    std::sort(seats_.begin(), seats_.end(),
              [](const Seat& a, const Seat& b) { return a.peer->id < b.peer->id; });
  }

  Decision decide(Rng& rng) {
    keep_optimistic();
    keep_fresh();
    fill_newcomer_slots();
    fill_regular_slots();
    draw_optimistic(rng);
    Decision decision;
    for (const Seat& seat : seats_) {
      if (seat.peer->unchoked && !seat.taken) decision.choke.push_back(seat.peer->id);
      if (!seat.peer->unchoked && seat.taken) decision.unchoke.push_back(seat.peer->id);
    }
    return decision;
  }

  const std::vector<Optimistic>& optimistic() const { return optimistic_; }

 private:
  struct Seat {
    const ChokePeer* peer;
    bool open;   ///< wants a slot and has none yet
    bool taken;  ///< has a slot after this round
  };

  void take(Seat& seat) {
    seat.open = false;
    seat.taken = true;
    ++taken_;
  }

  unsigned left(unsigned reserved = 0) const {
    const unsigned used = taken_ + reserved;
    return used < config_.slots ? config_.slots - used : 0;
  }

  Duration served(const ChokePeer& peer) const { return now_ - peer.unchoked_at; }

  /// Holds a slot, its turn is not over, and it makes use of it.
  bool in_turn(const ChokePeer& peer) const {
    return peer.unchoked && served(peer) < config_.optimistic_period &&
           (peer.sent_since_unchoke > 0 || served(peer) < config_.round);
  }

  bool gives(const ChokePeer& peer) const { return !seeding_ && peer.down_bps > 0; }

  /// Open seats that satisfy `fits`, best first by `before`.
  template <class Fits, class Before>
  std::vector<Seat*> ranked(Fits fits, Before before) {
    std::vector<Seat*> out;
    for (Seat& seat : seats_)
      if (seat.open && fits(*seat.peer)) out.push_back(&seat);
    std::stable_sort(out.begin(), out.end(),
                     [&](const Seat* a, const Seat* b) { return before(*a->peer, *b->peer); });
    return out;
  }

  /// Fair turns: who is in its turn stays, then who waits longest, then who got least.
  auto by_turn() const {
    return [this](const ChokePeer& a, const ChokePeer& b) {
      const auto rank = [this](const ChokePeer& p) { return in_turn(p) ? 0 : p.unchoked ? 2 : 1; };
      if (rank(a) != rank(b)) return rank(a) < rank(b);
      if (rank(a) != 2) return turn_order(a) < turn_order(b);
      // Of two whose turns are over, one that takes nothing wastes its slot.
      const auto spent = [](const ChokePeer& p) {
        return std::tuple(p.sent_since_unchoke == 0, p.sent_since_unchoke, -p.up_bps, p.id);
      };
      return spent(a) < spent(b);
    };
  }

  void keep_optimistic() {
    std::erase_if(optimistic_, [this](const Optimistic& held) {
      const auto at = std::find_if(seats_.begin(), seats_.end(),
                                   [&](const Seat& seat) { return seat.peer->id == held.id; });
      if (at == seats_.end() || !at->open || !at->peer->unchoked) return true;
      if (now_ - held.since >= config_.optimistic_period || left() == 0) return true;
      take(*at);
      return false;
    });
  }

  /// Flapping costs both sides a round trip and the peer its TCP window.
  void keep_fresh() {
    const auto fresh = [this](const ChokePeer& p) {
      return p.unchoked && served(p) < config_.round;
    };
    for (Seat* seat : ranked(fresh, [](const ChokePeer&a, const ChokePeer&b) {
           return turn_order(a) < turn_order(b);
         }))
      if (left() > 0) take(*seat);
  }

  /// Newcomers beside the optimistic ones, which the lottery favours already.
  unsigned newcomers_served() const {
    return static_cast<unsigned>(
        std::count_if(seats_.begin(), seats_.end(), [this](const Seat& seat) {
          return seat.taken && seat.peer->newcomer && !holds(optimistic_, seat.peer->id);
        }));
  }

  /// Newcomer slots that found nobody: kept free, so that the next newcomer is served at once.
  unsigned newcomer_slots_free() const {
    return config_.newcomer_slots - std::min(config_.newcomer_slots, newcomers_served());
  }

  void fill_newcomer_slots() {
    for (Seat* seat : ranked([](const ChokePeer& p) { return p.newcomer; }, by_turn())) {
      if (left() == 0 || newcomer_slots_free() == 0) return;
      take(*seat);
    }
  }

  /// Tit for tat among those who give; what that leaves goes by turns.
  void fill_regular_slots() {
    const unsigned reserved = newcomer_slots_free() + config_.optimistic_slots -
                              static_cast<unsigned>(optimistic_.size());
    const auto fits = [this](const ChokePeer& p) { return seeding_ || !p.snubbed; };
    const auto before = [this, turn = by_turn()](const ChokePeer& a, const ChokePeer& b) {
      const double from_a = gives(a) ? a.down_bps : 0;
      const double from_b = gives(b) ? b.down_bps : 0;
      return from_a != from_b ? from_a > from_b : turn(a, b);
    };
    for (Seat* seat : ranked(fits, before)) {
      if (left(reserved) == 0) return;
      take(*seat);
    }
  }

  void draw_optimistic(Rng& rng) {
    const auto waits = [](const ChokePeer& p) { return !p.unchoked; };
    const auto order = [](const ChokePeer& a, const ChokePeer& b) {
      return turn_order(a) < turn_order(b);
    };
    const auto anyone = [](const ChokePeer&) { return true; };
    const unsigned kept = newcomer_slots_free();
    while (optimistic_.size() < config_.optimistic_slots && left(kept) > 0) {
      std::vector<Seat*> candidates = ranked(waits, order);
      // Nobody waits: whoever had the slot may keep it.
      if (candidates.empty()) candidates = ranked(anyone, by_turn());
      if (candidates.empty()) return;
      Seat& winner =
          candidates.front()->peer->unchoked ? *candidates.front() : draw(candidates, rng);
      take(winner);
      optimistic_.push_back({winner.peer->id, now_});
    }
  }

  /// `candidates` are in turn order and not empty.
  Seat& draw(const std::vector<Seat*>& candidates, Rng& rng) const {
    const auto longest = now_ - std::get<0>(turn_order(*candidates.front()->peer));
    const auto patience = config_.optimistic_period * kPatience * candidates.size();
    if (longest > patience) return *candidates.front();
    std::vector<unsigned> weights;
    for (const Seat* seat : candidates)
      weights.push_back(seat->peer->newcomer ? kNewcomerWeight : 1);
    std::discrete_distribution<std::size_t> lottery(weights.begin(), weights.end());
    return *candidates[lottery(rng)];
  }

  const ChokerConfig& config_;
  const bool seeding_;
  const TimePoint now_;
  std::vector<Optimistic> optimistic_;
  std::vector<Seat> seats_;
  unsigned taken_ = 0;
};

Choker::Choker(ChokerConfig config) : config_(sane(config)) {}

bool Choker::holds(const std::vector<Optimistic>& optimistic, PeerId id) {
  return std::any_of(optimistic.begin(), optimistic.end(),
                     [id](const Optimistic& held) { return held.id == id; });
}

bool Choker::unchoke_now(const std::vector<ChokePeer>& peers, PeerId candidate) const {
  const auto at = std::find_if(peers.begin(), peers.end(),
                               [candidate](const ChokePeer& p) { return p.id == candidate; });
  const auto may = [](const ChokePeer& p) { return wants_slot(p) && !p.unchoked && !p.snubbed; };
  if (at == peers.end() || !may(*at)) return false;

  // Slots that are held, and claims that come before the candidate's.
  unsigned held = 0;
  unsigned newcomers_held = 0;
  unsigned newcomers_ahead = 0;
  unsigned others_ahead = 0;
  for (const ChokePeer& peer : peers) {
    if (peer.unchoked) {
      ++held;
      if (peer.newcomer && wants_slot(peer) && !holds(optimistic_, peer.id)) ++newcomers_held;
    } else if (may(peer) && turn_order(peer) < turn_order(*at)) {
      ++(peer.newcomer ? newcomers_ahead : others_ahead);
    }
  }
  if (at->newcomer) return held + newcomers_ahead < config_.slots;
  const unsigned kept = config_.newcomer_slots - std::min(config_.newcomer_slots, newcomers_held);
  return held + others_ahead + std::max(kept, newcomers_ahead) < config_.slots;
}

Choker::Decision Choker::round(const std::vector<ChokePeer>& peers, bool seeding, TimePoint now,
                               Rng& rng) {
  next_round_ = now + config_.round;
  Round choice(*this, peers, seeding, now);
  Decision decision = choice.decide(rng);
  optimistic_ = choice.optimistic();
  return decision;
}

}  // namespace swarmfs::engine
