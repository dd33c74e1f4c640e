// Peers that hang up on what comes along with a handshake, as aria2 does.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/net/peer_dialer.h"
#include "swarm/net/route.h"
#include "swarm/wire/handshake.h"
#include "tests/net/memory_stream.h"

namespace swarmfs::net {
namespace {

namespace asio = boost::asio;
using test::MemoryStream;

const Endpoint kPeer{*IpAddress::parse("192.0.2.1"), 6881};
const std::string kOurs = "ours" + std::string(wire::kHandshakeSize - 4, '.');
const std::string kTheirs = "them" + std::string(wire::kHandshakeSize - 4, '.');

/// What all peers of a test have in common.
struct Script {
  bool strict = true;         ///< hangs up on what comes along with a handshake
  bool changes_name = false;  ///< has another handshake each time
  int connections = 0;
  std::string heard;  ///< by the last one, behind the handshake
};

/// Answers a handshake, then everything with the same in capitals.
class Peer : public std::enable_shared_from_this<Peer> {
 public:
  Peer(std::unique_ptr<MemoryStream> stream, Script& script)
      : stream_(std::move(stream)), script_(script) {
    ++script_.connections;
    script_.heard.clear();
  }
  void listen() {
    stream_->wait_readable([self = shared_from_this()] { self->hear(); });
  }

 private:
  void say(std::string text) {
    const iovec part{text.data(), text.size()};
    ASSERT_EQ(stream_->write({&part, 1}), static_cast<ssize_t>(text.size()));
  }
  void hear() {
    std::array<std::uint8_t, 4096> buffer;
    const ssize_t n = stream_->read(buffer);
    if (n <= 0) return;
    std::string text(buffer.begin(), buffer.begin() + n);
    if (!greeted_) {
      greeted_ = true;
      EXPECT_EQ(text.substr(0, kOurs.size()), kOurs);
      say((script_.changes_name ? std::to_string(script_.connections) : "t") + kTheirs.substr(1));
      if (script_.strict && text.size() > kOurs.size()) return stream_->close();
      text.erase(0, kOurs.size());
    }
    script_.heard += text;
    std::ranges::transform(text, text.begin(), ::toupper);
    if (!text.empty()) say(text);
    listen();
  }

  std::unique_ptr<MemoryStream> stream_;
  Script& script_;
  bool greeted_ = false;
};

class Transport final : public PeerTransport {
 public:
  Transport(asio::io_context& io, Script& script) : io_(io), script_(script) {}
  std::unique_ptr<Attempt> connect(const Endpoint&, Done done) override {
    auto [ours, theirs] = MemoryStream::pair(io_.get_executor(), 4096);
    std::make_shared<Peer>(std::move(theirs), script_)->listen();
    asio::post(io_, [done = std::move(done),
                     stream = std::make_shared<std::unique_ptr<MemoryStream>>(std::move(ours))] {
      done(Connected{std::move(*stream), std::nullopt});
    });
    return std::make_unique<Attempt>();
  }

 private:
  asio::io_context& io_;
  Script& script_;
};

/// Who dials: says a handshake and more at once, and hears what comes.
class Caller {
 public:
  Caller(asio::io_context& io, PeerDialer& dialer) {
    dial_ = dialer.dial(kPeer, Sha1Hash{}, [this](Result<PeerDialer::Dialled> dialled) {
      ASSERT_TRUE(dialled);
      stream_ = std::move(dialled->stream);
      say(kOurs);
      say("hello ");
      say("peer");
      listen();
    });
    io.restart();
    io.run();
  }
  const std::string& heard() const { return heard_; }
  bool ended() const { return ended_; }

 private:
  void say(std::string text) {
    const iovec part{text.data(), text.size()};
    ASSERT_EQ(stream_->write({&part, 1}), static_cast<ssize_t>(text.size()));
  }
  void listen() {
    stream_->wait_readable([this] {
      std::array<std::uint8_t, 7> buffer;  // so that a handshake comes in parts
      const ssize_t n = stream_->read(buffer);
      if (n > 0) heard_.append(buffer.begin(), buffer.begin() + n);
      ended_ = n == 0 || (n < 0 && errno != EAGAIN);
      if (!ended_) listen();
    });
  }

  std::unique_ptr<PeerDialer::Dial> dial_;
  std::unique_ptr<PeerStream> stream_;
  std::string heard_;
  bool ended_ = false;
};

class OpeningTest : public testing::TestWithParam<Encryption> {
 protected:
  OpeningTest() {
    std::vector<PeerDialer::Lane> lanes;
    lanes.push_back({std::make_unique<Transport>(io_, script_), Duration{}});
    dialer_.set_lanes(std::move(lanes));
  }
  asio::io_context io_;
  Script script_;
  PeerDialer dialer_{io_.get_executor(), Route::plain(), GetParam()};
};

TEST_P(OpeningTest, AllIsSaidAtOnceToWhoTakesIt) {
  script_.strict = false;
  const Caller caller(io_, dialer_);
  EXPECT_EQ(script_.connections, 1);
  EXPECT_EQ(script_.heard, "hello peer");
  EXPECT_EQ(caller.heard(), kTheirs + "HELLO PEER");
}

TEST_P(OpeningTest, AllIsSaidAgainToWhoHangsUpOnMoreThanAHandshake) {
  const Caller caller(io_, dialer_);
  EXPECT_EQ(script_.connections, 2);
  EXPECT_EQ(script_.heard, "hello peer");
  EXPECT_EQ(caller.heard(), kTheirs + "HELLO PEER") << "its handshake is heard once";
  EXPECT_FALSE(caller.ended());
}

TEST_P(OpeningTest, WhoDidIsKnownTheNextTime) {
  { const Caller first(io_, dialer_); }
  script_.connections = 0;
  const Caller second(io_, dialer_);
  EXPECT_EQ(script_.connections, 1);
  EXPECT_EQ(second.heard(), kTheirs + "HELLO PEER");
}

TEST_P(OpeningTest, WhoIsAnotherByThenIsLeft) {
  script_.changes_name = true;
  const Caller caller(io_, dialer_);
  EXPECT_EQ(script_.connections, 2);
  EXPECT_EQ(caller.heard(), "1" + kTheirs.substr(1));
  EXPECT_TRUE(caller.ended());
}

INSTANTIATE_TEST_SUITE_P(PlainFirst, OpeningTest,
                         testing::Values(Encryption::prefer, Encryption::forbid));

}  // namespace
}  // namespace swarmfs::net
