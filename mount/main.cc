// swarmfs: mount, seed and publish files that live in a swarm.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mount/command_line.h"
#include "mount/commands.h"
#include "mount/mount_helper.h"
#include "mount/route_options.h"

int main(int argc, char** argv) {
  using namespace swarmfs::mount;
  Program program("swarmfs", "swarmfs: use a file that lives in a swarm, before it is downloaded",
                  "swarmfs " SWARMFS_VERSION);
  const Command app = program.top();
  Context context;
  app.counted_flag(
      "-v,--verbose", [&](std::int64_t n) { context.verbosity = static_cast<int>(n); },
      "Say more; twice for every peer");
  app.flag(
      "-q,--quiet", [&] { context.verbosity = -1; }, "Say only errors");
  app.option("--log-file", context.log_file, "Write the log here instead of stderr");
  app.footer(
      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 bad manifest, 4 file or disk problem,\n"
      "5 data does not match, 6 network or no peers, 7 in use.");
  add_mount(app, context);
  add_status(app, context);
  add_why(app, context);
  add_list(app, context);
  add_add(app, context);
  add_remove(app, context);
  add_pause(app, context);
  add_resume(app, context);
  add_limit(app, context);
  add_pin(app, context);
  add_unpin(app, context);
  add_prefetch(app, context);
  add_unmount(app, context);
  add_get(app, context);
  add_seed(app, context);
  add_publish(app, context);
  add_inspect(app, context);
  add_verify(app, context);
  add_tracker(app, context);
  add_dht(app, context);

  std::vector<std::string> args(argv, argv + argc);
  if (is_mount_helper_call(args)) {
    auto translated = translate_mount_call(args);
    if (!translated) {
      report(translated.error());
      return kUsage;
    }
    if (translated->empty()) return kOk;
    args = std::move(*translated);
  }
  try {
    if (const auto ended = program.parse(std::move(args))) return *ended;
    hide_proxy_passwords(std::span(argv, static_cast<std::size_t>(argc)));
    return context.run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "swarmfs: %s\n", e.what());
    return kFailed;
  }
}
