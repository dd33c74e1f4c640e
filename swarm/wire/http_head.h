// What an HTTP answer says before its body, as far as web seeds care.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/clock.h"

namespace swarmfs::wire {

struct HttpHead {
  unsigned status = 0;
  std::optional<std::uint64_t> content_length;  ///< bytes of the body
  std::string content_range;
  std::string content_encoding;
  std::string location;
  std::string retry_after;
  bool keep_alive = true;  ///< the server takes more requests on this connection
};

/// RFC 9110 14.4: "bytes 0-99/1234"; the length may be unknown ("*"). first <= last < total.
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::optional<std::uint64_t> total;
  bool operator==(const ContentRange&) const = default;
};
/// Nothing if it is of another unit, malformed, or the "bytes */1234" of an unsatisfied range.
std::optional<ContentRange> parse_content_range(std::string_view text);

/// RFC 9110 10.2.3, and the body of BEP 17's 503: a number of seconds, at most a day of which
/// counts. Nothing for a date, which would need a clock that agrees with the server's.
std::optional<Duration> parse_retry_after(std::string_view text);

}  // namespace swarmfs::wire
