#include "mount/idle_checker.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <future>

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

TEST(IdleChecker, TakesStepsUntilThereAreNoneAndAtIdlePriority) {
  std::promise<int> policy;
  int left = 5;  // touched by the checker's thread only, until it says that it has ended
  IdleChecker checker;
  checker.add(&left, FileIndex(1), [&] {
    if (--left > 0) return true;
    policy.set_value(::sched_getscheduler(0));
    return false;
  });
  auto said = policy.get_future();
  ASSERT_EQ(said.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(said.get(), SCHED_IDLE);
  checker.stop();
  EXPECT_EQ(left, 0);
}

TEST(IdleChecker, QueuesAFileOnceAndAgainWhenItIsDone) {
  std::promise<void> entered, go;
  auto may_go = go.get_future().share();
  std::atomic<int> first = 0, second = 0;
  IdleChecker checker;
  const auto count_second = [&] {
    ++second;
    return false;
  };
  checker.add(&first, FileIndex(0), [&] {
    ++first;
    entered.set_value();
    may_go.wait();
    return false;
  });
  entered.get_future().wait();
  checker.add(&second, FileIndex(0), count_second);
  checker.add(&second, FileIndex(0), count_second);
  checker.add(&first, FileIndex(0), count_second);  // in progress already
  std::promise<void> last;
  checker.add(&second, FileIndex(1), [&] {
    last.set_value();
    return false;
  });
  go.set_value();
  ASSERT_EQ(last.get_future().wait_for(30s), std::future_status::ready);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST(IdleChecker, StopsBetweenTwoStepsHoweverManyAreLeft) {
  std::promise<void> entered;
  std::atomic<bool> said = false;
  IdleChecker checker;
  checker.add(&said, FileIndex(0), [&] {
    if (!said.exchange(true)) entered.set_value();
    std::this_thread::sleep_for(1ms);
    return true;  // for ever
  });
  entered.get_future().wait();
  checker.stop();
  checker.add(&said, FileIndex(1), [] { return true; });  // comes too late, and is not taken
}

}  // namespace
}  // namespace swarmfs::mount
