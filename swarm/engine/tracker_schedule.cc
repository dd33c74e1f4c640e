#include "swarm/engine/tracker_schedule.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace swarmfs::engine {
namespace {

using wire::TrackerEvent;

constexpr std::chrono::seconds kLongestInterval{24 * 3600};
// When a tracker names no min interval: how soon to ask it again if more peers are wanted.
constexpr std::chrono::seconds kAgainWithPeers{300};
constexpr std::chrono::seconds kAgainWithoutPeers{60};

}  // namespace

TrackerSchedule::TrackerSchedule(Config config, Rng rng, TimePoint now)
    : config_(std::move(config)), rng_(rng) {
  std::set<std::string> seen;
  for (const auto& urls : config_.tiers) {
    Tier tier;
    for (const std::string& url : urls) {
      if (seen.size() == kMaxTrackers || !seen.insert(url).second) continue;
      tier.trackers.push_back({url, std::vector<Slot>(config_.hashes.size())});
    }
    if (tier.trackers.empty()) continue;
    std::shuffle(tier.trackers.begin(), tier.trackers.end(), rng_);
    tier.lanes.assign(config_.hashes.size(), Lane{false, now, now});
    tiers_.push_back(std::move(tier));
  }
  if (config_.one_at_a_time) one_at_a_time();
}

void TrackerSchedule::one_at_a_time() {
  config_.one_at_a_time = true;
  if (tiers_.empty()) return;
  Tier& all = tiers_.front();
  for (std::size_t t = 1; t < tiers_.size(); ++t) {
    std::move(tiers_[t].trackers.begin(), tiers_[t].trackers.end(),
              std::back_inserter(all.trackers));
    for (std::size_t hash = 0; hash < all.lanes.size(); ++hash) {
      Lane& lane = all.lanes[hash];
      const Lane& other = tiers_[t].lanes[hash];
      lane.answered = lane.answered || other.answered;
      lane.due_at = std::max(lane.due_at, other.due_at);
    }
  }
  tiers_.erase(tiers_.begin() + 1, tiers_.end());
  std::stable_partition(all.trackers.begin(), all.trackers.end(), [](const Tracker& tracker) {
    return std::any_of(tracker.slots.begin(), tracker.slots.end(),
                       [](const Slot& slot) { return slot.last_ok; });
  });
}

void TrackerSchedule::add_hash(const Sha1Hash& hash, TimePoint now) {
  config_.hashes.push_back(hash);
  for (Tier& tier : tiers_) {
    for (Tracker& tracker : tier.trackers) tracker.slots.emplace_back();
    tier.lanes.push_back(Lane{false, now, now});
  }
}

/// An event owed to a tracker that knows us: it waits for nothing but that tracker's own backoff.
std::optional<TrackerSchedule::Choice> TrackerSchedule::choose_event(const Tier& tier,
                                                                     std::size_t hash) const {
  std::optional<Choice> best;
  for (std::size_t t = 0; t < tier.trackers.size(); ++t) {
    const Slot& slot = tier.trackers[t].slots[hash];
    if (slot.in_flight != 0) continue;
    if (slot.owes_stopped) return Choice{t, TimePoint{}};
    if (!slot.owes_completed) continue;
    const TimePoint at = slot.failures == 0 ? TimePoint{} : slot.ready_at;
    if (!best || at < best->at) best = Choice{t, at};
  }
  return best;
}

std::optional<TrackerSchedule::Choice> TrackerSchedule::choose_regular(const Tier& tier,
                                                                       std::size_t hash) const {
  const Lane& lane = tier.lanes[hash];
  TimePoint earliest = lane.due_at;
  const auto busy = [&](const Tracker& tracker) { return tracker.slots[hash].in_flight != 0; };
  if (std::any_of(tier.trackers.begin(), tier.trackers.end(), busy)) {
    if (lane.answered || config_.one_at_a_time) return std::nullopt;
    earliest = lane.last_sent + kHedgeDelay;
  }
  // The first that is ready; else the one that will be ready first. A tracker that works is
  // waited for (its min interval) rather than passed over.
  std::optional<Choice> best;
  for (std::size_t t = 0; t < tier.trackers.size(); ++t) {
    const Slot& slot = tier.trackers[t].slots[hash];
    if (slot.in_flight != 0) continue;
    const TimePoint at = std::max(earliest, slot.ready_at);
    if (!best || at < best->at) best = Choice{t, at};
    if (slot.last_ok) break;
  }
  return best;
}

