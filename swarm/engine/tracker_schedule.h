// When to announce what to which tracker, for one torrent: no sockets, no clock.
//
// The rules it keeps:
// - Every tier is a lane of its own with one tracker at work (BEP 12: shuffled once, who answers
//   moves to the front). All tiers start at once, and until a tier has answered for the first
//   time its next tracker is started kHedgeDelay after the last: a dead UDP tracker delays nobody.
// - Never two announces in flight to the same tracker for the same info hash.
// - `started` comes first, `completed` once and only for a download that finished here, `stopped`
//   to every tracker that may know us.
// - Of a private torrent (BEP 27) one tracker is asked at a time, and another only when it fails.
// - A tracker is asked again no sooner than its min interval, and after failures ever later.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/hash.h"
#include "swarm/wire/tracker.h"

namespace swarmfs::engine {

class TrackerSchedule {
 public:
  struct Config {
    /// BEP 12. Repeated URLs count once; no more than kMaxTrackers are kept.
    std::vector<std::vector<std::string>> tiers;
    /// What to announce: for a hybrid the v1 hash and the truncated v2 one.
    std::vector<Sha1Hash> hashes;
    /// No tracker is asked more often than this, whatever it says.
    Duration shortest_interval = std::chrono::seconds(30);
    bool one_at_a_time = false;  ///< as by the method, from the start
  };
  static constexpr std::size_t kMaxTrackers = 256;
  static constexpr Duration kHedgeDelay = std::chrono::seconds(3);
  static constexpr Duration kFirstBackoff = std::chrono::seconds(5);
  static constexpr Duration kLongestBackoff = std::chrono::minutes(30);

  /// One announce to make. `id` names it when its result is reported.
  struct Announce {
    std::uint64_t id = 0;
    std::string url;
    Sha1Hash info_hash{};
    wire::TrackerEvent event = wire::TrackerEvent::none;
    std::string tracker_id;
  };
  struct Reply {
    std::chrono::seconds interval{0};
    std::optional<std::chrono::seconds> min_interval;
    bool had_peers = false;
    std::string tracker_id;
  };
  /// How one tracker stands for one hash, for people.
  struct Status {
    std::string url;  ///< holds passkeys: redact before showing
    std::size_t tier = 0;
    Sha1Hash info_hash{};
    bool in_flight = false;
    bool answered = false;  ///< the last announce succeeded
    int failures = 0;       ///< in a row
    TimePoint next{};       ///< when it may be asked again
  };

  TrackerSchedule(Config config, Rng rng, TimePoint now);

  /// One more hash to announce, from now on, to every tracker.
  void add_hash(const Sha1Hash& hash, TimePoint now);

  /// BEP 27, from now on: all trackers are one tier, those that have answered first, and none is
  /// started because another is slow.
  void one_at_a_time();

  /// The next announce to send now, or nothing; call until it gives nothing.
  std::optional<Announce> next_action(TimePoint now);
  /// When next_action() may have something if nothing is reported before; nothing: never.
  std::optional<TimePoint> deadline() const;

  /// An announce ended. Ids that stop() dropped are ignored.
  void on_success(std::uint64_t id, const Reply& reply, TimePoint now);
  void on_failure(std::uint64_t id, TimePoint now);

  /// The download finished here: every tracker that knows us gets `completed`. Once.
  void completed();
  /// More peers are wanted before the interval is over; held back by min intervals and backoff.
  void want_peers(TimePoint now);
  /// Others reach us at another port: who works is told in kMovedDelay, whatever its interval.
  void moved(TimePoint now);
  /// Our network came back or is another: failures so far say nothing, and who works is told in
  /// kMovedDelay where we are now.
  void network_changed(TimePoint now);
  /// So that one who moves again and again does not ask more often.
  static constexpr Duration kMovedDelay = std::chrono::seconds(5);
  /// Drops all announces in flight (the caller abandons them too) and owes `stopped` to every
  /// tracker that may know us. From now on next_action() gives nothing else, each once.
  void stop();
  /// After stop(): every `stopped` was sent and has ended.
  bool finished() const;

  std::vector<Status> status() const;

 private:
  struct Slot {                   ///< a tracker's dealings with one hash
    std::uint64_t in_flight = 0;  ///< id of the announce, 0: none
    wire::TrackerEvent sent = wire::TrackerEvent::none;
    bool started = false;  ///< it accepted `started`
    bool owes_completed = false;
    bool owes_stopped = false;
    bool told_old = false;  ///< what is in flight says a port that is no longer ours
    bool last_ok = false;
    int failures = 0;
    TimePoint ready_at{};
    std::string tracker_id;
  };
  struct Tracker {
    std::string url;
    std::vector<Slot> slots;  ///< parallel to hashes
  };
  struct Lane {  ///< a tier's dealings with one hash
    bool answered = false;
    TimePoint due_at{};
    TimePoint last_sent{};
  };
  struct Tier {
    std::vector<Tracker> trackers;  ///< in the order to try
    std::vector<Lane> lanes;        ///< parallel to hashes
  };
  struct Choice {
    std::size_t tracker = 0;  ///< index in its tier
    TimePoint at{};           ///< when it may go out
  };

  /// The lane's next announce and when it may be sent; nothing while it waits for a result.
  std::optional<Choice> choose(const Tier& tier, std::size_t hash) const;
  std::optional<Choice> choose_event(const Tier& tier, std::size_t hash) const;
  std::optional<Choice> choose_regular(const Tier& tier, std::size_t hash) const;
  Announce send(Tracker& tracker, std::size_t hash);
  template <class Visit>
  bool visit_in_flight(std::uint64_t id, Visit visit);
  Duration backoff(int failures);

  Config config_;
  Rng rng_;
  std::vector<Tier> tiers_;
  std::uint64_t next_id_ = 1;
  bool stopping_ = false;
};

}  // namespace swarmfs::engine
