#include "swarm/net/aside.h"

#include <future>
#include <thread>

#include "tests/net/net_fixture.h"

namespace swarmfs::net {
namespace {

using AsideTest = test::NetTest;

TEST_F(AsideTest, ItsResultComesOnTheLoop) {
  Aside<int> aside(loop.get_executor());
  std::optional<int> got;
  const auto here = std::this_thread::get_id();
  ASSERT_TRUE(aside.run([] { return 7; },
                        [&](int result) {
                          EXPECT_EQ(std::this_thread::get_id(), here);
                          got = result;
                        }));
  EXPECT_FALSE(got);
  EXPECT_TRUE(run_until([&] { return got.has_value(); }));
  EXPECT_EQ(got, 7);
}

TEST_F(AsideTest, NobodyWaitsForWorkThatTakesLong) {
  const auto release = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  bool called = false;
  {
    Aside<int> aside(loop.get_executor());
    ASSERT_TRUE(aside.run(
        [released = release->get_future().share(), ended] {
          released.wait();
          ended->set_value();
          return 1;
        },
        [&](int) { called = true; }));
  }
  release->set_value();
  ended->get_future().wait();
  run_until([] { return false; }, std::chrono::milliseconds(100));
  EXPECT_FALSE(called);
}

TEST_F(AsideTest, MayBeLetGoOfByWhoGetsTheResult) {
  auto aside = std::make_unique<Aside<std::string>>(loop.get_executor());
  std::string got;
  ASSERT_TRUE(aside->run([] { return std::string(100, 'x'); },
                         [&](std::string result) {
                           aside.reset();
                           got = std::move(result);
                         }));
  EXPECT_TRUE(run_until([&] { return !got.empty(); }));
}

}  // namespace
}  // namespace swarmfs::net
