// The options that every command with peers has, read into plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mount/command_line.h"
#include "mount/limits.h"
#include "mount/rate_schedule.h"
#include "mount/rate_text.h"
#include "mount/route_options.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/result.h"
#include "swarm/net/dht_service.h"
#include "swarm/net/encryption.h"
#include "swarm/net/port_mapping.h"

namespace swarmfs::mount {

struct NetworkOptions {
  std::vector<std::string> listen;
  std::vector<std::string> peers;
  std::vector<std::string> web_seeds{};
  bool manifest_web_seeds = true;
  Limits limits{};           ///< of all torrents together
  unsigned max_peers = 200;  ///< of each torrent
  std::vector<RateRule> schedule{};
  net::Encryption encryption = net::Encryption::prefer;
  bool no_dht = false;
  bool no_lsd = false;
  std::vector<std::string> dht_bootstrap{};  ///< instead of the public nodes
  std::string dht_table{};                   ///< a file; empty: see dht_config()
  RouteOptions route{};
  bool utp = false;
  bool no_tcp = false;
  bool no_port_mapping = false;
  std::array<std::uint8_t, 16> mapping_secret{};  ///< random, drawn by add_network_options()
};

/// Adds --listen, --peer, --encryption, --web-seed, --no-web-seeds, --no-dht, --no-lsd,
/// --dht-bootstrap, --dht-table, --limit-down, --limit-up, --schedule, --max-connections,
/// --max-peers, --utp, --no-port-mapping, those of add_route_options() and, for tests, --no-tcp.
void add_network_options(Command command, NetworkOptions& options);

/// An option that takes a rate: bytes a second, 0 for no limit. `into` outlives parsing.
template <class Rate>
void add_rate_option(Command command, const std::string& name, const std::string& help,
                     Rate& into) {
  command
      .option(
          name,
          [&into](const std::string& text) -> Result<> {
            const auto rate = parse_rate(text);
            if (!rate) return rate.error();
            into = *rate;
            return {};
          },
          help + ": 500K, 2M, 10Mbit; none for no limit")
      .type_name("RATE");
}

/// "A:P", or a port alone for every address of this machine. Error: bad_input, naming the text.
Result<std::vector<Endpoint>> listen_addresses(const std::vector<std::string>& texts);
/// How the hash table is to be used; nothing if it is not. Who listens on loopback addresses alone
/// is not reachable for its nodes, and goes without unless they are named. Good nodes are kept for
/// the next run beside the cache, or, if the first ones were named, only where that is named too.
/// Error: bad_input, naming the text.
Result<std::optional<net::DhtConfig>> dht_config(const NetworkOptions& options,
                                                 const std::vector<Endpoint>& listen);
/// Whether peers are sought on the local network: not by who listens on loopback addresses alone,
/// where none could come.
bool seeks_locally(const NetworkOptions& options, const std::vector<Endpoint>& listen);
/// Whether a router is asked to lead the port to us; nothing: not, as with a proxy or an interface,
/// where we would be found by another way than the one that was asked for.
std::optional<net::PortMappingConfig> port_mapping_config(const NetworkOptions& options,
                                                          const net::Route& route);
/// The part of the above that `swarmfs dht` has as well.
void add_dht_options(Command command, NetworkOptions& options);
/// "A:P" each. Error: bad_input, naming the text.
Result<std::vector<Endpoint>> peer_addresses(const std::vector<std::string>& texts);
/// Error: bad_input, naming the text that is no http or https URL.
Result<> check_web_seeds(const std::vector<std::string>& texts);

}  // namespace swarmfs::mount
