// How fast payload may flow: one rate, shared fairly by those who want some of it at the time.
//
// Pure: time is passed in. What is taken may be more than what is there, by one take; the next one
// then waits until that is paid off. So any rate, however low, lets whole blocks through.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "swarm/base/clock.h"

namespace swarmfs::engine {

/// What a user allows of the line, in bytes of payload a second; 0: all there is.
struct RateLimits {
  std::uint64_t down_bps = 0;
  std::uint64_t up_bps = 0;
  /// What a reader waits for comes as fast as it can, and the rest gives way by as much.
  bool reads_exempt = true;
  bool operator==(const RateLimits&) const = default;
};

/// A rate and its members. Time does not go backwards between calls.
class RateLimiter {
 public:
  /// What can have been saved up, beyond one take: bytes of so much time.
  static constexpr Duration kBurst = std::chrono::milliseconds(150);
  /// Who waits is told to come back after so long at least, so that it need not come for every
  /// block; and at most, since the others may want less by then.
  static constexpr Duration kShortestWait = std::chrono::milliseconds(10);
  static constexpr Duration kLongestWait = std::chrono::seconds(1);
  /// Whoever has not asked for so long has no share any more.
  static constexpr Duration kLinger = std::chrono::milliseconds(250);

  using Member = std::uint32_t;
  Member join();
  void leave(Member member) { members_.erase(member); }

  /// `bps` 0: unlimited. `reads_exempt`: what a reader waits for may be taken at any time.
  void set_rate(std::uint64_t bps, bool reads_exempt, TimePoint now);
  bool limited() const { return rate_ != 0; }

  /// Whether the member may take now, for a reader that waits or for nobody. If that depends on
  /// the rate, it is thought to want some and has a share from now on.
  bool may_take(Member member, bool waited_for, TimePoint now);
  /// Takes, allowed or not. What was not is paid off by all members together, before they get
  /// anything; but no more than a second's worth of it.
  void take(Member member, std::uint64_t bytes, TimePoint now);
  /// Some of what was taken has not been used.
  void give_back(Member member, std::uint64_t bytes, TimePoint now);
  /// When a member that may not take should ask again.
  TimePoint next(Member member, TimePoint now) const;

 private:
  struct Share {
    double bytes = 0;          ///< may be taken; below 0: taken ahead
    TimePoint wanted_until{};  ///< has a share until then
  };
  void advance(TimePoint now);
  double worth(Duration d) const { return static_cast<double>(rate_) * to_seconds(d); }

  std::uint64_t rate_ = 0;  ///< bytes a second; 0: unlimited
  bool reads_exempt_ = true;
  TimePoint at_{};  ///< everything is as of then
  Member next_member_ = 0;
  std::map<Member, Share> members_;
  double spare_ = 0;  ///< saved up by nobody in particular
  double debt_ = 0;   ///< taken without leave
};

/// Both directions of what several torrents are allowed together. Used on one thread.
struct CommonLimits {
  RateLimiter down, up;
  void set(const RateLimits& limits, TimePoint now) {
    down.set_rate(limits.down_bps, limits.reads_exempt, now);
    up.set_rate(limits.up_bps, false, now);
  }
};

/// What one torrent's payload in one direction has to pass: its own limit and the common one.
class RateGate {
 public:
  /// `common` may be null; shared, because its members may outlive whoever sets it.
  explicit RateGate(std::shared_ptr<RateLimiter> common);
  ~RateGate();
  RateGate(const RateGate&) = delete;
  RateGate& operator=(const RateGate&) = delete;

  RateLimiter& own() { return own_; }
  bool limited() const { return own_.limited() || (common_ && common_->limited()); }
  /// Whether something may pass now, for a reader that waits or for nobody.
  bool open(bool waited_for, TimePoint now);
  /// When to ask again after a no.
  TimePoint next(TimePoint now) const;
  void take(std::uint64_t bytes, TimePoint now);
  void give_back(std::uint64_t bytes, TimePoint now);

 private:
  RateLimiter own_;
  std::shared_ptr<RateLimiter> common_;
  RateLimiter::Member me_, me_in_common_ = 0;
};

}  // namespace swarmfs::engine
