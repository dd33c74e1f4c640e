// What a connection sends, and in which order, over a stream that takes little at a time.
#include "swarm/net/peer_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "tests/net/memory_stream.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;

class PeerConnectionTest : public testing::Test {
 protected:
  /// `room`: bytes that the stream takes at a time.
  void open(std::size_t room) {
    auto [ours, theirs] = MemoryStream::pair(loop.get_executor(), room);
    far_ = std::move(theirs);
    PeerConnection::Events events;
    events.on_bytes = [](ByteView) {};
    events.on_closed = [] {};
    events.congested = [] { return false; };
    events.on_block_sent = [this](const wire::BlockRef& block, bool) {
      left.push_back(block.begin);
      if (on_left) on_left(block);
    };
    connection = std::make_shared<PeerConnection>(loop.get_executor(), std::move(ours), events);
    connection->start();
  }
  ~PeerConnectionTest() override {
    if (connection) connection->close();
  }

  /// A block of so many bytes, all of them `letter`; it has `begin` as its name.
  std::shared_ptr<PeerConnection::Slot> block(std::uint32_t begin) {
    return connection->reserve_block({PieceIndex(0), begin, kBlock});
  }
  void fill(const std::shared_ptr<PeerConnection::Slot>& slot, char letter) {
    auto bytes = std::make_shared<Bytes>(kBlock, static_cast<std::uint8_t>(letter));
    connection->fill_block(slot, bytes, ByteView(*bytes));
  }
  void say(char letter, bool behind_blocks = false) {
    connection->send(Bytes(3, static_cast<std::uint8_t>(letter)), behind_blocks);
  }
  /// Flushes, and reads at the other end until nothing comes: each run of equal letters as one,
  /// heads of blocks left out.
  std::string flush() {
    connection->flush();
    Bytes all;
    for (bool more = true; more;) {
      loop.poll();
      loop.restart();
      Bytes some(30'000);
      const ssize_t n = far_->read(some);
      more = n > 0;
      if (more) all.insert(all.end(), some.begin(), some.begin() + n);
    }
    std::string runs;
    for (std::size_t at = 0; at < all.size();) {
      Bytes head;
      wire::append_piece_header(head, {PieceIndex(0), 0, kBlock});
      if (all[at] == 0) {
        at += head.size();
        continue;
      }
      const std::size_t begin = at;
      while (at < all.size() && all[at] == all[begin]) ++at;
      EXPECT_TRUE(at - begin == 3 || at - begin == kBlock) << "cut: " << at - begin;
      runs += static_cast<char>(all[begin]);
    }
    return runs;
  }

  static constexpr std::uint32_t kBlock = 2500;
  boost::asio::io_context loop;
  std::shared_ptr<PeerConnection> connection;
  std::vector<std::uint32_t> left;
  std::function<void(const wire::BlockRef&)> on_left;

 private:
  std::unique_ptr<MemoryStream> far_;
};

TEST_F(PeerConnectionTest, MessagesOvertakeBlocksThatHaveNotBegunToLeave) {
  open(1000);
  say('a');
  fill(block(1), 'X');
  fill(block(2), 'Y');
  connection->flush();  // the message goes, and some of X
  say('b');
  say('c');
  EXPECT_EQ(flush(), "aXbcY");
  EXPECT_THAT(left, testing::ElementsAre(1, 2));
}

TEST_F(PeerConnectionTest, MessagesDoNotWaitForTheDisk) {
  open(1000);
  const auto slow = block(1);
  say('a');
  EXPECT_EQ(flush(), "a");
  say('b');
  EXPECT_EQ(flush(), "b");
  fill(slow, 'X');
  EXPECT_EQ(flush(), "X");
}

TEST_F(PeerConnectionTest, WhatComesBehindBlocksStaysThereAndMessagesKeepTheirOrder) {
  open(1000);
  fill(block(1), 'X');
  say('a', true);
  fill(block(2), 'Y');
  say('b');
  EXPECT_EQ(flush(), "XabY");
}

TEST_F(PeerConnectionTest, WhatIsSaidWhenABlockHasLeftIsInFrontOfTheOthersAndCutsNoneOfThem) {
  open(30'000);  // in one write: all of them have left when the first is told of
  for (std::uint32_t i = 1; i <= 6; ++i) fill(block(i), static_cast<char>('U' + i));
  on_left = [this](const wire::BlockRef& gone) {
    say(static_cast<char>('a' + gone.begin));
    if (gone.begin == 2) fill(block(9), 'Q');
  };
  const std::string sent = flush();
  std::string sorted = sent;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, "QVWXYZ[bcdefgj");
  EXPECT_THAT(left, testing::ElementsAre(1, 2, 3, 4, 5, 6, 9));
}

}  // namespace
}  // namespace swarmfs::net::test
