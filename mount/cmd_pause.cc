// swarmfs pause, swarmfs resume: torrents without network for a while.
#include <cstdio>

#include "mount/commands.h"
#include "mount/json_fields.h"
#include "mount/send_orders.h"

namespace swarmfs::mount {

namespace {

struct Options {
  std::string about;
  bool as_json = false;
};

int run(const Options& options, const char* command, const char* done) {
  const auto places = name_or_path(options.about);
  if (!places) return report(places.error());
  const auto reply = order(*places, {{"command", command}}, options.about);
  return answer(reply, options.as_json, [&](const nlohmann::json& mount) {
    for (const auto& torrent : objects_of(mount, "torrents"))
      std::printf("%s: %s\n", done, text_of(torrent, "name").c_str());
  });
}

void add(Command app, Context& context, const char* name, const char* done, const char* help) {
  const Command command = app.add(name, help);
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command.option("NAME|MOUNTPOINT", options->about,
                 "A torrent by its name in the mount or its path, or all of a mount; default: "
                 "all of yours");
  command.flag("--json", options->as_json, "Print JSON: an array of mounts");
  command.callback([options, &context, name, done] {
    context.run = [options, name, done] { return run(*options, name, done); };
  });
}

}  // namespace

void add_pause(Command app, Context& context) {
  add(app, context, "pause", "paused",
      "Close a torrent's connections; what is here can still be read");
}

void add_resume(Command app, Context& context) {
  add(app, context, "resume", "goes on", "Let a paused torrent go on");
}

}  // namespace swarmfs::mount
