// swarmfs add: shows more torrents in a mount that runs.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/format.h"
#include "mount/link.h"
#include "mount/which_mount.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
/// A large manifest on a slow disk takes a while to read.
constexpr Duration kTimeout = std::chrono::seconds(30);

struct Options {
  std::vector<std::string> manifests;
  std::string mountpoint;
  bool as_json = false;
};

int run(const Options& options) {
  const auto mount = mount_meant(options.mountpoint, "--to MOUNTPOINT");
  if (!mount) return report(mount.error());
  json all = json::array();
  int exit_code = kOk;
  for (const std::string& manifest : options.manifests) {
    const std::string path = is_link(manifest)
                                 ? manifest
                                 : std::filesystem::absolute(manifest).lexically_normal().string();
    const auto reply =
        control_send(mount->socket, {{"command", "add"}, {"manifest", path}}, kTimeout);
    if (!reply) {
      exit_code = report(reply.error());
      continue;
    }
    const json added = json::parse(*reply);
    all.push_back(added);
    if (options.as_json) continue;
    const std::string shown = printable(mount->mountpoint + "/" + added.value("name", ""));
    const bool already = added.value("already", false);
    const bool waiting = added.value("waiting", false);
    std::printf("%s%s\n", shown.c_str(),
                already   ? ": the same content is there already"
                : waiting ? ": until its metadata is here"
                          : "");
  }
  if (options.as_json)
    std::printf("%s\n", all.dump(2, ' ', false, json::error_handler_t::replace).c_str());
  return exit_code;
}

}  // namespace

void add_add(Command app, Context& context) {
  const Command command = app.add("add", "Show more torrents in a mount that runs");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command
      .option("MANIFEST", options->manifests,
              ".torrent files, magnet links, info hashes, URLs of .torrent files")
      .required();
  command.option("--to", options->mountpoint, "Which mount; needed if several run")
      .type_name("MOUNTPOINT");
  command.flag("--json", options->as_json, "Print an array of what was added");
  command.callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount
