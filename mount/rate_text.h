// Rates and ranges of bytes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Bytes a second: "500K", "2M" (binary units, as parse_size()), "10Mbit" (decimal, as lines are
/// sold); "/s" may follow. "0" and "none": 0, which stands for no limit. Error: bad_input.
Result<std::uint64_t> parse_rate(std::string_view text);

/// "500 KiB/s" or "none".
std::string limit_text(std::uint64_t bps);

/// Some of a file, however long it is.
class ByteRange {
 public:
  /// "0-1M": from a byte to before another; "100M-": to the end; "-64K": the last of it; "": all.
  /// Error: bad_input.
  static Result<ByteRange> parse(std::string_view text);

  struct Bytes {
    std::uint64_t begin = 0, end = 0;  ///< [begin, end); empty if the range is beyond the file
  };
  /// What that is of a file of `length` bytes.
  Bytes of(std::uint64_t length) const;

 private:
  std::optional<std::uint64_t> begin_;  ///< none: `end_or_count_` is a number of bytes
  std::optional<std::uint64_t> end_or_count_;
};

}  // namespace swarmfs::mount
