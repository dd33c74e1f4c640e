// swarmfs status: what the mounts of this user hold and do.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/status_text.h"
#include "mount/which_mount.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
constexpr Duration kTimeout = std::chrono::seconds(5);

struct Options {
  std::string mountpoint;
  bool as_json = false;
};

/// The status object, as text.
Result<std::string> status_of(const std::string& socket) {
  const auto reply = control_request(socket, "status", kTimeout);
  if (!reply) return reply.error();
  const json parsed = json::parse(*reply);
  const auto status = parsed.find("status");
  if (status == parsed.end() || !status->is_object())
    return fail(ErrorKind::protocol, "the mount behind " + socket + " sent no status");
  return status->dump();
}

Result<std::string> one_status(const std::string& mountpoint) {
  const auto mount = mount_at(mountpoint);
  if (!mount) return mount.error();
  auto status = status_of(mount->socket);
  if (!status && status.error().kind == ErrorKind::not_found)
    return fail(ErrorKind::not_found, "no swarmfs of yours is mounted on " + mountpoint);
  return status;
}

int run(const Options& options) {
  json all = json::array();
  int exit_code = kOk;
  if (!options.mountpoint.empty()) {
    const auto status = one_status(options.mountpoint);
    if (!status) return report(status.error());
    all.push_back(json::parse(*status));
  } else {
    const auto folder = control_folder();
    if (!folder) return report(folder.error());
    for (const auto& socket : control_sockets(*folder)) {
      const auto status = status_of(socket);
      if (status) {
        all.push_back(json::parse(*status));
      } else if (status.error().kind != ErrorKind::not_found) {  // else left by a dead one
        exit_code = report(status.error());
      }
    }
  }
  if (options.as_json) {
    const json& shown = options.mountpoint.empty() ? all : all.front();
    std::printf("%s\n", shown.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return exit_code;
  }
  for (const auto& status : all) std::fputs(status_text(status).c_str(), stdout);
  if (all.empty() && exit_code == kOk) std::puts("nothing is mounted");
  return exit_code;
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("status", "Show what mounts hold and do");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command->add_option("MOUNTPOINT", options->mountpoint, "Only this mount; default: all of yours");
  command->add_flag("--json", options->as_json,
                    "Print JSON: an object for MOUNTPOINT, else an array");
  command->callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount
