// Becoming a daemon whose start its parent can judge.
#pragma once

#include <functional>
#include <string>

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// How the daemon tells the process that started it how the start went. Either call, once.
class Readiness {
 public:
  explicit Readiness(int pipe) : pipe_(pipe) {}
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  /// All is well: the parent exits with 0. From here on stdin, stdout and stderr are /dev/null and
  /// the working folder is /: paths used later must be absolute.
  void ready();
  /// The parent prints the error and exits with its kind's code. Returns that code.
  int failed(const Error& error);

 private:
  int pipe_;
};

/// Runs `body` in a new process of its own session, before which no thread may exist. The child
/// never returns from here: it exits with what `body` returns. The parent returns the exit code
/// as soon as the child is ready, has failed or is dead.
int daemonize(const std::function<int(Readiness&)>& body);

}  // namespace swarmfs::mount
