// swarmfs mount: a torrent's files in a folder, at once.
#include <malloc.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/daemon.h"
#include "mount/mount_service.h"
#include "mount/mountpoint.h"

namespace swarmfs::mount {
namespace {

namespace stdfs = std::filesystem;

struct CommandLine {
  std::vector<std::string> paths;  ///< manifests, then the mount point
  bool foreground = false;
  unsigned read_timeout_s = 60;
  std::string cache_folder;
  MountOptions mount;
};

/// $XDG_CACHE_HOME/swarmfs, else ~/.cache/swarmfs.
Result<stdfs::path> default_cache_folder() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/')
    return stdfs::path(xdg) / "swarmfs";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return stdfs::path(home) / ".cache" / "swarmfs";
  return fail(ErrorKind::bad_input,
              "neither XDG_CACHE_HOME nor HOME says where the cache is; name it with --cache-dir");
}

/// Everything relative is resolved, and every manifest read, while errors can still be shown.
Result<> prepare(CommandLine& line) {
  line.mount.mountpoint = line.paths.back();
  line.paths.pop_back();
  for (const std::string& path : line.paths) {
    auto loaded = metainfo::load(path);
    if (!loaded) return loaded.error();
    line.mount.torrents.push_back(std::make_shared<const metainfo::Metainfo>(std::move(*loaded)));
  }
  auto mountpoint = prepare_mountpoint(line.mount.mountpoint);
  if (!mountpoint) return mountpoint.error();
  line.mount.mountpoint = *mountpoint;
  if (line.cache_folder.empty()) {
    auto folder = default_cache_folder();
    if (!folder) return folder.error();
    line.mount.cache_folder = *folder;
  } else {
    line.mount.cache_folder = stdfs::absolute(line.cache_folder);
  }
  line.mount.read_timeout = std::chrono::seconds(line.read_timeout_s);
  return {};
}

int run_mount(Context& context, CommandLine& line) {
  if (auto prepared = prepare(line); !prepared) return report(prepared.error());
  if (!context.log_file.empty()) context.log_file = stdfs::absolute(context.log_file).string();
  // Two threads allocate blocks; an arena for each of the others would only hold memory back.
  mallopt(M_ARENA_MAX, 2);
  if (line.foreground) {
    auto service = MountService::start(line.mount, context.make_logger());
    return service ? (*service)->run() : report(service.error());
  }
  return daemonize([&](Readiness& readiness) {
    auto service = MountService::start(line.mount, context.make_logger());
    if (!service) return readiness.failed(service.error());
    readiness.ready();
    return (*service)->run();
  });
}

}  // namespace

void add_mount(CLI::App& app, Context& context) {
  auto line = std::make_shared<CommandLine>();
  CLI::App* command = app.add_subcommand(
      "mount", "Show torrents' files in a folder at once; reads fetch what is not here yet");
  command
      ->add_option("paths", line->paths, "One or more .torrent files, then the folder to mount on")
      ->type_name("MANIFEST... MOUNTPOINT")
      ->required()
      ->expected(2, -1);
  command->add_flag("-f,--foreground", line->foreground, "Stay, instead of becoming a daemon");
  command
      ->add_option("--cache-dir", line->cache_folder,
                   "Keep verified pieces here (default: XDG_CACHE_HOME/swarmfs)")
      ->type_name("DIR");
  add_network_options(*command, line->mount.network);
  command->add_flag("--on-demand", line->mount.on_demand,
                    "Fetch only what is read and what follows it, not everything");
  command
      ->add_option("--read-timeout", line->read_timeout_s,
                   "A read that got nothing new for so many seconds ends with ETIMEDOUT")
      ->check(CLI::Range(1U, 86400U))
      ->capture_default_str();
  command->add_flag("--allow-other", line->mount.allow_other, "Let other users look too");
  command
      ->add_flag("!--no-passthrough", line->mount.passthrough,
                 "Serve complete files as where the kernel cannot read them from the disk itself")
      ->group("");  // for measuring and looking for faults
  command->callback(
      [&context, line] { context.run = [&context, line] { return run_mount(context, *line); }; });
}

}  // namespace swarmfs::mount
