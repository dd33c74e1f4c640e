// mount_probe (tests/support/mount_probe.cc) as a child of a test.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "swarm/base/clock.h"
#include "tests/support/sanitized.h"

extern char** environ;

namespace swarmfs::test {

/// Runs until it ends, or is killed with this.
class Probe {
 public:
  explicit Probe(std::vector<std::string> words) {
    words.insert(words.begin(), MOUNT_PROBE);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
    out_ = pipe[0];
  }
  ~Probe() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    static_cast<void>(output(std::chrono::seconds(10)));
    if (out_ >= 0) ::close(out_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  pid_t pid() const { return pid_; }
  /// What it printed; nothing if it failed or has not ended in time.
  std::optional<std::string> output(Duration at_most = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    int status = 0;
    while (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) != pid_) {
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (pid_ <= 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return pid_ = -1, std::nullopt;
    pid_ = -1;
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(out_, buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(n));
    return text;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

/// How many threads of a crowd ended with each errno; empty if it has not ended in time.
inline std::map<int, unsigned> outcomes(Probe& crowd, Duration at_most = std::chrono::seconds(60)) {
  std::map<int, unsigned> found;
  std::istringstream text(crowd.output(at_most).value_or(""));
  for (int error = 0, threads = 0; text >> error >> threads;) found[error] = threads;
  return found;
}

/// Microseconds within which all but one in a thousand operations ended; nothing if one failed.
inline std::optional<double> metadata_p999_us(const std::string& folder, const std::string& name,
                                              unsigned rounds) {
  Probe probe({"metadata", folder, name, std::to_string(rounds)});
  std::istringstream text(probe.output().value_or(""));
  std::string operation;
  double p50 = 0, p99 = 0, p999 = 0, max = 0;
  while (text >> operation >> p50 >> p99 >> p999 >> max)
    if (operation == "all") return p999;
  return std::nullopt;
}

/// MB/s; nothing if it failed.
inline std::optional<double> stream_rate(const std::string& path) {
  Probe probe({"stream", path});
  const auto text = probe.output();
  return text ? std::optional(std::stod(*text)) : std::nullopt;
}

}  // namespace swarmfs::test
