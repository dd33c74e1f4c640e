#include "mount/network_options.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <random>

#include "mount/cache_folder.h"
#include "swarm/wire/url.h"

namespace swarmfs::mount {

void add_network_options(Command command, NetworkOptions& options) {
  command
      .option("--listen", options.listen,
              "Accept peers at this address and port, or port alone (default: 6881 on every "
              "address, or another if that is taken)")
      .type_name("A:P")
      .one_each();
  command.option("--peer", options.peers, "Connect to this peer, without any tracker")
      .type_name("A:P")
      .one_each();
  command
      .option(
          "--encryption",
          [&options](const std::string& text) -> Result<> {
            static const std::map<std::string, net::Encryption> kPolicies{
                {"prefer", net::Encryption::prefer},
                {"require", net::Encryption::require},
                {"forbid", net::Encryption::forbid}};
            const auto policy = kPolicies.find(text);
            if (policy == kPolicies.end())
              return fail(ErrorKind::bad_input, "is prefer, require or forbid, not '" + text + "'");
            options.encryption = policy->second;
            return {};
          },
          "prefer: take peers with and without it, and dial with it who hangs up without (the "
          "default); require: nobody without it; forbid: nobody with it")
      .type_name("prefer|require|forbid");
  command
      .option("--web-seed", options.web_seeds,
              "Fetch from this web server too, which has the same files (it may be a local one)")
      .type_name("URL")
      .one_each();
  command.flag(
      "--no-web-seeds", [&options] { options.manifest_web_seeds = false; },
      "Leave the web seeds that a torrent names alone");
  command
      .flag("--no-dht", options.no_dht,
            "Do not use the distributed hash table, which finds peers without a tracker")
      .env("SWARMFS_NO_DHT");
  command
      .flag("--no-lsd", options.no_lsd,
            "Do not announce torrents to the local network, or seek peers there")
      .env("SWARMFS_NO_LSD");
  add_dht_options(command, options);
  command
      .flag("--no-port-mapping", options.no_port_mapping,
            "Do not ask the router to lead the port to this machine (PCP, NAT-PMP, UPnP)")
      .env("SWARMFS_NO_PORT_MAPPING");
  // Before any fork: a worker that goes on for another one asks for the same mappings.
  std::random_device random;
  for (std::uint8_t& byte : options.mapping_secret) byte = static_cast<std::uint8_t>(random());
  add_route_options(command, options.route);
  add_rate_option(command, "--limit-down", "Fetch no faster than this", options.limits.down_bps);
  add_rate_option(command, "--limit-up", "Serve no faster than this", options.limits.up_bps);
  command
      .each(
          "--schedule",
          [&options](const std::string& text) -> Result<> {
            auto rule = RateRule::parse(text);
            if (!rule) return rule.error();
            options.schedule.push_back(std::move(*rule));
            return {};
          },
          "Limits of all torrents together by the time of day, instead of --limit-down and "
          "--limit-up, such as 22:00-07:00,mon-fri=none/1M; of several the first that fits")
      .type_name("HH:MM-HH:MM[,DAYS]=DOWN/UP")
      .one_each();
  command
      .option("--max-connections", options.limits.connections,
              "Peers that all torrents together are connected to at most; 0: as many as each "
              "of them may be")
      .range(0U, kMostConnections)
      .type_name("N");
  command
      .option("--max-peers", options.max_peers, "Peers that each torrent is connected to at most")
      .range(1U, kMostConnections)
      .type_name("N")
      .shown_default();
  command.flag("--utp", options.utp, "Speak uTP (over UDP) with peers too, not TCP alone");
  command.flag("--no-tcp", options.no_tcp).hidden();  // it leaves most peers out
}

void add_dht_options(Command command, NetworkOptions& options) {
  command
      .option("--dht-bootstrap", options.dht_bootstrap,
              "Enter the DHT by this node instead of the public ones")
      .type_name("HOST:PORT")
      .one_each();
  command
      .option("--dht-table", options.dht_table,
              "Keep good DHT nodes in this file for the next run (default: dht.nodes in the "
              "cache, or nowhere with --dht-bootstrap)")
      .type_name("FILE");
}

static bool loopback_alone(const std::vector<Endpoint>& listen) {
  return !listen.empty() && std::all_of(listen.begin(), listen.end(), [](const Endpoint& endpoint) {
    return endpoint.address.is_loopback();
  });
}

bool seeks_locally(const NetworkOptions& options, const std::vector<Endpoint>& listen) {
  return !options.no_lsd && !loopback_alone(listen);
}

Result<std::optional<net::DhtConfig>> dht_config(const NetworkOptions& options,
                                                 const std::vector<Endpoint>& listen) {
  const bool named = !options.dht_bootstrap.empty();
  if (!named && (options.no_dht || loopback_alone(listen))) return std::optional<net::DhtConfig>{};
  net::DhtConfig config;
  for (const std::string& text : options.dht_bootstrap) {
    if (const auto parsed = net::parse_host_port(text); !parsed)
      return fail(ErrorKind::bad_input, "--dht-bootstrap " + parsed.error().message);
  }
  if (named) config.bootstrap = options.dht_bootstrap;
  if (!options.dht_table.empty()) {
    config.table = std::filesystem::absolute(options.dht_table);
  } else if (const auto folder = default_cache_folder(); !named && folder) {
    config.table = *folder / "dht.nodes";
  }
  return std::optional(std::move(config));
}

std::optional<net::PortMappingConfig> port_mapping_config(const NetworkOptions& options,
                                                          const net::Route& route) {
  if (options.no_port_mapping || !route.direct() || route.bound()) return std::nullopt;
  return net::PortMappingConfig{options.mapping_secret};
}

Result<std::vector<Endpoint>> listen_addresses(const std::vector<std::string>& texts) {
  std::vector<Endpoint> out;
  for (const std::string& text : texts) {
    if (const auto endpoint = Endpoint::parse(text)) {
      out.push_back(*endpoint);
      continue;
    }
    std::uint16_t port = 0;
    const char* const begin = text.data() + (text.starts_with(':') ? 1 : 0);
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(begin, last, port);
    if (error != std::errc{} || end != last)
      return fail(ErrorKind::bad_input, "--listen " + text +
                                            ": not an address and port such as 0.0.0.0:6881, "
                                            "[::]:6881 or 6881");
    for (const char* any : {"0.0.0.0", "::"}) out.push_back({*IpAddress::parse(any), port});
  }
  return out;
}

Result<std::vector<Endpoint>> peer_addresses(const std::vector<std::string>& texts) {
  std::vector<Endpoint> out;
  for (const std::string& text : texts) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint || endpoint->port == 0)
      return fail(ErrorKind::bad_input,
                  "--peer " + text + ": not an address and port such as 192.0.2.1:6881");
    out.push_back(*endpoint);
  }
  return out;
}

Result<> check_web_seeds(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const auto url = wire::Url::parse(text);
    if (!url || url->scheme == "udp")
      return fail(ErrorKind::bad_input,
                  "--web-seed " + text + ": not a URL such as http://192.0.2.1/files/");
  }
  return {};
}

}  // namespace swarmfs::mount
