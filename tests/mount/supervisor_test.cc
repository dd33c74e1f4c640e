// The supervisor with workers that do nothing but misbehave; real ones are in supervisor_test.py.
#include "mount/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "mount/exit_codes.h"
#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Runs a supervisor in a process of its own. Its workers write a letter each for what they do.
class Supervised {
 public:
  using WorkerBody = std::function<int(Link&, int nth)>;

  explicit Supervised(const WorkerBody& body, SupervisorOptions options = {}) {
    EXPECT_EQ(::pipe(letters_), 0);
    options.mountpoint = folder_.path();
    started_ = steady_clock::now();
    pid_ = ::fork();
    if (pid_ != 0) {
      ::close(letters_[1]);
      return;
    }
    int nth = 0;
    SupervisorPorts ports;
    // Numbered in the supervisor: a worker's own count dies with it.
    ports.logger = std::make_shared<spdlog::logger>("", std::make_shared<Counting>(nth));
    ports.worker = [&](Link& link) { return body(link, nth); };
    ports.on_ready = [this] { say('r'); };
    ports.on_failed = [this](const Error& error) {
      say(error.message == "no luck" ? 'f' : '?');
      return 5;
    };
    ::_exit(supervise(options, std::move(ports)));
  }
  ~Supervised() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    static_cast<void>(exit_code());
    ::close(letters_[0]);
  }
  Supervised(const Supervised&) = delete;
  Supervised& operator=(const Supervised&) = delete;

  void say(char letter) const { EXPECT_EQ(::write(letters_[1], &letter, 1), 1); }
  /// The next letter; '-' when every process of the test has ended, '~' if there is none in time.
  char next(int timeout_ms = 20'000) const {
    pollfd p{letters_[0], POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) <= 0) return '~';
    char letter = 0;
    return ::read(letters_[0], &letter, 1) == 1 ? letter : '-';
  }
  void signal(int number) const { ::kill(pid_, number); }
  /// Waits for the supervisor's end.
  int exit_code() {
    if (pid_ > 0) {
      int status = 0;
      EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    pid_ = 0;
    return code_;
  }
  Duration lasted() const { return steady_clock::now() - started_; }

 private:
  /// Counts what the supervisor logs when it starts another.
  struct Counting final : spdlog::sinks::base_sink<spdlog::details::null_mutex> {
    explicit Counting(int& count) : count_(count) {}
    void sink_it_(const spdlog::details::log_msg& m) override {
      const std::string text(m.payload.data(), m.payload.size());
      if (text.find("another is started") != std::string::npos) ++count_;
    }
    void flush_() override {}
    int& count_;
  };

  test::TempFolder folder_;
  int letters_[2];
  pid_t pid_ = 0;
  int code_ = 0;
  TimePoint started_;
};

/// Waits for SIGTERM, in order.
int serve_until_told() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  int signal = 0;
  sigwait(&set, &signal);
  return kOk;
}

int sleep_for_ever() {
  while (true) ::pause();
}

TEST(Supervisor, AFailedStartIsToldAndItsCodeKept) {
  Supervised s([](Link& link, int) {
    link.send(Note::failed, to_text(fail(ErrorKind::busy, "no luck")));
    return 7;
  });
  EXPECT_EQ(s.next(), 'f');
  EXPECT_EQ(s.exit_code(), 5);
}

TEST(Supervisor, AWorkerThatDiesBeforeItIsReadyIsNotStartedAgain) {
  Supervised s([&](Link&, int) { return ::raise(SIGKILL); });
  EXPECT_EQ(s.next(), '?');
  EXPECT_EQ(s.exit_code(), 5);
}

TEST(Supervisor, AWorkerThatHadMountedIsStartedAgainThoughItWasNotReady) {
  Supervised s([&](Link& link, int nth) {
    link.send(Note::mounted, "0");
    if (nth == 0) return ::raise(SIGKILL);
    link.send(Note::ready);
    return int{kOk};
  });
  EXPECT_EQ(s.next(), 'r');
  EXPECT_EQ(s.exit_code(), kOk);
}

TEST(Supervisor, EndsWithAWorkerThatEndsInOrder) {
  Supervised s([](Link& link, int) {
    link.send(Note::ready);
    return kOk;
  });
  EXPECT_EQ(s.next(), 'r');
  EXPECT_EQ(s.exit_code(), kOk);
  EXPECT_EQ(s.next(), '-');
}

TEST(Supervisor, StartsAnotherWhenOneDiesAndSaysReadyOnce) {
  Supervised s([&](Link& link, int nth) {
    link.send(Note::ready);
    link.send(Note::opened);
    return nth == 3 ? int{kOk} : ::raise(nth == 1 ? SIGSEGV : SIGKILL);
  });
  EXPECT_EQ(s.next(), 'r');
  EXPECT_EQ(s.exit_code(), kOk);
  EXPECT_EQ(s.next(), '-');
  EXPECT_LT(s.lasted(), 10s);
}

TEST(Supervisor, GivesUpOnWorkersThatKeepCrashing) {
  Supervised s([](Link& link, int nth) {
    link.send(Note::ready);
    return nth > 10 ? int{kOk} : ::raise(SIGABRT);
  });
  EXPECT_EQ(s.exit_code(), kFailed);
  EXPECT_GT(s.lasted(), 5s);  // the pauses between them
}

TEST(Supervisor, WithoutRestartTheFirstDeathIsTheEnd) {
  SupervisorOptions options;
  options.restart = false;
  Supervised s(
      [](Link& link, int) {
        link.send(Note::ready);
        return ::raise(SIGKILL);
      },
      options);
  EXPECT_EQ(s.exit_code(), kFailed);
  EXPECT_LT(s.lasted(), 5s);
}

