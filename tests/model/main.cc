// swarmfs_model: many processes do random operations on a mount, and each outcome is what a folder
// of ordinary files says, or an errno that is permitted there.
//
// All the time one of them is killed and another begins. When enough operations are done, or the
// time is up, a command ends the mount under those that run, which must all end too. The seed
// decides the operations of every process; what they meet depends on how the pieces arrive.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <thread>

#include "tests/model/worker.h"

namespace swarmfs::model {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Options {
  std::string mount, source, end_command;
  std::uint64_t seed = 1, operations = 100'000;
  unsigned workers = 6, seconds = 60, stall_seconds = 90;
  std::optional<std::uint64_t> only;  ///< the seed of one worker to replay alone
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Run {
 public:
  Run(const Options& options, const Source& source) : options_(options), source_(source) {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shared_ = new (memory) Shared();
  }

  /// An exit status.
  int run() {
    const auto start = Clock::now();
    for (unsigned i = 0; i < options_.workers; ++i) spawn(i);
    auto next_kill = start + milliseconds(300);
    while (good_ && operations() < options_.operations && seconds_since(start) < options_.seconds) {
      std::this_thread::sleep_for(milliseconds(20));
      look_after_workers();
      if (Clock::now() < next_kill) continue;
      kill_one();
      next_kill = Clock::now() + milliseconds(100 + rng_() % 500);
    }
    took_ = seconds_since(start);
    end();
    report();
    return good_ ? 0 : 1;
  }

 private:
  std::uint64_t operations() const {
    std::uint64_t sum = 0;
    for (const auto& count : shared_->count) sum += count;
    return sum;
  }

  void spawn(unsigned index) {
    // Drawn whether it is used or not, so that a replay of one has the others' numbers too.
    const std::uint64_t drawn = rng_();
    const std::uint64_t seed = options_.only.value_or(drawn);
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot start a process");
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool interrupted = index % 4 == 3;
      ::_exit(Worker({source_, options_.mount, *shared_, index, seed, interrupted}).run());
    }
    pids_[index] = child;
  }

  bool complain(const std::string& what) {
    std::fprintf(stderr, "model: %s\n", what.c_str());
    return good_ = false;
  }

  void look_after_workers() {
    for (unsigned i = 0; i < options_.workers; ++i) {
      int status = 0;
      if (pids_[i] > 0 && ::waitpid(pids_[i], &status, WNOHANG) == pids_[i]) {
        pids_[i] = 0;
        complain(WIFEXITED(status) ? "a worker ended by itself"
                                   : std::string("a worker died: ") + strsignal(WTERMSIG(status)));
      }
      const Slot& slot = shared_->slots[i];
      const auto now_ms =
          std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count();
      if (const std::int64_t began = slot.began_ms;
          began != 0 && now_ms - began > 1000L * options_.stall_seconds)
        complain("worker " + std::to_string(i) + " hangs in: " + slot.what);
    }
  }

  void kill_one() {
    const auto index = static_cast<unsigned>(rng_() % options_.workers);
    if (pids_[index] <= 0) return;
    const auto start = Clock::now();
    ::kill(pids_[index], SIGKILL);
    if (!reap(index, start + milliseconds(20'000))) {
      complain("a killed worker stays, in: " + std::string(shared_->slots[index].what));
      return;
    }
    slowest_death_ = std::max(slowest_death_, seconds_since(start));
    ++deaths_;
    spawn(index);
  }

  /// True once it has ended; a status other than success or our signal is a failure.
  bool reap(unsigned index, Clock::time_point until) {
    if (pids_[index] <= 0) return true;
    int status = 0;
    while (::waitpid(pids_[index], &status, WNOHANG) != pids_[index]) {
      if (Clock::now() >= until) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    pids_[index] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) good_ = false;
    return true;
  }

  void end() {
    const auto start = Clock::now();
    shared_->ending = true;
    if (!options_.end_command.empty() && good_ && std::system(options_.end_command.c_str()) != 0)
      complain("cannot end the mount: " + options_.end_command);
    unmount_took_ = seconds_since(start);
    const auto until = Clock::now() + milliseconds(20'000);
    for (unsigned i = 0; i < options_.workers; ++i) {
      if ((options_.end_command.empty() || !good_) && pids_[i] > 0) ::kill(pids_[i], SIGKILL);
      if (!reap(i, until)) {
        complain("worker " + std::to_string(i) +
                 " did not end with the mount, in: " + shared_->slots[i].what);
        ::kill(pids_[i], SIGKILL);
      }
    }
  }

  void report() const {
    const auto table = Worker::operations();
    std::printf("%-16s %10s %10s %12s\n", "operation", "done", "refused", "slowest, ms");
    for (std::size_t i = 0; i < table.size(); ++i)
      std::printf("%-16s %10llu %10llu %12.1f\n", table[i].name,
                  static_cast<unsigned long long>(shared_->count[i]),
                  static_cast<unsigned long long>(shared_->refused[i]),
                  static_cast<double>(shared_->slowest_us[i]) / 1000);
    std::printf(
        "seed %llu: %llu operations in %.1f s, %u readers killed (the slowest died after %.0f ms), "
        "unmounted in %.2f s: %s\n",
        static_cast<unsigned long long>(options_.seed),
        static_cast<unsigned long long>(operations()), took_, deaths_, slowest_death_ * 1000,
        unmount_took_, good_ ? "as the model says" : "NOT as the model says");
  }

  const Options& options_;
  const Source& source_;
  std::mt19937_64 rng_{options_.seed};
  Shared* shared_ = nullptr;
  pid_t pids_[kMaxWorkers] = {};
  bool good_ = true;
  unsigned deaths_ = 0;
  double took_ = 0, slowest_death_ = 0, unmount_took_ = 0;
};

}  // namespace
}  // namespace swarmfs::model

int main(int argc, char** argv) {
  swarmfs::model::Options options;
  CLI::App app("Does random operations on a mount and compares them with a folder of files.");
  app.add_option("MOUNT", options.mount, "What is looked at")->required();
  app.add_option("SOURCE", options.source, "The files that it must show")->required();
  app.add_option("--seed", options.seed, "Decides the operations");
  app.add_option("--operations", options.operations, "How many, all processes together");
  app.add_option("--seconds", options.seconds, "The time after which fewer do");
  app.add_option("--workers", options.workers, "Processes")
      ->check(CLI::Range(1U, swarmfs::model::kMaxWorkers));
  app.add_option("--stall", options.stall_seconds, "An operation that takes longer is a failure");
  app.add_option("--end", options.end_command, "Ends the mount, while the processes go on");
  app.add_option("--only", options.only, "Replay the worker that had this seed, in all processes");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto source = swarmfs::model::read_source(options.source);
    return swarmfs::model::Run(options, source).run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "model: %s\n", e.what());
    return 2;
  }
}
