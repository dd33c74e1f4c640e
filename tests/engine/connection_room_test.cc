#include "swarm/engine/connection_room.h"

#include <gtest/gtest.h>

#include <vector>

namespace swarmfs::engine {
namespace {

TEST(ConnectionRoom, DialsTakeNobodysPlaceWhoComesIn) {
  ConnectionRoom room(2, nullptr);
  room.count({1, 5});
  EXPECT_FALSE(room.full());
  room.count({2, 0});
  EXPECT_TRUE(room.full());
  EXPECT_FALSE(room.over());
  room.count({3, 0});
  EXPECT_TRUE(room.over());
  room.set_most(3);
  EXPECT_FALSE(room.over());
}

TEST(ConnectionRoom, TorrentsShareWhatIsThereForAll) {
  const auto common = std::make_shared<CommonRoom>();
  ConnectionRoom a(10, common);
  EXPECT_FALSE(a.others_in_the_way());
  common->most = 4;
  {
    ConnectionRoom b(10, common);
    a.count({2, 1});
    EXPECT_FALSE(b.others_in_the_way());
    b.count({0, 1});
    EXPECT_TRUE(a.others_in_the_way());
    EXPECT_FALSE(a.full()) << "dials alone fill nothing";
    b.count({3, 0});
    EXPECT_TRUE(a.full());
    EXPECT_TRUE(a.over());
  }
  EXPECT_EQ(common->now.established, 2U) << "a torrent that ends gives its places back";
  EXPECT_FALSE(a.full());
  EXPECT_FALSE(a.others_in_the_way());
}

TEST(ConnectionRoom, BothEndsAgreeOnTheRank) {
  wire::ClientId a{}, b{}, c{};
  b[19] = 1;
  c[0] = 1;
  EXPECT_EQ(pair_rank(a, b), pair_rank(b, a));
  EXPECT_NE(pair_rank(a, b), pair_rank(a, c));
}

TEST(ConnectionRoom, SharesAreFairToThoseWithFew) {
  const auto share = [](std::vector<unsigned> has, unsigned most) { return fair_share(has, most); };
  EXPECT_EQ(share({}, 5), 5U);
  EXPECT_EQ(share({3, 3}, 6), 6U) << "nobody has too many";
  EXPECT_EQ(share({3, 3}, 5), 2U);
  EXPECT_EQ(share({1, 100, 100}, 21), 10U);
  EXPECT_EQ(share({100, 0, 100}, 1), 0U);
}

}  // namespace
}  // namespace swarmfs::engine
