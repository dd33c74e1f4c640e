// Becoming a daemon whose start its parent can judge.
#pragma once

#include <functional>
#include <string>

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// How a start went, told to whoever waits for it: the process that started the daemon, or, with no
/// pipe, the person before it. Either call, once.
class Readiness {
 public:
  /// A pipe to the parent, owned; or -1 in the foreground.
  explicit Readiness(int pipe) : pipe_(pipe), foreground_(pipe < 0) {}
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  /// All is well: the parent exits with 0. Leaves the terminal first, see leave_terminal().
  void ready();
  /// The error is printed, by the parent if there is one, which exits with its kind's code. Returns
  /// that code.
  int failed(const Error& error);
  /// For a child of the daemon, which has nothing to say here.
  void forget();

 private:
  int pipe_;
  const bool foreground_;
};

/// From here on stdin, stdout and stderr are /dev/null and the working folder is /: paths used
/// later must be absolute. The shell that started the daemon gets its output and folder back only
/// when every process of it has done so.
void leave_terminal();

/// Runs `body` in a new process of its own session, before which no thread may exist. The child
/// never returns from here: it exits with what `body` returns. The parent returns the exit code
/// as soon as the child is ready, has failed or is dead.
int daemonize(const std::function<int(Readiness&)>& body);

/// Runs `body` here, in the foreground, and returns what it returns.
int stay(const std::function<int(Readiness&)>& body);

}  // namespace swarmfs::mount
