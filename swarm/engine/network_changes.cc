#include "swarm/engine/network_changes.h"

#include <algorithm>
#include <utility>

namespace swarmfs::engine {

void NetworkChanges::on_news(TimePoint now) {
  if (deadline_ == TimePoint::max()) last_look_ = now + kPatience;
  deadline_ = std::min(now + kSettled, last_look_);
}

std::optional<NetworkChange> NetworkChanges::look(std::vector<HostAddress> now) {
  deadline_ = TimePoint::max();
  NetworkChange change;
  for (const HostAddress& one : now)
    if (one.running && std::ranges::find(known_, one) == known_.end()) change.came = true;
  for (const HostAddress& one : known_)
    if (std::ranges::find(now, one.address, &HostAddress::address) == now.end())
      change.gone.push_back(one.address);
  known_ = std::move(now);
  if (!change.came && change.gone.empty()) return std::nullopt;
  return change;
}

}  // namespace swarmfs::engine
