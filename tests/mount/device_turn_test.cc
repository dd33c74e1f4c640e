// One thread at a time takes requests, and nobody waits for a turn that does not come.
#include "mount/device_turn.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace swarmfs::mount {
namespace {

TEST(DeviceTurn, IsKeptUntilItIsPassed) {
  DeviceTurn turn;
  EXPECT_EQ(turn.holder(), std::thread::id());
  ASSERT_TRUE(turn.take());
  ASSERT_TRUE(turn.take());  // still the caller's
  EXPECT_EQ(turn.holder(), std::this_thread::get_id());
  std::thread other([&] {
    turn.pass();  // not its own to pass
    EXPECT_TRUE(turn.take());
    turn.pass();
  });
  EXPECT_EQ(turn.holder(), std::this_thread::get_id());
  turn.pass();
  other.join();
  EXPECT_EQ(turn.holder(), std::thread::id());
  EXPECT_TRUE(turn.take());
}

TEST(DeviceTurn, IsOneThreadsAtATime) {
  DeviceTurn turn;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  int turns = 0;  // guarded by the turn
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(turn.take());
        const int now = ++inside;
        if (now > most) most = now;
        ++turns;
        --inside;
        turn.pass();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(turns, 8000);
}

TEST(DeviceTurn, EndsForThoseThatWaitAndForWhoHasIt) {
  DeviceTurn turn;
  ASSERT_TRUE(turn.take());
  std::atomic<int> left{0};
  std::vector<std::thread> waiting;
  for (int t = 0; t < 3; ++t)
    waiting.emplace_back([&] {
      EXPECT_FALSE(turn.take());
      ++left;
    });
  turn.end();
  for (auto& thread : waiting) thread.join();
  EXPECT_EQ(left, 3);
  EXPECT_FALSE(turn.take());
}

}  // namespace
}  // namespace swarmfs::mount
