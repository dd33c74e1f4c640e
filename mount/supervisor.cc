#include "mount/supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "mount/exit_codes.h"
#include "mount/log_file.h"
#include "mount/mountpoint.h"
#include "mount/restart_policy.h"

namespace swarmfs::mount {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// So many questions fit into stuck_after.
constexpr unsigned kQuestions = 4;
constexpr Duration kStatusEvery = 10s;
/// For an end that nobody waits for by the second: a slow disk may take what is not written yet.
constexpr Duration kEndOfUnmount = 30s;
/// A killed process is gone within milliseconds, unless it hangs in the kernel.
constexpr Duration kDeathTime = 500ms;

/// What is known of the worker that runs now.
struct Worker {
  pid_t pid = 0;
  TimePoint started;
  bool ready = false;
  bool used = false;
  bool ending = false;   ///< it is to end, by its user's wish
  bool killed = false;   ///< by us
  bool hangs = false;    ///< in the kernel, where not even that ends it
  bool removed = false;  ///< its mount, by us
  std::optional<MountEntry> mount;
  std::optional<Error> failure;
};

class Supervisor {
 public:
  Supervisor(const SupervisorOptions& options, SupervisorPorts ports);
  int run();

 private:
  void start();
  [[noreturn]] void be_worker(Link& link);
  void receive();
  void on_signals();
  void on_message(const Message& message);
  void on_mounted(std::string_view connection);
  void on_worker_ready();
  void on_time(TimePoint now);
  void ask(TimePoint now);
  void stop();
  void reload();
  void kill_worker(const std::string& why);

  void reap();
  void on_death(int status);
  bool remove_mount(Worker& worker);
  void start_again(const WorkerDeath& death, const Error& error);
  void give_up(const Error& error);
  void end(int code) { result_ = code; }
  TimePoint next_event() const;

  const SupervisorOptions options_;
  const SupervisorPorts ports_;
  spdlog::logger& log_;
  const std::optional<MountEntry> beneath_;  ///< what was on the mount point before us
  Duration ask_every_;

  Fd signals_;
  std::optional<Link> link_;  ///< to the worker that runs
  std::optional<Worker> worker_;
  RestartPolicy policy_;
  Liveness liveness_;
  bool was_mounted_ = false;  ///< some worker got that far: from then on, deaths are mended
  bool was_ready_ = false;    ///< and so far
  bool stopping_ = false;
  std::optional<int> result_;

  std::optional<TimePoint> start_at_;  ///< the next worker
  TimePoint ask_at_;
  TimePoint status_at_;
  std::optional<TimePoint> kill_at_;     ///< the worker that does not end, or does not start
  std::optional<TimePoint> give_up_at_;  ///< waiting for the death of the killed one
};

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : "SIG" + std::string(name);
}