std::optional<TrackerSchedule::Choice> TrackerSchedule::choose(const Tier& tier,
                                                               std::size_t hash) const {
  const auto event = choose_event(tier, hash);
  if (stopping_) return event;
  const auto regular = choose_regular(tier, hash);
  if (!event || !regular) return event ? event : regular;
  return event->at <= regular->at ? event : regular;
}

TrackerSchedule::Announce TrackerSchedule::send(Tracker& tracker, std::size_t hash) {
  Slot& slot = tracker.slots[hash];
  slot.in_flight = next_id_++;
  slot.sent = TrackerEvent::none;
  if (slot.owes_stopped) {
    slot.sent = TrackerEvent::stopped;
  } else if (!slot.started) {
    slot.sent = TrackerEvent::started;
  } else if (slot.owes_completed) {
    slot.sent = TrackerEvent::completed;
  }
  slot.owes_stopped = false;
  return {slot.in_flight, tracker.url, config_.hashes[hash], slot.sent, slot.tracker_id};
}

std::optional<TrackerSchedule::Announce> TrackerSchedule::next_action(TimePoint now) {
  for (Tier& tier : tiers_) {
    for (std::size_t hash = 0; hash < tier.lanes.size(); ++hash) {
      const auto choice = choose(tier, hash);
      if (!choice || choice->at > now) continue;
      tier.lanes[hash].last_sent = now;
      return send(tier.trackers[choice->tracker], hash);
    }
  }
  return std::nullopt;
}

std::optional<TimePoint> TrackerSchedule::deadline() const {
  std::optional<TimePoint> earliest;
  for (const Tier& tier : tiers_) {
    for (std::size_t hash = 0; hash < tier.lanes.size(); ++hash) {
      const auto choice = choose(tier, hash);
      if (choice && (!earliest || choice->at < *earliest)) earliest = choice->at;
    }
  }
  return earliest;
}

template <class Visit>
bool TrackerSchedule::visit_in_flight(std::uint64_t id, Visit visit) {
  for (Tier& tier : tiers_) {
    for (std::size_t t = 0; t < tier.trackers.size(); ++t) {
      for (std::size_t hash = 0; hash < tier.lanes.size(); ++hash) {
        Slot& slot = tier.trackers[t].slots[hash];
        if (id == 0 || slot.in_flight != id) continue;
        slot.in_flight = 0;
        visit(tier, t, slot, tier.lanes[hash]);
        return true;
      }
    }
  }
  return false;
}

void TrackerSchedule::on_success(std::uint64_t id, const Reply& reply, TimePoint now) {
  visit_in_flight(id, [&](Tier& tier, std::size_t t, Slot& slot, Lane& lane) {
    if (slot.sent == TrackerEvent::stopped) return;
    const std::chrono::seconds interval = std::min(reply.interval, kLongestInterval);
    const auto again = std::min(interval, reply.had_peers ? kAgainWithPeers : kAgainWithoutPeers);
    const Duration shortest = config_.shortest_interval;
    slot.ready_at =
        now + std::max<Duration>(std::min(reply.min_interval.value_or(again), kLongestInterval),
                                 shortest);
    lane.due_at = std::max(now + std::max<Duration>(interval, shortest), slot.ready_at);
    lane.answered = true;
    slot.failures = 0;
    slot.last_ok = true;
    if (slot.sent == TrackerEvent::started) slot.started = true;
    if (slot.sent == TrackerEvent::completed) slot.owes_completed = false;
    if (std::exchange(slot.told_old, false)) slot.ready_at = lane.due_at = now + kMovedDelay;
    if (!reply.tracker_id.empty()) slot.tracker_id = reply.tracker_id;
    const auto first = tier.trackers.begin();
    const auto at = first + static_cast<std::ptrdiff_t>(t);
    std::rotate(first, at, at + 1);
  });
}

