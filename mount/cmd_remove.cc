// swarmfs remove: takes a torrent out of a mount that runs.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/format.h"
#include "mount/json_fields.h"
#include "mount/which_mount.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
constexpr Duration kTimeout = std::chrono::seconds(15);

struct Options {
  std::string name;
  std::string mountpoint;
  bool delete_data = false;
};

/// A name, or a path on the mount whose first part below the mount point is one.
Result<WhichMount> torrent_meant(const Options& options) {
  if (options.name.find('/') == std::string::npos) {
    auto mount = mount_meant(options.mountpoint, "--from MOUNTPOINT");
    if (mount) mount->below = options.name;
    return mount;
  }
  auto mount = mount_of(options.name);
  if (!mount) return mount;
  mount->below = mount->below.substr(0, mount->below.find('/'));
  if (mount->below.empty())
    return fail(ErrorKind::bad_input,
                options.name + " is the mount itself; end it with \"swarmfs unmount\"");
  return mount;
}

int run(const Options& options) {
  const auto torrent = torrent_meant(options);
  if (!torrent) return report(torrent.error());
  const auto reply = control_send(
      torrent->socket,
      {{"command", "remove"}, {"name", torrent->below}, {"delete_data", options.delete_data}},
      kTimeout);
  if (!reply) return report(reply.error());
  const json removed = json::parse(*reply);
  if (!removed.value("closed", true))
    std::fprintf(stderr, "swarmfs: it is gone from the mount; its cache is still being closed\n");
  if (const auto files = removed.find("in_folder"); files != removed.end() && files->is_array())
    for (const json& file : *files)
      if (file.is_string())
        std::fprintf(stderr, "swarmfs: %s is still there, and the next mount shows it again\n",
                     printable(file.get<std::string>()).c_str());
  return kOk;
}

}  // namespace

void add_remove(Command app, Context& context) {
  const Command command = app.add("remove", "Take a torrent out of a mount that runs");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command.option("NAME", options->name, "As the mount shows it (see list), or a path on the mount")
      .required();
  command.option("--from", options->mountpoint, "Which mount; needed if several run")
      .type_name("MOUNTPOINT");
  command.flag("--delete-data", options->delete_data,
               "Delete what the cache holds of it; default: it is kept for another time");
  command.callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount
