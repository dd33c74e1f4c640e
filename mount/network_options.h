// The options that every command with peers has, read into plain values.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

struct NetworkOptions {
  std::vector<std::string> listen;
  std::vector<std::string> peers;
};

/// Adds --listen and --peer.
void add_network_options(CLI::App& command, NetworkOptions& options);

/// "A:P", or a port alone for every address of this machine. Error: bad_input, naming the text.
Result<std::vector<Endpoint>> listen_addresses(const std::vector<std::string>& texts);
/// "A:P" each. Error: bad_input, naming the text.
Result<std::vector<Endpoint>> peer_addresses(const std::vector<std::string>& texts);

}  // namespace swarmfs::mount
