// The commands of the swarmfs program, one function each to add it to the command line.
#pragma once

#include <spdlog/fwd.h>

#include <functional>
#include <memory>
#include <string>

#include "mount/command_line.h"
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
inline void add_metadata_timeout(Command command, unsigned& seconds) {
  command
      .option("--metadata-timeout", seconds,
              "Give up a link that has not led to its torrent in so many seconds; 0: never")
      .shown_default();
}

void add_publish(Command app, Context& context);
void add_inspect(Command app, Context& context);
void add_verify(Command app, Context& context);
void add_tracker(Command app, Context& context);
void add_dht(Command app, Context& context);
void add_seed(Command app, Context& context);
void add_get(Command app, Context& context);
void add_mount(Command app, Context& context);
void add_status(Command app, Context& context);
void add_why(Command app, Context& context);
void add_pause(Command app, Context& context);
void add_resume(Command app, Context& context);
void add_limit(Command app, Context& context);
void add_pin(Command app, Context& context);
void add_unpin(Command app, Context& context);
void add_prefetch(Command app, Context& context);
void add_add(Command app, Context& context);
void add_remove(Command app, Context& context);
void add_list(Command app, Context& context);
void add_unmount(Command app, Context& context);

}  // namespace swarmfs::mount