TEST(Supervisor, ADeathAfterTheUsersUnmountIsTheEnd) {
  Supervised s([](Link& link, int) {
    link.send(Note::ready);
    link.send(Note::ending);
    return ::raise(SIGKILL);
  });
  EXPECT_EQ(s.exit_code(), kFailed);
  EXPECT_LT(s.lasted(), 5s);
}

TEST(Supervisor, WhoTerminatesTheWorkerWantsItGone) {
  Supervised s([](Link& link, int) {
    link.send(Note::ready);
    sigset_t set;
    sigfillset(&set);
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    return ::raise(SIGTERM);
  });
  EXPECT_EQ(s.exit_code(), kOk);
}

TEST(Supervisor, PassesTerminationOn) {
  Supervised s([](Link& link, int) {
    link.send(Note::ready);
    return serve_until_told();
  });
  EXPECT_EQ(s.next(), 'r');
  s.signal(SIGTERM);
  EXPECT_EQ(s.exit_code(), kOk);
  EXPECT_EQ(s.next(), '-');
}

TEST(Supervisor, KillsAWorkerThatDoesNotEndInTime) {
  SupervisorOptions options;
  options.end_within = 300ms;
  Supervised s(
      [](Link& link, int) {
        link.send(Note::ready);
        return sleep_for_ever();
      },
      options);
  EXPECT_EQ(s.next(), 'r');
  s.signal(SIGINT);
  EXPECT_EQ(s.exit_code(), kFailed);
  EXPECT_EQ(s.next(), '-');
}

TEST(Supervisor, ReplacesAWorkerThatDoesNotAnswer) {
  SupervisorOptions options;
  options.stuck_after = 200ms;
  Supervised s(
      [](Link& link, int nth) {
        link.send(Note::ready);
        return nth == 0 ? sleep_for_ever() : int{kOk};
      },
      options);
  EXPECT_EQ(s.exit_code(), kOk);
  EXPECT_GE(s.lasted(), 200ms);
}

TEST(Supervisor, AWorkerThatAnswersStays) {
  SupervisorOptions options;
  options.stuck_after = 4s;
  Supervised s(
      [](Link& link, int nth) {
        link.send(Note::ready);
        const auto until = steady_clock::now() + 5s;
        while (steady_clock::now() < until) {
          pollfd p{link.fd(), POLLIN, 0};
          ::poll(&p, 1, 100);
          if (const auto message = link.receive(); message && message->note == Note::ask_alive)
            link.send(Note::alive);
        }
        link.send(Note::ending);  // what a sanitizer does at the end may take long
        return nth == 0 ? kOk : kBusy;
      },
      options);
  EXPECT_EQ(s.exit_code(), kOk);
}

TEST(Supervisor, ASecondStartThatTakesTooLongIsCutShort) {
  SupervisorOptions options;
  options.start_within = 300ms;
  Supervised s(
      [](Link& link, int nth) {
        if (nth == 1) return sleep_for_ever();
        link.send(Note::ready);
        return nth == 0 ? ::raise(SIGKILL) : int{kOk};
      },
      options);
  EXPECT_EQ(s.exit_code(), kOk);
}

TEST(LinkListener, KnowsWhenTheSupervisorIsGoneAndWhenTheEndIsOverdue) {
  auto ends = Link::make_pair();
  ASSERT_TRUE(ends);
  std::atomic<int> notes{0}, gone{0}, overdue{0};
  LinkListener::Handlers handlers;
  handlers.on_note = [&](Note note) { notes += note == Note::ask_alive ? 1 : 100; };
  handlers.on_gone = [&] { ++gone; };
  handlers.on_overdue = [&] { ++overdue; };
  const LinkListener listener(ends->second, handlers, 50ms);
  ends->first.send(Note::ask_alive);
  ends->first.send(Note::ask_alive);
  ends->first.close();
  for (int i = 0; i < 1000 && overdue == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(notes, 2);
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(overdue, 1);
}

TEST(LinkListener, EndsAtOnceWhileItWaits) {
  auto ends = Link::make_pair();
  ASSERT_TRUE(ends);
  std::atomic<int> calls{0};
  const auto count = [&] { ++calls; };
  {
    const LinkListener listener(ends->second, {[&](Note) { ++calls; }, count, count}, 1h);
  }
  EXPECT_EQ(calls, 0);
}

TEST(Link, CutsATextAndDropsWhatDoesNotFit) {
  auto ends = Link::make_pair();
  ASSERT_TRUE(ends);
  ends->second.send(Note::status, std::string(5000, 'x'));
  const auto message = ends->first.receive();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->text.size(), Link::kMaxText);
  for (int i = 0; i < 100'000; ++i) ends->second.send(Note::alive);  // never waits
  ends->second.close();
  int received = 0;
  while (ends->first.receive()) ++received;
  EXPECT_GT(received, 0);
  EXPECT_TRUE(ends->first.ended());
}

TEST(Link, AnErrorComesBackAsItWas) {
  const Error error = fail(ErrorKind::permission, "not yours");
  EXPECT_EQ(error_from_text(to_text(error)).kind, ErrorKind::permission);
  EXPECT_EQ(error_from_text(to_text(error)).message, "not yours");
  EXPECT_EQ(error_from_text("").kind, ErrorKind::io);
  EXPECT_EQ(error_from_text("\x7fodd").message, "\x7fodd");
}

}  // namespace
}  // namespace swarmfs::mount
