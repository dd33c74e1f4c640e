#include "swarm/engine/network_changes.h"

#include <algorithm>
#include <utility>

namespace swarmfs::engine {

void NetworkChanges::on_news(TimePoint now) {
  if (deadline_ == TimePoint::max()) last_look_ = now + kPatience;
  deadline_ = std::min(now + kSettled, last_look_);
}

std::optional<NetworkChange> NetworkChanges::look(std::vector<HostAddress> addresses,
                                                  TimePoint now) {
  deadline_ = TimePoint::max();
  NetworkChange change;
  for (const HostAddress& one : addresses)
    if (one.running && std::ranges::find(known_, one) == known_.end()) came_ = true;
  for (const HostAddress& one : known_)
    if (std::ranges::find(addresses, one.address, &HostAddress::address) == addresses.end())
      change.gone.push_back(one.address);
  known_ = std::move(addresses);
  if (came_ && told_ && now < *told_ + kRest) {
    deadline_ = last_look_ = *told_ + kRest;
  } else if (std::exchange(came_, false)) {
    change.came = true;
    told_ = now;
  }
  if (!change.came && change.gone.empty()) return std::nullopt;
  return change;
}

}  // namespace swarmfs::engine
