// swarmfs list: the torrents of mounts, and manifests that are broken.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/list_text.h"
#include "mount/which_mount.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
/// Spelt out where one is made: JSON converts to and from too much.
using Answer = Result<json>;
constexpr Duration kTimeout = std::chrono::seconds(5);

struct Options {
  std::string mountpoint;
  bool as_json = false;
};

Answer list_of(const std::string& socket) {
  const auto reply = control_request(socket, "list", kTimeout);
  if (!reply) return reply.error();
  json parsed = json::parse(*reply);
  const auto list = parsed.find("list");
  if (list == parsed.end() || !list->is_object())
    return fail(ErrorKind::protocol, "the mount behind " + socket + " sent no list");
  return Answer(boost::system::in_place_value, std::move(*list));
}

int run(const Options& options) {
  json all = json::array();
  int exit_code = kOk;
  if (!options.mountpoint.empty()) {
    const auto mount = mount_at(options.mountpoint);
    if (!mount) return report(mount.error());
    auto list = list_of(mount->socket);
    if (!list && list.error().kind == ErrorKind::not_found)
      return report(
          fail(ErrorKind::not_found, "no swarmfs of yours is mounted on " + options.mountpoint));
    if (!list) return report(list.error());
    all.push_back(std::move(*list));
  } else {
    const auto folder = control_folder();
    if (!folder) return report(folder.error());
    for (const auto& socket : control_sockets(*folder)) {
      auto list = list_of(socket);
      if (list) {
        all.push_back(std::move(*list));
      } else if (list.error().kind != ErrorKind::not_found) {  // else left by a dead one
        exit_code = report(list.error());
      }
    }
  }
  if (options.as_json) {
    const json& shown = options.mountpoint.empty() ? all : all.front();
    std::printf("%s\n", shown.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return exit_code;
  }
  for (const auto& list : all) std::fputs(list_text(list).c_str(), stdout);
  if (all.empty() && exit_code == kOk) std::puts("nothing is mounted");
  return exit_code;
}

}  // namespace

void add_list(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("list", "List the torrents of mounts, and broken manifests");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command->add_option("MOUNTPOINT", options->mountpoint, "Only this mount; default: all of yours");
  command->add_flag("--json", options->as_json,
                    "Print JSON: an object for MOUNTPOINT, else an array");
  command->callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount
