// What we do for strangers, and how much of it.
#pragma once

#include <cstdint>
#include <map>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"

namespace swarmfs::dht {

/// Credit that grows with time up to `most`, and is spent.
class Budget {
 public:
  Budget(double per_second, double most) : rate_(per_second), most_(most), credit_(most) {}
  /// Whether there was enough; spends it if so.
  bool spend(double amount, TimePoint now);
  /// The credit is full: nothing is lost by forgetting it.
  bool full(TimePoint now) const;

 private:
  double at(TimePoint now) const;
  double rate_, most_, credit_;
  TimePoint as_of_{};
};

/// Whose queries are answered: so many a second of one source, and so many bytes a second of all.
/// A source is an address, or an endpoint where it is local, for many may be behind that.
class Traffic {
 public:
  static constexpr double kQueriesPerSecond = 5;
  static constexpr double kQueryBurst = 20;
  static constexpr double kReplyBytesPerSecond = 8 * 1024;
  static constexpr double kReplyBurst = 64 * 1024;
  static constexpr std::size_t kMaxSources = 1000;

  explicit Traffic(double reply_bytes_per_second = kReplyBytesPerSecond);
  /// A query has come. False: it is to be passed over in silence.
  bool may_ask(const Endpoint& from, TimePoint now);
  /// A reply of so many bytes is ready. False: it is to be dropped.
  bool may_reply(std::size_t bytes, TimePoint now) {
    return replies_.spend(static_cast<double>(bytes), now);
  }

 private:
  void forget(TimePoint now);
  std::map<Endpoint, Budget> sources_;
  TimePoint forgot_at_{};
  Budget replies_;
};

}  // namespace swarmfs::dht
