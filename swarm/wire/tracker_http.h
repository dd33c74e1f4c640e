// The HTTP tracker protocol, both ways, without sockets (BEP 3, 7, 23, 24, 48).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/wire/tracker.h"

namespace swarmfs::wire {

/// `target` (path and query of an announce URL) with the request's parameters added.
std::string announce_target(std::string_view target, const AnnounceRequest& request);
/// BEP 48: the scrape target that belongs to an announce target, or nothing if it has none.
std::optional<std::string> scrape_target(std::string_view announce_target,
                                         std::span<const Sha1Hash> hashes);

/// Reads the query of an announce (without '?'). Errors (bad_input) name the parameter.
Result<AnnounceRequest> decode_announce_query(std::string_view query);
/// The hashes that a scrape query asks for, at most kMaxScrapeHashes; bad_input if malformed.
Result<std::vector<Sha1Hash>> decode_scrape_query(std::string_view query);

/// BEP 23 and 7: `peers` and `peers6` strings, or with `compact` off BEP 3's list of dicts.
Bytes encode_announce_response(const AnnounceResponse& response, bool compact = true);
Bytes encode_scrape_response(std::span<const ScrapeEntry> entries);
Bytes encode_tracker_failure(std::string_view reason);

/// Errors: protocol, with the tracker's own `failure reason` made printable, or what is malformed.
/// Peers without a port or address, and those named by host, are left out.
Result<AnnounceResponse> decode_announce_response(ByteView body);
Result<std::vector<ScrapeEntry>> decode_scrape_response(ByteView body);

}  // namespace swarmfs::wire
