#include "swarm/engine/rate_limiter.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace swarmfs::engine {

/// What is taken without leave is paid off in a second, or this much is: a block or two may cost a
/// low rate more than that.
static constexpr double kSmallDebt = 64 << 10;

RateLimiter::Member RateLimiter::join() {
  members_[next_member_];
  return next_member_++;
}

void RateLimiter::set_rate(std::uint64_t bps, bool reads_exempt, TimePoint now) {
  reads_exempt_ = reads_exempt;
  if (bps == rate_) return;
  advance(now);
  rate_ = bps;
  spare_ = debt_ = 0;
  for (auto& [member, share] : members_) share.bytes = 0;
}

/// Gives out what has come since: to pay debts, then to those who want some in equal shares, and
/// what they cannot keep is spare.
void RateLimiter::advance(TimePoint now) {
  if (now <= at_) return;
  double bytes = worth(now - std::exchange(at_, now));
  if (rate_ == 0) return;
  const double paid = std::min(debt_, bytes);
  debt_ -= paid;
  bytes -= paid;
  std::vector<Share*> wanting;
  for (auto& [member, share] : members_)
    if (share.wanted_until >= now) wanting.push_back(&share);
  // Who has room for least gets its part first, so that the others share what it leaves.
  const double most =
      worth(kBurst / 2) / static_cast<double>(std::max<std::size_t>(1, wanting.size()));
  std::sort(wanting.begin(), wanting.end(),
            [](const Share* a, const Share* b) { return a->bytes > b->bytes; });
  for (std::size_t i = 0; i < wanting.size(); ++i) {
    const double part = bytes / static_cast<double>(wanting.size() - i);
    const double kept = std::clamp(most - wanting[i]->bytes, 0.0, part);
    wanting[i]->bytes += kept;
    bytes -= kept;
  }
  spare_ = std::min(spare_ + bytes, worth(kBurst / 2));
}

bool RateLimiter::may_take(Member member, bool waited_for, TimePoint now) {
  if (rate_ == 0 || (waited_for && reads_exempt_)) return true;
  advance(now);
  Share& share = members_.at(member);
  if (debt_ > 0) {
    share.wanted_until = next(member, now) + kLinger;
    return false;
  }
  // Spare is what all who wanted some have left.
  if (share.bytes <= 0) share.bytes += std::exchange(spare_, 0);
  share.wanted_until = (share.bytes > 0 ? now : next(member, now)) + kLinger;
  return share.bytes > 0;
}

void RateLimiter::take(Member member, std::uint64_t bytes, TimePoint now) {
  if (rate_ == 0) return;
  advance(now);
  double& mine = members_.at(member).bytes;
  if (mine > 0 && debt_ <= 0) {
    mine -= static_cast<double>(bytes);
    return;
  }
  debt_ = std::min(debt_ + static_cast<double>(bytes),
                   std::max(worth(std::chrono::seconds(1)), kSmallDebt));
}

void RateLimiter::give_back(Member member, std::uint64_t bytes, TimePoint now) {
  if (rate_ == 0) return;
  advance(now);
  auto back = static_cast<double>(bytes);
  const double forgiven = std::min(debt_, back);
  debt_ -= forgiven;
  back -= forgiven;
  double& mine = members_.at(member).bytes;
  mine = std::min(mine + back, std::max(mine, worth(kBurst / 2)));
}

TimePoint RateLimiter::next(Member member, TimePoint now) const {
  if (rate_ == 0) return now;
  std::size_t wanting = 1;
  for (const auto& [other, share] : members_)
    if (other != member && share.wanted_until >= now) ++wanting;
  const double mine = std::max(0.0, -members_.at(member).bytes) + 1;
  const double bytes = debt_ + mine * static_cast<double>(wanting);
  return now + std::clamp<Duration>(from_seconds(bytes / static_cast<double>(rate_)), kShortestWait,
                                    kLongestWait);
}

RateGate::RateGate(std::shared_ptr<RateLimiter> common)
    : common_(std::move(common)), me_(own_.join()) {
  if (common_) me_in_common_ = common_->join();
}

RateGate::~RateGate() {
  if (common_) common_->leave(me_in_common_);
}

bool RateGate::open(bool waited_for, TimePoint now) {
  // Who is held back by its own limit wants nothing of the common one.
  return own_.may_take(me_, waited_for, now) &&
         (!common_ || common_->may_take(me_in_common_, waited_for, now));
}

TimePoint RateGate::next(TimePoint now) const {
  const TimePoint own = own_.next(me_, now);
  return common_ ? std::max(own, common_->next(me_in_common_, now)) : own;
}

void RateGate::take(std::uint64_t bytes, TimePoint now) {
  own_.take(me_, bytes, now);
  if (common_) common_->take(me_in_common_, bytes, now);
}

void RateGate::give_back(std::uint64_t bytes, TimePoint now) {
  own_.give_back(me_, bytes, now);
  if (common_) common_->give_back(me_in_common_, bytes, now);
}

}  // namespace swarmfs::engine
