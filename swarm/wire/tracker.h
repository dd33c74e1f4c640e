// What clients and trackers tell each other, whatever carries it (BEP 3, 7, 15, 23, 48).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"

namespace swarmfs::wire {

/// The values are BEP 15's.
enum class TrackerEvent : std::uint8_t { none = 0, completed = 1, started = 2, stopped = 3 };

struct AnnounceRequest {
  Sha1Hash info_hash{};  ///< v1, or v2 cut to 20 bytes
  std::array<std::uint8_t, 20> peer_id{};
  std::uint64_t uploaded = 0;    ///< bytes since the `started` event
  std::uint64_t downloaded = 0;  ///< bytes since the `started` event
  std::uint64_t left = 0;        ///< bytes; 0 makes the sender a seed
  TrackerEvent event = TrackerEvent::none;
  std::uint16_t port = 0;  ///< where the sender accepts peers
  std::uint32_t key = 0;   ///< same over address families (BEP 7)
  std::optional<std::uint32_t> numwant;
  std::string tracker_id;       ///< HTTP only: what this tracker said before
  std::optional<IpAddress> ip;  ///< where the sender says it is, if it says so
  bool compact = true;          ///< HTTP only (BEP 23)
  bool operator==(const AnnounceRequest&) const = default;
};

struct AnnounceResponse {
  std::chrono::seconds interval{0};
  std::optional<std::chrono::seconds> min_interval;
  std::optional<std::uint32_t> seeders;
  std::optional<std::uint32_t> leechers;
  std::vector<Endpoint> peers;
  std::string tracker_id;
  std::string warning;                   ///< printable
  std::optional<IpAddress> external_ip;  ///< BEP 24
  bool operator==(const AnnounceResponse&) const = default;
};

struct ScrapeEntry {
  Sha1Hash info_hash{};
  std::uint32_t seeders = 0;
  std::uint32_t downloads = 0;  ///< `completed` events ever seen
  std::uint32_t leechers = 0;
  bool operator==(const ScrapeEntry&) const = default;
};

/// No reply is believed to hold more peers than this.
inline constexpr std::size_t kMaxTrackerPeers = 3000;
/// Hashes in one scrape, as many as a UDP packet carries (BEP 15).
inline constexpr std::size_t kMaxScrapeHashes = 74;

/// Text from a tracker, fit for a terminal and a log: at most 200 bytes, no control characters.
std::string printable(std::string_view text);

}  // namespace swarmfs::wire
