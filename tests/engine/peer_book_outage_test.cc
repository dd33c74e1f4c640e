// PeerBook while our own line is down: who is given up, who is tried when, and what the first word
// after it does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "swarm/engine/peer_book.h"
#include "tests/engine/dialled.h"

namespace swarmfs::engine {
namespace {

using namespace std::chrono_literals;
using ::testing::SizeIs;

const TimePoint kStart = TimePoint{} + 1h;

/// Dials whatever is due until `end`, in vain; returns how often that was.
unsigned dial_in_vain(PeerBook& book, TimePoint from, TimePoint end) {
  unsigned dials = 0;
  for (auto due = book.deadline(0, 0); due && std::max(*due, from) < end;
       due = book.deadline(0, 0), ++dials) {
    const TimePoint now = std::max(*due, from);
    const auto address = book.next_dial(now, 0, 0);
    if (!address) break;
    book.on_failed(*address, now);
  }
  return dials;
}

/// Knows nth(1) alone, which was connected for an hour and is lost.
PeerBook one_that_was_lost() {
  PeerBook book({}, 1);
  book.add(nth(1), PeerSource::tracker, kStart);
  EXPECT_TRUE(book.next_dial(kStart, 0, 0));
  book.on_connected(nth(1), kStart);
  book.on_closed(nth(1), kStart + 1h, CloseReason::lost);
  return book;
}

TEST(PeerBookOutage, GivesNobodyUpWhileNobodyIsHeardFrom) {
  PeerBook book({}, 1);
  for (std::uint8_t i = 0; i < 20; ++i) book.add(nth(i), PeerSource::tracker, kStart);
  for (std::uint8_t i = 0; i < 20; ++i) ASSERT_TRUE(book.next_dial(kStart, 0, 0));
  for (std::uint8_t i = 0; i < 10; ++i) book.on_connected(nth(i), kStart);  // the others fail
  for (std::uint8_t i = 10; i < 20; ++i) book.on_failed(nth(i), kStart);
  const TimePoint down = kStart + 1h;
  book.heard(down);
  for (std::uint8_t i = 0; i < 10; ++i) book.on_closed(nth(i), down, CloseReason::lost);
  const TimePoint back = down + 20min;
  const unsigned dials = dial_in_vain(book, down, back);
  EXPECT_EQ(book.sizes().given_up, 10u) << "of those that were never there";
  EXPECT_LT(dials, 10 * 40u) << "but nobody hammers: ten seconds each at first, ever more";
  // The others were there until the line went: that it is back is noticed soon.
  const auto due = book.deadline(0, 0);
  ASSERT_TRUE(due);
  EXPECT_LE(*due, back + 20min / 8);
  const auto first = book.next_dial(*due, 0, 0);
  ASSERT_TRUE(first);
  EXPECT_LT(first->address.bytes()[3], 10);
  book.on_connected(*first, *due);
  EXPECT_THAT(dial_all(book, *due + 1s), SizeIs(19)) << "and then all the others at once";
  // What it did wrong meanwhile is forgotten, if the line goes again at once.
  book.on_closed(*first, *due + 5s, CloseReason::lost);
  EXPECT_EQ(book.sizes().given_up, 0u);
}

TEST(PeerBookOutage, AWordFromTheLocalNetworkInAnOutageGivesNobodyUp) {
  PeerBook book = one_that_was_lost();
  unsigned words = 0;
  for (TimePoint now = kStart; now < kStart + 3h;) {
    now = *book.deadline(1, 0);
    ASSERT_TRUE(book.next_dial(now, 1, 0));
    if (words < 2 && now > kStart + 90min) {
      book.heard(now);
      ++words;
    }
    book.on_failed(nth(1), now + 1s);
  }
  EXPECT_EQ(words, 2u);
  EXPECT_EQ(book.sizes().given_up, 0u);
}

TEST(PeerBookOutage, AGatewayThatHangsUpAtOnceIsNobody) {
  PeerBook book = one_that_was_lost();
  for (int i = 0; i < 20; ++i) {
    const TimePoint now = *book.deadline(0, 0);
    ASSERT_TRUE(book.next_dial(now, 0, 0));
    book.on_closed(nth(1), now + 1s, CloseReason::lost);
  }
  EXPECT_EQ(book.sizes().given_up, 0u);
}

TEST(PeerBookOutage, HurriesNobodyWhoFailedWhileOthersWereHeardFrom) {
  PeerBook book({}, 1);
  for (std::uint8_t i = 0; i < 3; ++i) book.add(nth(i), PeerSource::tracker, kStart);
  for (std::uint8_t i = 0; i < 3; ++i) ASSERT_TRUE(book.next_dial(kStart, 0, 0));
  book.on_connected(nth(0), kStart + 500ms);
  book.on_failed(nth(1), kStart + 1s);
  book.on_failed(nth(2), kStart + 1s);
  EXPECT_EQ(book.deadline(1, 0), kStart + 11s);
  book.on_closed(nth(0), kStart + 2s, CloseReason::useless);
  book.on_incoming(nth(5), kStart + 3s);
  EXPECT_EQ(book.deadline(1, 0), kStart + 11s);
}

}  // namespace
}  // namespace swarmfs::engine
