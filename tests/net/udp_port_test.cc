#include "swarm/net/udp_port.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "tests/net/net_fixture.h"

namespace swarmfs::net {
namespace {

using test::NetTest;

class UdpPortTest : public NetTest {
 protected:
  std::unique_ptr<UdpPort> open(const char* where) {
    auto port = UdpPort::open(loop.get_executor(), Route::plain(), *Endpoint::parse(where));
    EXPECT_TRUE(port) << port.error().message;
    return port ? std::move(*port) : nullptr;
  }
  /// Keeps what comes as text.
  static UdpPort::Handler into(std::vector<std::string>& kept) {
    return [&kept](const Endpoint&, MutableByteView datagram) {
      kept.emplace_back(as_text(datagram));
    };
  }
};

TEST_F(UdpPortTest, TellsTheHashTablesDatagramsFromOthers) {
  const auto from = open("127.0.0.1:0");
  const auto to = open("127.0.0.1:0");
  std::vector<std::string> dht, other;
  Endpoint sender;
  to->set_handler(UdpPort::Kind::dht, into(dht));
  to->set_handler(UdpPort::Kind::other, [&](const Endpoint& peer, MutableByteView datagram) {
    sender = peer;
    other.emplace_back(as_text(datagram));
  });
  EXPECT_TRUE(from->send(to->local(), as_bytes("d1:y1:qe")));
  const std::string head("\x01\x00", 2);
  std::string body = "body";
  const iovec parts[] = {{const_cast<char*>(head.data()), head.size()}, {body.data(), body.size()}};
  EXPECT_TRUE(from->send(to->local(), parts));
  EXPECT_TRUE(from->send(to->local(), ByteView{}));  // an empty datagram is nobody's
  ASSERT_TRUE(run_until([&] { return dht.size() == 1 && other.size() == 1; }));
  EXPECT_EQ(dht[0], "d1:y1:qe");
  EXPECT_EQ(other[0], head + body);
  EXPECT_EQ(sender, from->local());
}

TEST_F(UdpPortTest, HandsOutABurstInOrderAndSaysWhenABatchEnds) {
  const auto from = open("127.0.0.1:0");
  const auto to = open("127.0.0.1:0");
  std::vector<int> got;
  std::size_t at_batch = 0;
  unsigned batches = 0;
  to->set_handler(UdpPort::Kind::other,
                  [&](const Endpoint&, MutableByteView datagram) { got.push_back(datagram[1]); });
  to->set_on_batch([&] {
    at_batch = got.size();
    ++batches;
  });
  for (std::uint8_t i = 0; i < 150; ++i) ASSERT_TRUE(from->send(to->local(), Bytes{1, i}));
  ASSERT_TRUE(run_until([&] { return at_batch == 150; }));
  std::vector<int> expected(150);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(got, expected);
  EXPECT_GE(batches, 150U / 32U);
}

TEST_F(UdpPortTest, DropsWhatIsTooLongAndGoesOn) {
  const auto from = open("127.0.0.1:0");
  const auto to = open("127.0.0.1:0");
  std::vector<std::string> other;
  to->set_handler(UdpPort::Kind::other, into(other));
  EXPECT_TRUE(from->send(to->local(), Bytes(UdpPort::kLargestDatagram + 1, 'x')));
  EXPECT_TRUE(from->send(to->local(), Bytes(UdpPort::kLargestDatagram, 'y')));
  ASSERT_TRUE(run_until([&] { return !other.empty(); }));
  EXPECT_EQ(other[0], std::string(UdpPort::kLargestDatagram, 'y'));
}

TEST_F(UdpPortTest, AHandlerMayDestroyThePort) {
  const auto from = open("127.0.0.1:0");
  auto to = open("127.0.0.1:0");
  bool destroyed = false;
  to->set_handler(UdpPort::Kind::other, [&](const Endpoint&, MutableByteView) {
    to.reset();
    destroyed = true;
  });
  const Endpoint where = to->local();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(from->send(where, Bytes{1}));
  EXPECT_TRUE(run_until([&] { return destroyed; }));
  EXPECT_TRUE(open(where.to_string().c_str()));  // its address is free again
}

TEST_F(UdpPortTest, SpeaksIpv6AndNamesAnAddressThatIsTaken) {
  auto first = UdpPort::open(loop.get_executor(), Route::plain(), *Endpoint::parse("[::1]:0"));
  if (!first) GTEST_SKIP() << first.error().message;
  const auto to = open("[::1]:0");
  std::vector<std::string> dht;
  to->set_handler(UdpPort::Kind::dht, into(dht));
  EXPECT_TRUE((*first)->send(to->local(), as_bytes("de")));
  EXPECT_TRUE(run_until([&] { return dht.size() == 1; }));
  const auto second = UdpPort::open(loop.get_executor(), Route::plain(), (*first)->local());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::busy);
  EXPECT_NE(second.error().message.find((*first)->local().to_string()), std::string::npos);
}

}  // namespace
}  // namespace swarmfs::net
