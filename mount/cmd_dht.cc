// swarmfs dht: a node of the distributed hash table, and questions to it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "mount/commands.h"
#include "mount/format.h"
#include "mount/network_options.h"
#include "swarm/base/hex.h"
#include "swarm/dht/scrape_filter.h"
#include "swarm/net/dht_host.h"

namespace swarmfs::mount {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using wire::KrpcMethod;
using wire::KrpcQuery;

struct DhtOptions {
  NetworkOptions network;
  bool alone = false;
  bool json = false;
  bool read_only = false;
  unsigned interval_s = 60;
  unsigned timeout_s = 30;
  std::string hash;
  std::string node;
  unsigned announce_port = 0;
};

/// 40 hex digits, or the 64 of a v2 hash, which the table knows by its first 40 (BEP 52).
Result<Sha1Hash> parse_hash(const std::string& text) {
  const auto bytes = from_hex(text);
  Sha1Hash out;
  if (!bytes || (bytes->size() != 20 && bytes->size() != 32))
    return fail(ErrorKind::bad_input,
                text + ": not an info hash (40 hexadecimal digits, or 64 of a v2 torrent)");
  std::copy_n(bytes->begin(), out.size(), out.begin());
  return out;
}

void print_json(const json& line) {
  std::printf("%s\n", line.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

json node_json(const net::DhtService::NodeStatus& node) {
  return {{"listen", node.local.to_string()},
          {"id", to_hex(node.id)},
          {"external", node.external ? json(node.external->to_string()) : json()},
          {"nodes", node.good},
          {"known", node.known},
          {"stored_torrents", node.torrents},
          {"stored_peers", node.peers},
          {"searches", node.searches},
          {"queries_in", node.counts.queries_in},
          {"replies_out", node.counts.replies_out},
          {"queries_out", node.counts.queries_out},
          {"replies_in", node.counts.replies_in},
          {"refused", node.counts.refused},
          {"bytes_in", node.counts.bytes_in},
          {"bytes_out", node.counts.bytes_out}};
}

/// The table with a loop of its own, until stopped.
class DhtRun {
 public:
  static Result<std::unique_ptr<DhtRun>> create(const Context& context, const DhtOptions& options,
                                                bool read_only) {
    auto listen = listen_addresses(options.network.listen);
    if (!listen) return listen.error();
    NetworkOptions network = options.network;
    network.no_dht = false;
    auto config = dht_config(network, {});
    if (!config) return config.error();
    if (options.alone) {
      (*config)->bootstrap.emplace();
      if (network.dht_table.empty()) (*config)->table.clear();
    }
    (*config)->read_only = read_only;
    const auto logger = context.make_logger();
    auto route = make_route(options.network.route, *logger);
    if (!route) return route.error();
    std::unique_ptr<DhtRun> run(new DhtRun);
    auto host =
        net::DhtHost::open(run->io_, *route, std::move(*listen), std::move(**config), logger);
    if (!host) return host.error();
    run->host_ = std::move(*host);
    return run;
  }

  net::DhtService& service() { return host_->service(); }
  /// Until stop(), a signal, or the time is over (0: never).
  void run(unsigned timeout_s) {
    signals_.async_wait([this](const boost::system::error_code& cancelled, int) {
      if (!cancelled) io_.stop();
    });
    if (timeout_s > 0) {
      timer_.expires_after(std::chrono::seconds(timeout_s));
      timer_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) io_.stop();
      });
    }
    io_.run();
  }
  void stop() { io_.stop(); }
  void after(Duration rest, std::function<void()> what) {
    ticker_.expires_after(rest);
    ticker_.async_wait([what = std::move(what)](const boost::system::error_code& cancelled) {
      if (!cancelled) what();
    });
  }
  /// Calls again and again.
  void every(Duration rest, const std::function<void()>& what) {
    after(rest, [this, rest, what] {
      what();
      every(rest, what);
    });
  }

 private:
  DhtRun() = default;
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_, SIGINT, SIGTERM};
  boost::asio::steady_timer timer_{io_}, ticker_{io_};
  std::unique_ptr<net::DhtHost> host_;
};