std::string how_it_died(int status) {
  if (WIFSIGNALED(status)) return "was killed by " + signal_name(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

/// The signals that only signalfd sees, in the supervisor.
sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

Supervisor::Supervisor(const SupervisorOptions& options, SupervisorPorts ports)
    : options_(options),
      ports_(std::move(ports)),
      log_(*ports_.logger),
      beneath_(mount_on(options_.mountpoint)),
      liveness_(options_.stuck_after > Duration::zero() ? kQuestions : 0) {
  // A manager's own watchdog bites later than ours: what is stuck is mended, not all of it killed.
  const bool watched = options_.stuck_after > Duration::zero();
  const auto watchdog = ports_.manager.watchdog();
  Duration patience = watched ? options_.stuck_after : Duration(20s);
  if (watchdog) patience = std::min(patience, *watchdog / 2);
  ask_every_ = std::max<Duration>(patience / kQuestions, 10ms);
  const sigset_t set = handled_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // whoever waited for the start may be gone
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  ask_at_ = status_at_ = steady_clock::now();
}

int Supervisor::run() {
  start();
  while (!result_) {
    pollfd fds[] = {{signals_.get(), POLLIN, 0}, {link_ ? link_->fd() : -1, POLLIN, 0}};
    const auto wait =
        std::chrono::ceil<std::chrono::milliseconds>(next_event() - steady_clock::now());
    ::poll(fds, 2, static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, 60'000)));
    receive();
    on_signals();
    if (worker_) reap();
    if (!result_) on_time(steady_clock::now());
  }
  return *result_;
}

TimePoint Supervisor::next_event() const {
  TimePoint next = ask_at_;
  for (const auto& at : {start_at_, kill_at_, give_up_at_})
    if (at) next = std::min(next, *at);
  return next;
}

/// What the worker has said.
void Supervisor::receive() {
  while (link_) {
    const auto message = link_->receive();
    if (message) on_message(*message);
    if (link_->ended()) link_.reset();  // a dying worker's; its death comes as a signal
    if (!message) return;
  }
}

// --- The worker's life ------------------------------------------------------------------------

void Supervisor::start() {
  start_at_.reset();
  if (was_mounted_ && mount_on(options_.mountpoint) != beneath_)
    return give_up(fail(ErrorKind::busy, "something else is mounted there now"));
  auto ends = Link::make_pair();
  if (!ends) return start_again({.by_itself = true}, ends.error());
  auto& [ours, workers] = *ends;
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0)
    return start_again({.by_itself = true}, Error::from_errno(errno, "cannot start a worker"));
  if (pid == 0) {
    ours.close();
    be_worker(workers);
  }
  workers.close();
  link_ = std::move(ours);
  worker_.emplace();
  worker_->pid = pid;
  worker_->started = steady_clock::now();
  liveness_.reset();
  if (was_mounted_) kill_at_ = worker_->started + options_.start_within;
}

void Supervisor::be_worker(Link& link) {
  signals_ = Fd();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ports_.in_child();
  std::exit(ports_.worker(link));
}

void Supervisor::on_message(const Message& message) {
  if (!worker_) return;
  switch (message.note) {
    case Note::mounted:
      return on_mounted(message.text);
    case Note::ready:
      return on_worker_ready();
    case Note::failed:
      worker_->failure = error_from_text(message.text);
      return;
    case Note::opened:
      worker_->used = true;
      return;
    case Note::alive:
      return liveness_.on_answer();
    case Note::status:
      return ports_.manager.tell_status(message.text);
    case Note::reloaded:
      return ports_.manager.tell("READY=1");
    case Note::ending:
      worker_->ending = true;
      if (!kill_at_) kill_at_ = steady_clock::now() + kEndOfUnmount;
      return;
    case Note::ask_alive:
    case Note::ask_status:
    case Note::reload:
      return;  // ours to say
  }
}

void Supervisor::on_mounted(std::string_view connection) {
  const auto entry = mount_on(options_.mountpoint);
  unsigned number = 0;
  const auto parsed =
      std::from_chars(connection.data(), connection.data() + connection.size(), number);
  if (parsed.ec == std::errc{} && entry && entry->type == kMountType && entry->connection == number)
    worker_->mount = entry;
  was_mounted_ = true;
  if (!kill_at_) kill_at_ = steady_clock::now() + options_.start_within;
}

void Supervisor::on_worker_ready() {
  if (std::exchange(worker_->ready, true)) return;
  was_mounted_ = true;
  if (!stopping_) kill_at_.reset();
  if (!std::exchange(was_ready_, true)) {
    ports_.on_ready();
    ports_.manager.tell("READY=1\nMAINPID=" + std::to_string(::getpid()));
  } else {
    log_.warn("{} is served again by process {}", options_.mountpoint, worker_->pid);
    ports_.manager.tell("READY=1");
  }
  ports_.manager.tell_status("serving " + options_.mountpoint);
  ask_at_ = std::min(ask_at_, steady_clock::now() + ask_every_);
}

// --- Time and signals -------------------------------------------------------------------------

void Supervisor::on_time(TimePoint now) {
  if (start_at_ && now >= *start_at_) start();
  if (result_) return;
  if (now >= ask_at_) ask(now);
  if (kill_at_ && now >= *kill_at_)
    kill_worker(worker_->ready ? "has not ended in time" : "has not started in time");
  if (give_up_at_ && now >= *give_up_at_) {
    // It hangs in the kernel, on a disk perhaps. Who reads the mount need not hang with it.
    give_up_at_.reset();
    worker_->hangs = true;
    remove_mount(*worker_);
    log_.error("the worker (process {}) cannot be killed, it hangs in the kernel", worker_->pid);
    if (stopping_) end(kFailed);
  }
}

void Supervisor::ask(TimePoint now) {
  ask_at_ = now + ask_every_;
  const bool serving = worker_ && worker_->ready && !worker_->ending && !worker_->killed;
  // A worker's death and its start have limits of their own.
  const bool well = serving ? liveness_.answers() : !worker_ || !worker_->hangs;
  if (well) ports_.manager.tell("WATCHDOG=1");
  if (!serving || !link_) return;
  if (liveness_.on_ask()) return kill_worker("does not answer");
  link_->send(Note::ask_alive);
  // The answer takes a loop that turns: a stuck one would keep the worker from hearing more.
  if (well && ports_.manager.present() && now >= status_at_) {
    status_at_ = now + kStatusEvery;
    link_->send(Note::ask_status);
  }
}

void Supervisor::on_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) reload();
    if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) stop();
  }
}

