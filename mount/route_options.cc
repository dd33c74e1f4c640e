#include "mount/route_options.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "mount/ip_filter.h"

namespace swarmfs::mount {

static constexpr const char* kUrlVariable = "SWARMFS_PROXY";
static constexpr const char* kPasswordVariable = "SWARMFS_PROXY_PASSWORD";

/// No error repeats the text, which may hold a password.
static Result<wire::ProxyUrl> parse_proxy(const std::string& text) {
  auto url = wire::ProxyUrl::parse(text);
  if (!url) return url;
  const char* const password = std::getenv(kPasswordVariable);
  if (password == nullptr || *password == 0) return url;
  if (url->user.empty())
    return fail(ErrorKind::bad_input, std::string(kPasswordVariable) +
                                          " is set, and the proxy has no user name: give " +
                                          "one, as in socks5://user@" +
                                          wire::ProxyTarget(url->host, url->port).to_string());
  url->password = password;
  if (url->password.size() > 255)
    return fail(ErrorKind::bad_input, std::string(kPasswordVariable) + " is over 255 bytes long");
  return url;
}

static Result<> set_proxy(RouteOptions& options, const std::string& text) {
  auto proxy = parse_proxy(text);
  if (!proxy) return proxy.error();
  options.proxy = std::move(*proxy);
  return {};
}

void add_route_options(Command command, RouteOptions& options) {
  const Option proxy =
      command
          .option(
              "--proxy", [&options](const std::string& text) { return set_proxy(options, text); },
              "Everything goes through this proxy (socks5://, or http:// by CONNECT), names "
              "included, or nowhere; nothing listens. Others on this machine see the command line: "
              "put a password into --proxy-file, or the environment (SWARMFS_PROXY_PASSWORD)")
          .type_name("socks5://[USER[:PASSWORD]@]HOST:PORT")
          .env(kUrlVariable);
  command
      .option(
          "--proxy-file",
          [&options](const std::string& path) -> Result<> {
            std::ifstream in(path);
            std::string line;
            if (!std::getline(in, line))
              return fail(ErrorKind::bad_input, path + ": cannot be read, or is empty");
            while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
            return set_proxy(options, line);
          },
          "The same, from the first line of a file")
      .type_name("FILE")
      .excludes(proxy);
  command
      .option("--interface", options.interface,
              "Everything goes by this network interface, or the one with this address, or "
              "nowhere")
      .type_name("NAME|ADDRESS");
  command
      .option("--ip-filter", options.ip_filters,
              "Nothing goes to the addresses of this list and nothing comes from them: peers, "
              "trackers, web seeds and DHT nodes, but for name servers and the proxy. eMule "
              "DAT, PeerGuardian text, or addresses and networks a line each, with gzip or "
              "without; may be given several times; SIGHUP has it read again")
      .type_name("FILE")
      .one_each()
      .transform([](const std::string& path) {  // where we are may change before it is read again
        return std::filesystem::absolute(path).string();
      });
}

Result<net::RoutePtr> make_route(const RouteOptions& options, spdlog::logger& logger) {
  net::Route::Options route;
  route.proxy = options.proxy;
  route.interface = options.interface;
  if (!options.ip_filters.empty()) {
    auto filter = load_ip_filters(options.ip_filters, logger);
    if (!filter) return filter.error();
    route.filter = std::make_shared<net::FilterGate>();
    route.filter->set(std::move(*filter));
  }
  return net::Route::make(route);
}

void hide_proxy_passwords(std::span<char* const> arguments) {
  for (const char* const name : {kUrlVariable, kPasswordVariable}) {
    if (char* const value = std::getenv(name)) std::memset(value, 'x', std::strlen(value));
    ::unsetenv(name);
  }
  bool value_next = false;
  for (char* const argument : arguments) {
    const std::string_view text(argument);
    if (!std::exchange(value_next, text == "--proxy") && !text.starts_with("--proxy=")) continue;
    const auto scheme = text.find("://");
    const auto at = text.rfind('@');
    if (scheme == std::string_view::npos || at == std::string_view::npos) continue;
    const auto colon = text.find(':', scheme + 3);
    if (colon < at) std::memset(argument + colon + 1, 'x', at - colon - 1);
  }
}

}  // namespace swarmfs::mount
