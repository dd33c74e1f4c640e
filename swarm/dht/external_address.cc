#include "swarm/dht/external_address.h"

#include <algorithm>

#include "swarm/dht/node_id.h"

namespace swarmfs::dht {

bool ExternalAddress::vote(const IpAddress& voter, const IpAddress& seen) {
  if (seen.is_local()) return false;
  const IpAddress network = network_of(voter);
  std::erase_if(votes_, [&](const Vote& vote) { return vote.network == network; });
  votes_.push_back({network, seen});
  if (votes_.size() > kRemembered) votes_.pop_front();
  if (current_ == seen) return false;
  const auto agree = static_cast<std::size_t>(std::count_if(
      votes_.begin(), votes_.end(), [&](const Vote& vote) { return vote.seen == seen; }));
  if (agree < kQuorum || 2 * agree <= votes_.size()) return false;
  current_ = seen;
  return true;
}

}  // namespace swarmfs::dht