void Supervisor::stop() {
  if (std::exchange(stopping_, true)) return;
  ports_.manager.tell("STOPPING=1\nSTATUS=ending");
  if (!worker_) return end(kOk);
  ::kill(worker_->pid, SIGTERM);
  (worker_->killed ? give_up_at_ : kill_at_) = steady_clock::now() + options_.end_within;
}

void Supervisor::reload() {
  reopen_log(log_);
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto usec = now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  ports_.manager.tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
  if (worker_ && worker_->ready && link_) {
    link_->send(Note::reload);
  } else {
    ports_.manager.tell("READY=1");  // the next one starts with what is there then
  }
}

void Supervisor::kill_worker(const std::string& why) {
  log_.error("the worker (process {}) {}: it is killed", worker_->pid, why);
  worker_->killed = true;
  kill_at_.reset();
  give_up_at_ = steady_clock::now() + kDeathTime;
  ::kill(worker_->pid, SIGKILL);
}

// --- Its death --------------------------------------------------------------------------------

void Supervisor::reap() {
  int status = 0;
  if (::waitpid(worker_->pid, &status, WNOHANG) != worker_->pid) return;
  receive();  // its last words
  link_.reset();
  kill_at_.reset();
  give_up_at_.reset();
  on_death(status);
}

void Supervisor::on_death(int status) {
  // One that ended in order has left no mount. Where the kernel tells mounts apart only by numbers
  // that are given out anew, what is there now is another's.
  const bool left_none = WIFEXITED(status) && WEXITSTATUS(status) == kOk && worker_->mount &&
                         worker_->mount->unique == 0;
  const bool unmounted = left_none || remove_mount(*worker_);
  const Worker dead = *std::exchange(worker_, std::nullopt);
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const bool in_order =
      signal == 0 ? WEXITSTATUS(status) == kOk : signal == SIGTERM || signal == SIGINT;
  const std::string who = "the worker (process " + std::to_string(dead.pid) + ") ";
  const Error error = dead.failure
                          ? fail(dead.failure->kind, who + "failed: " + dead.failure->message)
                          : fail(ErrorKind::cancelled, who + how_it_died(status));
  // Who asked for the mount still waits, and hears what the first worker says is wrong.
  const bool refused = !was_mounted_ || (dead.failure && !was_ready_);
  if (refused && !stopping_) {
    end(ports_.on_failed(dead.failure ? *dead.failure : error));
  } else if (in_order) {
    end(kOk);
  } else if (stopping_ || dead.ending || (unmounted && !dead.failure)) {
    log_.error("{} while it ended", error.message);
    end(kFailed);
  } else {
    const bool by_itself = signal != SIGKILL || dead.killed;
    start_again({dead.ready, dead.used, by_itself, steady_clock::now() - dead.started}, error);
  }
}

/// True if somebody else has unmounted it.
bool Supervisor::remove_mount(Worker& worker) {
  auto mount = worker.mount;
  if (!mount) {
    // It may have died between mounting and saying so.
    mount = mount_on(options_.mountpoint);
    if (!mount || mount->type != kMountType || mount == beneath_) return false;
  }
  switch (remove_dead_mount(*mount)) {
    case Removal::gone:
    case Removal::lives:
      return worker.mount && !worker.removed;
    case Removal::removed:
      worker.removed = true;
      return false;
    case Removal::covered:
      log_.error("the dead mount on {} stays, since another is mounted over it",
                 options_.mountpoint);
      return false;
    case Removal::refused:
      log_.error("the dead mount on {} cannot be unmounted", options_.mountpoint);
      return false;
  }
  return false;
}

void Supervisor::start_again(const WorkerDeath& death, const Error& error) {
  if (!was_mounted_) return end(ports_.on_failed(error));
  if (!options_.restart) return give_up(error);
  const TimePoint now = steady_clock::now();
  const auto pause = policy_.on_death(death, now);
  if (!pause) return give_up(fail(error.kind, error.message + ", as those before it did"));
  start_at_ = now + *pause;
  log_.error("{}; another is started in {:.1f} s", error.message, to_seconds(*pause));
  ports_.manager.tell_status(error.message);
}

void Supervisor::give_up(const Error& error) {
  if (!was_ready_) return end(ports_.on_failed(error));
  log_.error("{} is not served any more: {}", options_.mountpoint, error.message);
  ports_.manager.tell("STOPPING=1");
  ports_.manager.tell_status(error.message);
  end(exit_code_for(error.kind));
}

}  // namespace

int supervise(const SupervisorOptions& options, SupervisorPorts ports) {
  return Supervisor(options, std::move(ports)).run();
}

}  // namespace swarmfs::mount
