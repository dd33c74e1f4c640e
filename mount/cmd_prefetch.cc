// swarmfs prefetch: fetch a file, or some of it, now.
#include <cstdio>
#include <optional>
#include <thread>

#include "mount/commands.h"
#include "mount/format.h"
#include "mount/json_fields.h"
#include "mount/progress.h"
#include "mount/rate_text.h"
#include "mount/send_orders.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
constexpr auto kAskEvery = std::chrono::milliseconds(200);

struct Options {
  std::string path;
  std::string range;
  bool wait = false;
  bool as_json = false;
};

std::uint64_t bytes_of(const json& reply, const char* key) {
  return static_cast<std::uint64_t>(number_of(reply, key));
}

/// Why what is missing will never come: of a torrent whose disk is full, or that has stopped.
std::optional<Error> hopeless(const json& torrent) {
  const auto swarm = torrent.find("swarm");
  if (swarm == torrent.end() || !swarm->is_object()) return std::nullopt;
  const std::string name = text_of(torrent, "name");
  if (swarm->value("disk_full", false))
    return fail(ErrorKind::no_space, name + ": the disk of the cache is full; free some room");
  if (swarm->value("contradicted", false))
    return fail(ErrorKind::mismatch, name + " has stopped: its manifest contradicts itself");
  return std::nullopt;
}

/// What keeps it from coming now, for people.
std::string obstacle(const json& reply) {
  std::string words;
  for (const auto& torrent : objects_of(reply, "torrents")) {
    if (bytes_of(torrent, "here") == bytes_of(torrent, "all")) continue;
    if (torrent.value("paused", false)) return "paused";
    const auto swarm = torrent.find("swarm");
    if (swarm != torrent.end() && swarm->is_object() && number_of(*swarm, "peers") == 0)
      words = "no peers";
  }
  return words;
}

/// Asks again until all is here. Who stops waiting leaves the fetching to the mount.
Result<json> wait_for(const Options& options, Result<json> reply, bool quiet) {
  ProgressLine line("fetching", !quiet && !options.as_json);
  while (reply && bytes_of(*reply, "here") < bytes_of(*reply, "all")) {
    for (const auto& torrent : objects_of(*reply, "torrents"))
      if (bytes_of(torrent, "here") < bytes_of(torrent, "all"))
        if (const auto error = hopeless(torrent)) return *error;
    line.update(bytes_of(*reply, "here"), bytes_of(*reply, "all"), obstacle(*reply));
    std::this_thread::sleep_for(kAskEvery);
    reply = order_on_path(options.path,
                          {{"command", "prefetch"}, {"range", options.range}, {"ask_only", true}});
  }
  return reply;
}

int run(const Options& options, bool quiet) {
  auto reply = order_on_path(options.path, {{"command", "prefetch"}, {"range", options.range}});
  if (reply && bytes_of(*reply, "all") == 0 && !options.range.empty())
    return report(fail(ErrorKind::not_found,
                       "no byte of " + options.path + " is in the range " + options.range));
  if (options.wait) reply = wait_for(options, std::move(reply), quiet);
  return answer(reply, options.as_json, [](const json& r) {
    const std::string why = obstacle(r);
    std::printf("%s of %s are here%s\n", human_size(bytes_of(r, "here")).c_str(),
                human_size(bytes_of(r, "all")).c_str(),
                why.empty() ? "" : (" (" + why + ")").c_str());
  });
}

}  // namespace

void add_prefetch(Command app, Context& context) {
  const Command command = app.add("prefetch", "Fetch a file, or some of it, now and in order");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command.option("PATH", options->path, "A file or folder of a mount, with all below it")
      .required();
  command
      .option("RANGE", options->range,
              "Of each file: 0-1M, from 100M on: 100M-, the last 64 KiB: -64K; default: all")
      .check([](const std::string& text) -> Result<> {
        const auto range = ByteRange::parse(text);
        return range ? Result<>() : range.error();
      });
  command.flag("--wait", options->wait,
               "Show how far it is until all is here; Ctrl-C stops only the waiting");
  command.flag("--json", options->as_json, "Print JSON");
  command.callback([options, &context] {
    context.run = [options, &context] { return run(*options, context.verbosity < 0); };
  });
}

}  // namespace swarmfs::mount
