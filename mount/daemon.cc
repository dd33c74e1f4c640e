#include "mount/daemon.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "mount/exit_codes.h"
#include "mount/report.h"

namespace swarmfs::mount {

namespace {

constexpr char kReady = 'R';
constexpr char kFailure = 'E';  // then a byte with the kind, then the message

void write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return;  // the parent is gone: nobody to tell
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

/// Until the other end is closed.
std::string read_all(int fd) {
  std::string text;
  char buffer[512];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

int parent(int pipe, pid_t child) {
  const std::string said = read_all(pipe);
  ::close(pipe);
  if (!said.empty() && said[0] == kReady) return kOk;
  if (said.size() >= 2 && said[0] == kFailure) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return report({static_cast<ErrorKind>(said[1]), said.substr(2)});
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "swarmfs: the daemon ended before it was ready\n");
    return WEXITSTATUS(status);
  }
  std::fprintf(stderr, "swarmfs: the daemon died before it was ready\n");
  return kFailed;
}

int guarded_body(const std::function<int(Readiness&)>& body, Readiness& readiness) {
  try {
    return body(readiness);
  } catch (const std::exception& e) {
    return readiness.failed(fail(ErrorKind::cancelled, e.what()));
  }
}

}  // namespace

void leave_terminal() {
  std::fflush(nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  if (null >= 0) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
    if (null > STDERR_FILENO) ::close(null);
  }
  if (::chdir("/") != 0) {  // then it keeps the folder it was started in busy, no more
  }
}

Readiness::~Readiness() { forget(); }

void Readiness::ready() {
  if (pipe_ < 0) return;
  leave_terminal();
  write_all(pipe_, std::string(1, kReady));
  forget();
}

int Readiness::failed(const Error& error) {
  if (foreground_) return report(error);
  if (pipe_ >= 0)
    write_all(pipe_, std::string{kFailure, static_cast<char>(error.kind)} + error.message);
  forget();
  return exit_code_for(error.kind);
}

void Readiness::forget() {
  if (pipe_ >= 0) ::close(pipe_);
  pipe_ = -1;
}

int daemonize(const std::function<int(Readiness&)>& body) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return report(Error::from_errno(errno, "cannot make a pipe"));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) {
    const Error error = Error::from_errno(errno, "cannot start a process");
    ::close(pipe[0]);
    ::close(pipe[1]);
    return report(error);
  }
  if (child > 0) {
    ::close(pipe[1]);
    return parent(pipe[0], child);
  }
  ::close(pipe[0]);
  ::setsid();
  int code = 0;
  {
    Readiness readiness(pipe[1]);
    code = guarded_body(body, readiness);
  }
  std::fflush(nullptr);
  ::_exit(code);
}

int stay(const std::function<int(Readiness&)>& body) {
  Readiness readiness(-1);
  return body(readiness);
}

}  // namespace swarmfs::mount
