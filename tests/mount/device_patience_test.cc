// Who reads the device looks again only where that has been worth it.
#include "mount/device_patience.h"

#include <gtest/gtest.h>

namespace swarmfs::mount {
namespace {

using std::chrono::microseconds;

class Patience : public ::testing::Test {
 protected:
  /// A request comes that long after the last answer, and is answered in a microsecond.
  void request_after(Duration gap) {
    now_ += gap;
    patience_.taken(now_);
    now_ += microseconds(1);
    patience_.answered(now_);
  }
  void requests(int count, Duration gap) {
    for (int i = 0; i < count; ++i) request_after(gap);
  }
  /// For how long it is looked if nothing comes, looking once a microsecond.
  Duration looks() {
    Duration looked{};
    while (patience_.look_again(now_ + looked)) looked += microseconds(1);
    now_ += looked;
    return looked;
  }

  TimePoint now_{std::chrono::hours(1)};
  DevicePatience patience_;
};

TEST_F(Patience, NobodyLooksAtFirst) {
  EXPECT_EQ(looks(), Duration::zero());
  request_after(microseconds(5));
  EXPECT_EQ(looks(), Duration::zero());
}

TEST_F(Patience, IsHadWithWhoAsksAgainAtOnceAndEnds) {
  requests(DevicePatience::kTrust + 1, microseconds(5));
  EXPECT_EQ(looks(), DevicePatience::kLook);
}

TEST_F(Patience, IsLostWithLooksInVain) {
  requests(100, microseconds(5));  // trust does not grow without end
  int looked = 0;
  while (looks() > Duration::zero()) ++looked;
  EXPECT_GE(looked, 1);
  EXPECT_LE(looked, 5);
}

TEST_F(Patience, IsNotHadWithWhoAsksSeldom) {
  requests(1000, DevicePatience::kQuick);
  EXPECT_EQ(looks(), Duration::zero());
  requests(DevicePatience::kTrust + 1, microseconds(50));
  ASSERT_GT(looks(), Duration::zero());
  request_after(std::chrono::milliseconds(1));
  EXPECT_EQ(looks(), Duration::zero());
}

TEST_F(Patience, LastsThroughAWalk) {
  requests(DevicePatience::kTrust + 1, microseconds(5));
  for (int i = 0; i < 1000; ++i) {
    now_ += microseconds(10);
    ASSERT_TRUE(patience_.look_again(now_)) << i;
    request_after(microseconds(1));
  }
}

}  // namespace
}  // namespace swarmfs::mount
