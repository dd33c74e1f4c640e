#include "tests/netlab/switch/profile.h"

#include <cstdio>

namespace swarmfs::netlab {

void Profile::set(std::string_view key, std::string_view value) {
  if (key == "up") {
    up = parse_rate(value);
  } else if (key == "down") {
    down = parse_rate(value);
  } else if (key == "delay") {
    delay = parse_duration(value);
  } else if (key == "jitter") {
    jitter = parse_duration(value);
  } else if (key == "loss") {
    loss = parse_share(value);
  } else if (key == "queue") {
    // "0" is no queue in either unit.
    if (value.ends_with('b')) {
      queue = parse_size(value);
    } else {
      queue = parse_duration(value);
    }
  } else if (key == "reorder") {
    reorder = parse_flag(value);
  } else {
    throw ControlError("bad_key", "there is no '" + std::string(key) +
                                      "'; there are up, down, delay, jitter, loss, queue and "
                                      "reorder");
  }
}

std::string Profile::describe() const {
  const auto* time = std::get_if<Duration>(&queue);
  char share[32];
  std::snprintf(share, sizeof share, "%.6g", loss);
  return "up=" + format_rate(up) + " down=" + format_rate(down) +
         " delay=" + format_duration(delay) + " jitter=" + format_duration(jitter) +
         " loss=" + share + " queue=" +
         (time != nullptr ? format_duration(*time)
                          : std::to_string(std::get<std::uint64_t>(queue)) + "b") +
         " reorder=" + (reorder ? "true" : "false");
}

}  // namespace swarmfs::netlab
