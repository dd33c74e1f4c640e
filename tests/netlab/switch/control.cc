#include "tests/netlab/switch/control.h"

#include <algorithm>

namespace swarmfs::netlab {
namespace {

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> found;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return found;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    found.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

Command::Verb parse_verb(const std::string& word) {
  if (word == "add") return Command::Verb::add;
  if (word == "set") return Command::Verb::set;
  if (word == "show") return Command::Verb::show;
  if (word == "count") return Command::Verb::count;
  throw ControlError("bad_command",
                     "there is no '" + word + "'; there are add, set, show and count");
}

std::string add(const Command& command, Network& network, const Attach& attach, TimePoint now) {
  Profile profile;
  std::string netns;
  for (const auto& [key, value] : command.values) {
    if (key == "netns") {
      netns = value;
    } else {
      profile.set(key, value);
    }
  }
  if (netns.empty()) throw ControlError("bad_command", "add needs netns=PATH");
  if (network.has(command.name)) {
    throw ControlError("port_exists", "there is a port '" + command.name + "'");
  }
  attach(network.size(), netns);
  network.add(command.name, profile, now);
  return "ok";
}

std::string set(const Command& command, Network& network, TimePoint now) {
  const PortIndex port = network.find(command.name);
  Profile profile = network.profile(port);
  for (const auto& [key, value] : command.values) profile.set(key, value);
  network.set(port, profile, now);
  return "ok";
}

std::string count(const Counters& counters) {
  const auto word = [](const char* key, std::uint64_t value) {
    return " " + std::string(key) + "=" + std::to_string(value);
  };
  return "ok" + word("up_packets", counters.up_packets) + word("up_bytes", counters.up_bytes) +
         word("down_packets", counters.down_packets) + word("down_bytes", counters.down_bytes) +
         word("up_dropped", counters.up_dropped) + word("down_dropped", counters.down_dropped) +
         word("up_lost", counters.up_lost) + word("down_lost", counters.down_lost);
}

}  // namespace

Command parse_command(std::string_view line) {
  const std::vector<std::string> all = words(line);
  if (all.empty()) throw ControlError("bad_command", "the line is empty");
  Command command{parse_verb(all[0]), {}, {}};
  if (all.size() < 2) throw ControlError("bad_command", all[0] + " needs the name of a port");
  command.name = all[1];
  for (std::size_t i = 2; i < all.size(); ++i) {
    const std::size_t equals = all[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ControlError("bad_command", "'" + all[i] + "' is not KEY=VALUE");
    }
    command.values.emplace_back(all[i].substr(0, equals), all[i].substr(equals + 1));
  }
  return command;
}

std::string execute(std::string_view line, Network& network, const Attach& attach, TimePoint now) {
  try {
    const Command command = parse_command(line);
    switch (command.verb) {
      case Command::Verb::add:
        return add(command, network, attach, now);
      case Command::Verb::set:
        return set(command, network, now);
      case Command::Verb::show:
        return "ok " + network.profile(network.find(command.name)).describe();
      case Command::Verb::count:
        return count(network.counters(network.find(command.name)));
    }
  } catch (const ControlError& error) {
    return "error " + error.code() + " " + error.what();
  }
  return "error bad_command";  // not reached: every verb has its case
}

}  // namespace swarmfs::netlab
