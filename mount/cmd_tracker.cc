// swarmfs tracker: a tracker for a private swarm, over HTTP and UDP.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mount/commands.h"
#include "mount/network_options.h"
#include "swarm/net/tracker_server.h"

namespace swarmfs::mount {
namespace {

struct TrackerOptions {
  std::vector<std::string> listen;
  int interval = 120;
  bool json = false;
};

/// One line once it serves.
void announce_ready(const net::TrackerServer& server, bool json) {
  const auto urls = server.announce_urls();
  if (json) {
    nlohmann::json line;
    line["announce"] = urls;
    for (const Endpoint& endpoint : server.endpoints())
      line["listen"].push_back(endpoint.to_string());
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::string line = "tracker ready:";
    for (const std::string& url : urls) line += " " + url;
    std::printf("%s\n", line.c_str());
  }
  std::fflush(stdout);
}

int run_tracker(const Context& context, const TrackerOptions& chosen) {
  const auto listen = listen_addresses(chosen.listen);
  if (!listen) {
    report(listen.error());
    return kUsage;
  }
  net::TrackerServer::Options options;
  options.listen = *listen;
  options.book.interval = std::chrono::seconds(chosen.interval);
  options.book.min_interval = std::min(options.book.interval, options.book.min_interval);
  boost::asio::io_context loop(1);
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  auto server = net::TrackerServer::open(loop.get_executor(), options, context.make_logger());
  if (!server) return report(server.error());
  signals.async_wait([&](const boost::system::error_code&, int) { server->reset(); });
  announce_ready(**server, chosen.json);
  loop.run();
  return kOk;
}

}  // namespace

void add_tracker(Command app, Context& context) {
  auto chosen = std::make_shared<TrackerOptions>();
  chosen->listen = {"6969"};
  const Command command =
      app.add("tracker", "Run a tracker for a private swarm, over HTTP and UDP, until interrupted");
  command
      .option("--listen", chosen->listen,
              "Address and port, or a port on every address; may be repeated; port 0 is any")
      .shown_default();
  command
      .option("--interval", chosen->interval,
              "Seconds between two announces of a peer; it is forgotten after two of them")
      .range(10, 86400)
      .shown_default();
  command.flag("--json", chosen->json, "Print the ready line as JSON");
  command.callback([&context, chosen] {
    context.run = [&context, chosen] { return run_tracker(context, *chosen); };
  });
}

}  // namespace swarmfs::mount
