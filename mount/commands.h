// The commands of the swarmfs program, one function each to add it to the command line.
#pragma once

#include <spdlog/logger.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "mount/exit_codes.h"
#include "mount/report.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// What the global options say, and what the chosen command will do. Outlives parsing.
struct Context {
  int verbosity = 0;     ///< -q: -1; -v, -vv: 1, 2
  std::string log_file;  ///< empty: stderr
  /// Set by the chosen command's callback; main runs it after parsing. Returns an ExitCode.
  std::function<int()> run;

  /// The logger that the options ask for. Commands that become a daemon call it only afterwards:
  /// no thread and no logger may exist before the fork.
  std::shared_ptr<spdlog::logger> make_logger() const;
};

/// What the commands take that need one torrent.
inline constexpr const char* kManifestHelp =
    ".torrent file, magnet link, info hash, or URL of a .torrent file";
/// --metadata-timeout: how long a link is followed.
inline void add_metadata_timeout(CLI::App& command, unsigned& seconds) {
  command
      .add_option("--metadata-timeout", seconds,
                  "Give up a link that has not led to its torrent in so many seconds; 0: never")
      ->capture_default_str();
}

void add_publish(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_tracker(CLI::App& app, Context& context);
void add_dht(CLI::App& app, Context& context);
void add_seed(CLI::App& app, Context& context);
void add_get(CLI::App& app, Context& context);
void add_mount(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_why(CLI::App& app, Context& context);
void add_pause(CLI::App& app, Context& context);
void add_resume(CLI::App& app, Context& context);
void add_limit(CLI::App& app, Context& context);
void add_pin(CLI::App& app, Context& context);
void add_unpin(CLI::App& app, Context& context);
void add_prefetch(CLI::App& app, Context& context);
void add_add(CLI::App& app, Context& context);
void add_remove(CLI::App& app, Context& context);
void add_list(CLI::App& app, Context& context);
void add_unmount(CLI::App& app, Context& context);

}  // namespace swarmfs::mount
