// Numbers and names as people read and write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swarmfs::mount {

/// "0 B", "1.5 KiB", "200 MiB": three digits, binary units.
std::string human_size(std::uint64_t bytes);
/// "1.5 MiB/s".
std::string human_rate(double bytes_per_second);
/// "4 s", "2 min 05 s", "3 h 07 min", "5 d 02 h".
std::string human_duration(double seconds);

/// "51 ms", "3.2 s", "2 min 05 s": a wait, as short as it can be said.
std::string human_wait(double seconds);

/// Reads "65536", "64K", "64KiB", "1M", "1.5G" (binary units, either case).
std::optional<std::uint64_t> parse_size(std::string_view text);

/// `text` without anything that drives a terminal: control characters become '?'.
std::string printable(std::string_view text);

}  // namespace swarmfs::mount