void print_status(const std::vector<net::DhtService::NodeStatus>& nodes, bool as_json) {
  if (as_json) {
    json line = {{"nodes", json::array()}};
    for (const auto& node : nodes) line["nodes"].push_back(node_json(node));
    return print_json(line);
  }
  for (const auto& node : nodes)
    std::printf("%s: %zu nodes, keeps %zu peers of %zu torrents, answered %llu of %llu queries\n",
                node.local.to_string().c_str(), node.good, node.peers, node.torrents,
                static_cast<unsigned long long>(node.counts.replies_out),
                static_cast<unsigned long long>(node.counts.queries_in));
  std::fflush(stdout);
}

int run_node(const Context& context, const DhtOptions& options) {
  auto run = DhtRun::create(context, options, options.read_only);
  if (!run) return report(run.error());
  net::DhtService& service = (*run)->service();
  service.start();
  if (options.json) {
    print_status(service.status(), true);
  } else {
    std::string line = "DHT node ready:";
    for (const auto& node : service.status()) line += " " + node.local.to_string();
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  (*run)->every(std::chrono::seconds(options.interval_s),
                [&] { print_status(service.status(), options.json); });
  (*run)->run(0);
  return kOk;
}

int run_get_peers(const Context& context, const DhtOptions& options) {
  const auto hash = parse_hash(options.hash);
  if (!hash) return report(hash.error());
  auto run = DhtRun::create(context, options, options.announce_port == 0);
  if (!run) return report(run.error());
  dht::FindOptions find;
  find.announce = options.announce_port != 0;
  find.port = static_cast<std::uint16_t>(options.announce_port);
  std::set<Endpoint> peers;
  dht::SearchEnd end;
  const auto begun = std::chrono::steady_clock::now();
  const auto search = (*run)->service().find_peers(
      {*hash}, find,
      [&](const dht::FoundPeers& found) {
        for (const Endpoint& peer : found.peers)
          if (peers.insert(peer).second && !options.json)
            std::printf("%s\n", peer.to_string().c_str());
        std::fflush(stdout);
      },
      [&](const dht::SearchEnd& result) {
        end = result;
        // What is announced is on its way only now.
        (*run)->after(find.announce ? 1s : 0s, [&] { (*run)->stop(); });
      });
  (*run)->run(options.timeout_s);
  const double seconds = to_seconds(std::chrono::steady_clock::now() - begun);
  if (options.json) {
    json line = {{"info_hash", to_hex(*hash)}, {"peers", json::array()},     {"asked", end.asked},
                 {"answered", end.answered},   {"announced", end.announced}, {"seconds", seconds}};
    for (const Endpoint& peer : peers) line["peers"].push_back(peer.to_string());
    print_json(line);
  } else if (context.verbosity >= 0) {
    std::fprintf(stderr, "%zu peers; %zu of %zu nodes answered, %zu were told of us; %.1f s\n",
                 peers.size(), end.answered, end.asked, end.announced, seconds);
  }
  if (end.answered == 0)
    return report(fail(ErrorKind::network, "no DHT node answered; name one with --dht-bootstrap"));
  return peers.empty() && !find.announce ? kNetwork : kOk;
}

int run_scrape(const Context& context, const DhtOptions& options) {
  const auto hash = parse_hash(options.hash);
  if (!hash) return report(hash.error());
  auto run = DhtRun::create(context, options, false);
  if (!run) return report(run.error());
  dht::FindOptions find;
  find.scrape = true;
  dht::SearchEnd end;
  // Nodes answer strangers briefly, and in full once they have seen that they are there: so twice.
  std::unique_ptr<net::DhtService::Search> search;
  const auto ignore = [](const dht::FoundPeers&) {};
  search = (*run)->service().find_peers({*hash}, find, ignore, [&](const dht::SearchEnd&) {
    (*run)->after(1500ms, [&] {
      search = (*run)->service().find_peers({*hash}, find, ignore, [&](const dht::SearchEnd& last) {
        end = last;
        (*run)->stop();
      });
    });
  });
  (*run)->run(options.timeout_s);
  search.reset();
  if (end.answered == 0)
    return report(fail(ErrorKind::network, "no DHT node answered; name one with --dht-bootstrap"));
  const auto filters = end.filters.value_or(dht::PeerStorage::Filters{});
  const double seeds = dht::estimate(filters.seeds);
  const double peers = dht::estimate(filters.peers);
  if (options.json) {
    print_json({{"info_hash", to_hex(*hash)},
                {"seeds", seeds},
                {"peers", peers},
                {"answered", end.answered}});
  } else {
    std::printf("about %.0f seeds and %.0f other peers (%zu nodes answered)\n", seeds, peers,
                end.answered);
  }
  return kOk;
}

/// Ping and sample: one question to one node.
int run_ask(const Context& context, const DhtOptions& options, KrpcMethod method) {
  if (const auto parsed = net::parse_host_port(options.node); !parsed)
    return report(parsed.error());
  auto run = DhtRun::create(context, options, true);
  if (!run) return report(run.error());
  KrpcQuery query;
  query.method = method;
  Result<wire::KrpcResponse> answer = fail(ErrorKind::timed_out, options.node + " does not answer");
  Duration took{};
  (*run)->service().ask_named(options.node, query,
                              [&](const Result<wire::KrpcResponse>& got, Duration rtt) {
                                answer = got;
                                took = rtt;
                                (*run)->stop();
                              });
  (*run)->run(options.timeout_s);
  if (!answer) return report(answer.error());
  const double ms = to_seconds(took) * 1000;
  json line = {{"node", options.node}, {"id", to_hex(answer->id)}, {"ms", ms}};
  if (method == KrpcMethod::sample_infohashes) {
    line["num"] = answer->num.value_or(0);
    line["interval"] = answer->interval.value_or(0);
    line["samples"] = json::array();
    for (const Sha1Hash& hash : answer->samples.value_or(std::vector<Sha1Hash>{})) {
      line["samples"].push_back(to_hex(hash));
      if (!options.json) std::printf("%s\n", to_hex(hash).c_str());
    }
  }
  if (options.json) {
    print_json(line);
  } else if (method == KrpcMethod::ping) {
    std::printf("%s answers as %s in %.1f ms\n", options.node.c_str(), to_hex(answer->id).c_str(),
                ms);
  }
  return kOk;
}

void add_common(Command command, DhtOptions& options) {
  command
      .option("--listen", options.network.listen,
              "Speak from this address and port, or port alone; each address is a node of "
              "its own (default: any free port, or 6881 for a node)")
      .type_name("A:P")
      .one_each();
  add_dht_options(command, options.network);
  add_route_options(command, options.network.route);
  command.flag("--json", options.json, "Say it as JSON");
}

Command add_question(Command dht, const std::shared_ptr<DhtOptions>& options, const char* name,
                     const char* help) {
  const Command command = dht.add(name, help);
  add_common(command, *options);
  command.option("--timeout", options->timeout_s, "Give up after so many seconds").shown_default();
  return command;
}

}  // namespace