void TrackerSchedule::on_failure(std::uint64_t id, TimePoint now) {
  visit_in_flight(id, [&](Tier&, std::size_t, Slot& slot, Lane&) {
    slot.last_ok = false;
    slot.told_old = false;
    slot.failures = std::min(slot.failures + 1, 30);
    slot.ready_at = now + backoff(slot.failures);
    // What is not known to have been accepted as started cannot complete there: `started` with
    // nothing left tells the tracker as much.
    if (!slot.started) slot.owes_completed = false;
  });
}

Duration TrackerSchedule::backoff(int failures) {
  const Duration base = kFirstBackoff * (1LL << std::min(failures - 1, 10));
  // A tracker that comes back should not meet everybody in the same second.
  const double jitter = std::uniform_real_distribution<double>(1.0, 1.2)(rng_);
  return from_seconds(to_seconds(std::min(base, kLongestBackoff)) * jitter);
}

void TrackerSchedule::completed() {
  for (Tier& tier : tiers_)
    for (Tracker& tracker : tier.trackers)
      for (Slot& slot : tracker.slots)
        if (slot.started || slot.in_flight != 0) slot.owes_completed = true;
}

void TrackerSchedule::want_peers(TimePoint now) {
  for (Tier& tier : tiers_)
    for (Lane& lane : tier.lanes) lane.due_at = std::min(lane.due_at, now);
}

void TrackerSchedule::moved(TimePoint now) {
  const TimePoint soon = now + kMovedDelay;
  for (Tier& tier : tiers_) {
    for (std::size_t hash = 0; hash < tier.lanes.size(); ++hash) {
      for (Tracker& tracker : tier.trackers) {
        Slot& slot = tracker.slots[hash];
        slot.told_old = slot.in_flight != 0;
        if (slot.in_flight != 0 || !slot.last_ok) continue;
        slot.ready_at = std::min(slot.ready_at, soon);
        tier.lanes[hash].due_at = std::min(tier.lanes[hash].due_at, soon);
      }
    }
  }
}

void TrackerSchedule::network_changed(TimePoint now) {
  moved(now);
  for (Tier& tier : tiers_) {
    for (Tracker& tracker : tier.trackers) {
      for (std::size_t hash = 0; hash < tier.lanes.size(); ++hash) {
        Slot& slot = tracker.slots[hash];
        if (std::exchange(slot.failures, 0) == 0) continue;
        slot.ready_at = std::min(slot.ready_at, now);
        tier.lanes[hash].due_at = std::min(tier.lanes[hash].due_at, now);
      }
    }
  }
}

void TrackerSchedule::stop() {
  if (std::exchange(stopping_, true)) return;
  for (Tier& tier : tiers_) {
    for (Tracker& tracker : tier.trackers) {
      for (Slot& slot : tracker.slots) {
        // One in flight may have reached the tracker although its answer did not come back.
        slot.owes_stopped = slot.started || slot.in_flight != 0;
        slot.owes_completed = false;
        slot.in_flight = 0;
      }
    }
  }
}

bool TrackerSchedule::finished() const {
  if (!stopping_) return false;
  for (const Tier& tier : tiers_)
    for (const Tracker& tracker : tier.trackers)
      for (const Slot& slot : tracker.slots)
        if (slot.owes_stopped || slot.in_flight != 0) return false;
  return true;
}

std::vector<TrackerSchedule::Status> TrackerSchedule::status() const {
  std::vector<Status> out;
  for (std::size_t t = 0; t < tiers_.size(); ++t) {
    for (const Tracker& tracker : tiers_[t].trackers) {
      for (std::size_t hash = 0; hash < tracker.slots.size(); ++hash) {
        const Slot& slot = tracker.slots[hash];
        out.push_back({tracker.url, t, config_.hashes[hash], slot.in_flight != 0, slot.last_ok,
                       slot.failures, slot.ready_at});
      }
    }
  }
  return out;
}

}  // namespace swarmfs::engine
