// --proxy and --interface: by which way a command reaches others.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

#include "swarm/base/result.h"
#include "swarm/net/route.h"

namespace swarmfs::mount {

struct RouteOptions {
  std::optional<wire::ProxyUrl> proxy{};
  std::string interface {};
};

/// Adds --proxy, --proxy-file and --interface.
void add_route_options(CLI::App& command, RouteOptions& options);

/// Looks the proxy's name up. Errors: bad_input, not_found.
Result<net::RoutePtr> make_route(const RouteOptions& options);

/// Blots passwords of proxies out of the arguments and the environment of this process, which
/// others can look at. Once everything has been parsed.
void hide_proxy_passwords(std::span<char* const> arguments);

}  // namespace swarmfs::mount