void add_dht(Command app, Context& context) {
  auto options = std::make_shared<DhtOptions>();
  const Command command =
      app.add("dht", "Run a node of the distributed hash table until stopped, or ask it something");
  command.at_most_one_below();
  add_common(command, *options);
  command.flag("--alone", options->alone, "Know nobody at first: the first of a table of its own");
  command.flag("--read-only", options->read_only, "Ask others and answer nobody");
  command.option("--interval", options->interval_s, "Say how it is every so many seconds")
      .range(1U, 86400U)
      .shown_default();
  const auto runs = [&context, options](Command which, auto run) {
    which.callback([&context, options, run] {
      // That of the subcommand comes first, and the node is not run then.
      if (!context.run) context.run = [&context, options, run] { return run(context, *options); };
    });
  };

  const Command get = add_question(command, options, "get-peers", "Find the peers of a torrent");
  get.option("hash", options->hash, "Its info hash").required();
  get.option("--announce", options->announce_port, "Announce a peer at this port as well")
      .type_name("PORT")
      .range(1U, 65535U);
  runs(get, run_get_peers);
  const Command scrape = add_question(command, options, "scrape", "Count the peers of a torrent");
  scrape.option("hash", options->hash, "Its info hash").required();
  runs(scrape, run_scrape);
  const Command ping = add_question(command, options, "ping", "Ask a node whether it is there");
  ping.option("node", options->node, "HOST:PORT").required();
  runs(ping, [](const Context& c, const DhtOptions& o) { return run_ask(c, o, KrpcMethod::ping); });
  const Command sample =
      add_question(command, options, "sample", "Ask a node for some of the torrents it keeps");
  sample.option("node", options->node, "HOST:PORT").required();
  runs(sample, [](const Context& c, const DhtOptions& o) {
    return run_ask(c, o, KrpcMethod::sample_infohashes);
  });
  runs(command, run_node);
}

}  // namespace swarmfs::mount
