// The commands of the control socket: one line each, answered by one line.
//
//   add NAME netns=PATH [KEY=VALUE]...   a new port, with a TAP device eth0 in that namespace
//   set NAME KEY=VALUE...                all of the changes, or none
//   show NAME                            the profile
//   count NAME                           the counters
//
// An answer is "ok", followed by KEY=VALUE words if there is something to say, or "error CODE TEXT"
// with the code one of bad_command, bad_key, bad_value, unknown_port, port_exists, tap_failed.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/netlab/switch/network.h"

namespace swarmfs::netlab {

struct Command {
  enum class Verb { add, set, show, count };
  Verb verb;
  std::string name;
  std::vector<std::pair<std::string, std::string>> values;  ///< in their order
};

/// Throws ControlError for what is no command. Keys and values are not looked at.
Command parse_command(std::string_view line);

/// Makes the device of the port with the next index; throws ControlError if it cannot.
using Attach = std::function<void(PortIndex, const std::string& netns)>;

/// Carries out a line and returns the answer, without the end of the line. Never throws a
/// ControlError: that becomes the answer, and nothing has changed.
std::string execute(std::string_view line, Network& network, const Attach& attach, TimePoint now);

}  // namespace swarmfs::netlab
