#include "mount/daemon.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "mount/exit_codes.h"

namespace swarmfs::mount {
namespace {

/// Writes whether stdio is off and a session was made to a pipe, after being ready.
TEST(Daemon, ParentReturnsWhenTheChildIsReadyAndTheChildLivesOn) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const int code = daemonize([&](Readiness& readiness) {
    readiness.ready();
    char target[64] = {};
    const bool quiet = ::readlink("/proc/self/fd/1", target, sizeof target - 1) > 0 &&
                       std::string(target) == "/dev/null";
    const bool leads = ::getsid(0) == ::getpid();
    ::usleep(50'000);  // the parent must not wait for this
    return ::write(pipe[1], quiet && leads ? "y" : "n", 1) == 1 ? 0 : 1;
  });
  EXPECT_EQ(code, kOk);
  ::close(pipe[1]);
  char said = 0;
  EXPECT_EQ(::read(pipe[0], &said, 1), 1);
  EXPECT_EQ(said, 'y');
  ::close(pipe[0]);
}

TEST(Daemon, ParentPrintsTheChildsErrorAndReturnsItsCode) {
  testing::internal::CaptureStderr();
  const int code = daemonize([](Readiness& readiness) {
    return readiness.failed(fail(ErrorKind::busy, "the folder is taken"));
  });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "swarmfs: the folder is taken\n");
  EXPECT_EQ(code, kBusy);
}

TEST(Daemon, ParentDoesNotHangIfTheChildDies) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(daemonize([](Readiness&) -> int {
              ::raise(SIGKILL);
              return 0;
            }),
            kFailed);
  EXPECT_EQ(daemonize([](Readiness&) { return 4; }), 4);
  EXPECT_EQ(daemonize([](Readiness&) { return 0; }), kFailed);
  EXPECT_EQ(daemonize([](Readiness&) -> int { throw std::runtime_error("no luck"); }), kFailed);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("no luck"), std::string::npos);
}

}  // namespace
}  // namespace swarmfs::mount
