// --proxy, --interface and --ip-filter: by which way a command reaches others, and whom.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mount/command_line.h"
#include "swarm/base/result.h"
#include "swarm/net/route.h"

namespace swarmfs::mount {

struct RouteOptions {
  std::optional<wire::ProxyUrl> proxy{};
  std::string interface {};
  std::vector<std::string> ip_filters{};  ///< files
};

/// Adds --proxy, --proxy-file, --interface and --ip-filter.
void add_route_options(Command command, RouteOptions& options);

/// Looks the proxy's name up, and reads the lists of the filter; the logger hears how much of them
/// is not understood. The route has a filter if there are lists. Errors: bad_input, not_found,
/// permission, io.
Result<net::RoutePtr> make_route(const RouteOptions& options, spdlog::logger& logger);

/// Blots passwords of proxies out of the arguments and the environment of this process, which
/// others can look at. Once everything has been parsed.
void hide_proxy_passwords(std::span<char* const> arguments);

}  // namespace swarmfs::mount
