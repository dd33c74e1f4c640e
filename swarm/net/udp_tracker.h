// One exchange with a UDP tracker (BEP 15): connect, then announce or scrape.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"
#include "swarm/net/route.h"
#include "swarm/wire/tracker_udp.h"

namespace swarmfs::net {

/// BEP 15 waits 15 s before the second try; one lost packet should not cost a reader that much.
struct UdpTrackerOptions {
  Duration first_wait = std::chrono::seconds(3);  ///< doubles with every try
  int tries = 3;                                  ///< of each packet
};

/// Both use a connected socket of their own: the kernel drops packets of others, refusals are seen
/// at once, and no connection id outlives its minute. With a proxy they have an association of
/// their own; only then may the tracker be a name. `seed` makes transaction ids that nobody can
/// guess. Errors: network, timed_out, protocol with the tracker's own words, and what the proxy
/// says.
boost::asio::awaitable<Result<wire::AnnounceResponse>> udp_announce(
    RoutePtr route, wire::ProxyTarget tracker, wire::AnnounceRequest request, std::string url_data,
    std::uint64_t seed, UdpTrackerOptions options);
boost::asio::awaitable<Result<std::vector<wire::ScrapeEntry>>> udp_scrape(
    RoutePtr route, wire::ProxyTarget tracker, std::vector<Sha1Hash> hashes, std::uint64_t seed,
    UdpTrackerOptions options);

}  // namespace swarmfs::net
