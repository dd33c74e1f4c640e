// swarmfs limit: how fast torrents may go, while they do, and how many connections they have.
#include <cstdint>
#include <cstdio>
#include <optional>

#include "mount/commands.h"
#include "mount/json_fields.h"
#include "mount/network_options.h"
#include "mount/rate_text.h"
#include "mount/send_orders.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;

struct Options {
  std::string about;
  std::optional<std::uint64_t> down, up;
  std::optional<bool> reads_exempt;
  std::optional<unsigned> connections;
  bool as_json = false;
};

std::string words(const json& holder) {
  const auto limits = holder.find("limits");
  if (limits == holder.end() || !limits->is_object()) return "?";
  const auto rate = [&](const char* key) {
    return limit_text(static_cast<std::uint64_t>(number_of(*limits, key)));
  };
  const bool counts = number_of(*limits, "down") > 0 && !limits->value("reads_exempt", true);
  const double most = number_of(*limits, "connections");
  return "down " + rate("down") + (counts ? " (reads too)" : "") + ", up " + rate("up") +
         ", connections " + (most > 0 ? count_of(*limits, "connections") : "any");
}

void show(const json& mount) {
  std::printf("%s\n  all together: %s\n", text_of(mount, "mountpoint").c_str(),
              words(mount).c_str());
  for (const auto& torrent : objects_of(mount, "torrents"))
    std::printf("  %s: %s\n", text_of(torrent, "name").c_str(), words(torrent).c_str());
}

int run(const Options& options) {
  const auto places = name_or_path(options.about);
  if (!places) return report(places.error());
  json request = {{"command", "limit"}};
  if (options.down) request["down"] = *options.down;
  if (options.up) request["up"] = *options.up;
  if (options.connections) request["connections"] = *options.connections;
  if (options.reads_exempt) request["reads_exempt"] = *options.reads_exempt;
  return answer(order(*places, std::move(request), options.about), options.as_json, show);
}

}  // namespace

void add_limit(Command app, Context& context) {
  const Command command =
      app.add("limit", "Show or change how fast torrents may go, and to how many peers");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command.option("NAME|MOUNTPOINT", options->about,
                 "A torrent by its name in the mount or its path, or a mount's torrents all "
                 "together; default: that of each mount of yours");
  add_rate_option(command, "--down", "Fetch no faster than this", options->down);
  add_rate_option(command, "--up", "Serve no faster than this", options->up);
  command
      .option("--connections", options->connections,
              "Be connected to so many peers at most; of all torrents together 0: as many as "
              "each of them may be")
      .range(0U, kMostConnections)
      .type_name("N");
  command.counted_flag(
      "--reads-exempt,!--no-reads-exempt",
      [options](std::int64_t count) { options->reads_exempt = count > 0; },
      "What readers wait for comes as fast as it can; the rest gives way");
  command.flag("--json", options->as_json, "Print JSON: an array of mounts");
  command.callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount
