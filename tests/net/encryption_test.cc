// Sessions with every policy of encryption towards each other, and what others see of them.
#include <gtest/gtest.h>

#include <boost/asio/read.hpp>
#include <thread>

#include "tests/net/session_node.h"

namespace swarmfs::net {
namespace {

using metainfo::Format;
using test::Node;
using test::Stranger;
using test::asio::ip::tcp;
using namespace std::chrono_literals;

constexpr Encryption kAll[] = {Encryption::prefer, Encryption::require, Encryption::forbid};
constexpr const char* kNames[] = {"prefer", "require", "forbid"};
constexpr const char* kHere = "127.0.0.1:0";

/// The leech's connection while it still fetches: it is held back for that.
std::vector<engine::PeerView> peers_of(Node& node) {
  for (int i = 0; i < 1000; ++i) {
    if (auto peers = node.peers(); !peers.empty()) return peers;
    std::this_thread::sleep_for(2ms);
  }
  return {};
}

TEST(Encryption, EveryPolicyMeetsEveryOther) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid})
    for (const Encryption dials : kAll)
      for (const Encryption accepts : kAll) {
        SCOPED_TRACE(std::string(kNames[static_cast<int>(dials)]) + " dials " +
                     kNames[static_cast<int>(accepts)]);
        const auto content = swarmfs::test::make_content(format, 64 << 10, {1'500'000, 77});
        Node seed(content, true, {}, kHere, accepts);
        Node leech(content, false, {}, kHere, dials);
        leech.driver().set_limits({2'000'000, 0});
        leech.driver().query([&](const auto&) {
          leech.driver().add_candidates({seed.endpoint()}, engine::PeerSource::user);
        });
        const bool never =
            dials != accepts && dials != Encryption::prefer && accepts != Encryption::prefer;
        if (never) {
          EXPECT_FALSE(leech.complete(400ms));
          EXPECT_EQ(leech.stats().downloaded, 0U);
          EXPECT_EQ(seed.stats().uploaded, 0U);
          continue;
        }
        const auto peers = peers_of(leech);
        ASSERT_EQ(peers.size(), 1U);
        const bool encrypted = dials == Encryption::require || accepts == Encryption::require;
        EXPECT_EQ(peers.front().link.encrypted, encrypted);
        EXPECT_EQ(peers.front().link.transport, "tcp");
        leech.driver().set_limits({});
        ASSERT_TRUE(leech.complete());
        test::expect_same(leech, content);
      }
}

/// Takes connections and keeps what it is sent; says nothing.
class Ear {
 public:
  Ear() : acceptor_(io_, tcp::endpoint(test::asio::ip::address_v4::loopback(), 0)) {}
  Endpoint endpoint() const {
    return {*IpAddress::parse("127.0.0.1"), acceptor_.local_endpoint().port()};
  }
  /// The next connection's first bytes, at least `size` of them unless it ends before.
  std::string hear(std::size_t size) {
    tcp::socket socket(io_);
    acceptor_.accept(socket);
    std::string heard(size, '\0');
    boost::system::error_code ended;
    heard.resize(test::asio::read(socket, test::asio::buffer(heard), ended));
    return heard;
  }

 private:
  test::asio::io_context io_;
  tcp::acceptor acceptor_;
};

TEST(Encryption, WhoPrefersItAsksPlainFirstAndEncryptedWhenHungUpOn) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {500'000});
  Ear ear;
  Node leech(content, false, {ear.endpoint()}, kHere, Encryption::prefer);
  const std::string plain = ear.hear(68);
  EXPECT_EQ(as_bytes(plain).size(), 68U);
  EXPECT_EQ(plain.substr(0, 20), as_text(wire::protocol_name()));
  const auto hung_up = std::chrono::steady_clock::now();
  const std::string encrypted = ear.hear(96);
  EXPECT_LT(std::chrono::steady_clock::now() - hung_up, 900ms) << "before any retry";
  EXPECT_EQ(encrypted.size(), 96U);
  EXPECT_EQ(encrypted.find("BitTorrent"), std::string::npos);
}

TEST(Encryption, WhoRequiresItNeverSaysAPlainByte) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {500'000});
  Ear ear;
  Node leech(content, false, {ear.endpoint()}, kHere, Encryption::require);
  for (int tries = 0; tries < 2; ++tries) {
    const std::string heard = ear.hear(96);
    ASSERT_EQ(heard.size(), 96U);
    EXPECT_EQ(heard.find("BitTorrent"), std::string::npos);
  }
  Stranger plain(leech.endpoint());
  plain.say(test::handshake_for(content));
  EXPECT_TRUE(plain.closed_within(5s));
  EXPECT_EQ(plain.heard(), 0U) << "not even a handshake";
}

TEST(Encryption, WhoForbidsItTakesNoKeys) {
  const auto content = swarmfs::test::make_content(Format::v1, 64 << 10, {500'000});
  Node seed(content, true, {}, kHere, Encryption::forbid);
  Stranger stranger(seed.endpoint());
  stranger.say(Bytes(96, 'k'));
  EXPECT_TRUE(stranger.closed_within(5s));
  EXPECT_EQ(stranger.heard(), 0U);
}

TEST(Encryption, StrangersThatShakeHandsHalfwayKeepNobodyOut) {
  const auto content = swarmfs::test::make_content(Format::hybrid, 64 << 10, {1'000'000});
  Node seed(content, true, {}, kHere, Encryption::require);
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (std::size_t i = 0; i < 300; ++i) {
    strangers.push_back(std::make_unique<Stranger>(seed.endpoint()));
    strangers.back()->say(Bytes(i % 3 == 0 ? 1 : i % 3 == 1 ? 95 : 300, 'k'));
  }
  Node leech(content, false, {seed.endpoint()}, kHere, Encryption::require);
  ASSERT_TRUE(leech.complete());
  test::expect_same(leech, content);
}

}  // namespace
}  // namespace swarmfs::net
