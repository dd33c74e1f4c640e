// swarmfs mount: a torrent's files in a folder, at once.
#include <malloc.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "mount/cache_folder.h"
#include "mount/commands.h"
#include "mount/control.h"
#include "mount/daemon.h"
#include "mount/json_fields.h"
#include "mount/link.h"
#include "mount/mountpoint.h"
#include "mount/supervisor.h"
#include "mount/worker.h"

namespace swarmfs::mount {
namespace {

namespace stdfs = std::filesystem;

struct CommandLine {
  std::vector<std::string> paths;  ///< manifests, then the mount point
  bool foreground = false;
  bool wait = false;  ///< for the metadata of links
  bool no_restart = false;
  unsigned watchdog_s = 20;
  unsigned read_timeout_s = 60;
  std::string cache_folder;
  MountOptions mount;
};

/// The last path is the mount point; of the others, folders are watched and files are manifests.
/// Those are read now, but not parsed: that is the worker's.
Result<> sort_paths(CommandLine& line) {
  line.mount.mountpoint = line.paths.back();
  line.paths.pop_back();
  for (const std::string& path : line.paths) {
    if (is_link(path)) {
      if (const auto link = parse_link(path); !link) return link.error();
      line.mount.manifests.files.push_back({path, Bytes(path.begin(), path.end())});
      continue;
    }
    std::error_code ignored;
    const std::string absolute = stdfs::absolute(path).lexically_normal().string();
    if (stdfs::is_directory(path, ignored)) {
      line.mount.manifests.folders.push_back(absolute);
      continue;
    }
    auto bytes = metainfo::read_torrent(path);
    if (!bytes) return bytes.error();
    line.mount.manifests.files.push_back({absolute, std::move(*bytes)});
  }
  return {};
}

/// Everything relative is resolved, and every file read, while errors can still be shown.
Result<> prepare(Context& context, CommandLine& line) {
  if (auto sorted = sort_paths(line); !sorted) return sorted;
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
  if (!context.log_file.empty()) context.log_file = stdfs::absolute(context.log_file).string();
  return {};
}

int serve(const Context& context, CommandLine& line, Readiness& readiness) {
  SupervisorOptions options;
  options.mountpoint = line.mount.mountpoint;
  options.restart = !line.no_restart;
  options.stuck_after = std::chrono::seconds(line.watchdog_s);
  SupervisorPorts ports;
  ports.manager = ServiceManager::from_environment();
  ports.logger = context.make_logger();
  ports.in_child = [&] { readiness.forget(); };
  ports.on_ready = [&] { readiness.ready(); };
  ports.on_failed = [&](const Error& error) { return readiness.failed(error); };
  ports.worker = [&, logger = ports.logger](Link& link) {
    return run_worker(link, std::exchange(line.mount, {}), logger, [&] {
      if (!line.foreground) leave_terminal();
    });
  };
  return supervise(options, std::move(ports));
}

/// Asks the mount that has just begun until every link has led somewhere. Who interrupts this ends
/// the waiting alone.
int wait_for_metadata(const std::string& mountpoint) {
  using nlohmann::json;
  const auto folder = control_folder();
  if (!folder) return report(folder.error());
  while (true) {
    const auto reply = control_send(control_path(*folder, mountpoint), {{"command", "list"}},
                                    std::chrono::seconds(10));
    if (!reply) return report(reply.error());
    std::size_t waiting = 0, broken = 0;
    const auto torrents = objects_of(json::parse(*reply).value("list", json::object()), "torrents");
    std::string why;
    for (const json& torrent : torrents) {
      const std::string state = torrent.value("state", "");
      if (state == "metadata") ++waiting;
      if (state != "broken") continue;
      ++broken;
      if (why.empty()) why = text_of(torrent, "error");
    }
    if (waiting == 0 && broken > 0 && broken == torrents.size())
      return report(fail(ErrorKind::bad_input, why));
    if (waiting == 0) return kOk;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int run_mount(Context& context, CommandLine& line) {
  if (auto prepared = prepare(context, line); !prepared) return report(prepared.error());
  // Two threads allocate blocks; an arena for each of the others would only hold memory back.
  mallopt(M_ARENA_MAX, 2);
  const auto body = [&](Readiness& readiness) { return serve(context, line, readiness); };
  if (line.foreground) return stay(body);
  const std::string mountpoint = line.mount.mountpoint;
  const int code = daemonize(body);
  return code == kOk && line.wait ? wait_for_metadata(mountpoint) : code;
}

}  // namespace

void add_mount(Command app, Context& context) {
  auto line = std::make_shared<CommandLine>();
  const Command command = app.add(
      "mount", "Show torrents' files in a folder at once; reads fetch what is not here yet");
  command
      .option("paths", line->paths,
              ".torrent files, magnet links, info hashes, URLs of .torrent files, and folders "
              "that are watched, if any; then the folder to mount on")
      .type_name("[MANIFEST|FOLDER]... MOUNTPOINT")
      .required();
  command.flag("--wait", line->wait,
               "Return only when the metadata of every link is here (not with -f)");
  command.flag("-f,--foreground", line->foreground, "Stay, instead of becoming a daemon");
  command
      .option("--cache-dir", line->cache_folder,
              "Keep verified pieces here (default: XDG_CACHE_HOME/swarmfs)")
      .type_name("DIR");
  add_network_options(command, line->mount.network);
  command.flag("--reads-exempt,!--no-reads-exempt", line->mount.network.limits.reads_exempt,
               "What readers wait for comes as fast as it can, whatever --limit-down says, and "
               "the rest gives way (the default)");
  command.flag("--on-demand", line->mount.on_demand,
               "Fetch only what is read and what follows it, not everything");
  command
      .option("--read-timeout", line->read_timeout_s,
              "A read that got nothing new for so many seconds ends with ETIMEDOUT")
      .range(1U, 86400U)
      .shown_default();
  command.flag("--no-restart", line->no_restart,
               "End when the process that serves dies, instead of starting another");
  command
      .option("--watchdog", line->watchdog_s,
              "Kill and replace the process that serves if it answers nothing for so many "
              "seconds; 0: never")
      .range(0U, 86400U)
      .shown_default();
  command.flag("--allow-other", line->mount.allow_other, "Let other users look too");
  command
      .flag("!--no-passthrough", line->mount.passthrough,
            "Serve complete files as where the kernel cannot read them from the disk itself")
      .hidden();  // for measuring and looking for faults
  command.callback(
      [&context, line] { context.run = [&context, line] { return run_mount(context, *line); }; });
}

}  // namespace swarmfs::mount
