// swarmfs pin, swarmfs unpin: what is to be here, whatever is read.
#include <cstdio>

#include "mount/commands.h"
#include "mount/json_fields.h"
#include "mount/send_orders.h"

namespace swarmfs::mount {

namespace {

struct Options {
  std::string path;
  bool as_json = false;
};

int run(const Options& options, const char* command, const char* done) {
  const auto reply = order_on_path(options.path, {{"command", command}});
  return answer(reply, options.as_json, [&](const nlohmann::json& mount) {
    for (const auto& torrent : objects_of(mount, "torrents"))
      std::printf("%s: %s (%s %s)\n", done, text_of(torrent, "name").c_str(),
                  count_of(torrent, "files").c_str(),
                  number_of(torrent, "files") == 1 ? "file" : "files");
  });
}

void add(Command app, Context& context, const char* name, const char* done, const char* help) {
  const Command command = app.add(name, help);
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command.option("PATH", options->path, "A file or folder of a mount, with all below it")
      .required();
  command.flag("--json", options->as_json, "Print JSON");
  command.callback([options, &context, name, done] {
    context.run = [options, name, done] { return run(*options, name, done); };
  });
}

}  // namespace

void add_pin(Command app, Context& context) {
  add(app, context, "pin", "pinned",
      "Fetch files before the rest, also of a mount on demand; mounts to come remember it");
}

void add_unpin(Command app, Context& context) {
  add(app, context, "unpin", "not pinned", "Forget what pin said");
}

}  // namespace swarmfs::mount
