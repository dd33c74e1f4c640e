// What strangers may send, and how connections begin and end.
#include "swarm/utp/mux.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/utp/link_world.h"

namespace swarmfs::test {
namespace {

using namespace std::chrono_literals;

Endpoint endpoint(std::uint8_t n) { return {IpAddress::v4({10, 0, 0, n}), 6881}; }

class UtpMux : public testing::Test {
 protected:
  UtpMux() {
    a.connect_to(b, ab);
    b.connect_to(a, ba);
    b.on_accepted = [this](utp::Socket& socket) {
      server = std::make_unique<Party>(b, socket, 2, 1000, 1);
    };
  }
  void connect() {
    client = std::make_unique<Party>(a, *a.mux().connect(b.self(), a.clock()), 1, 1000, 2);
    a.flush();
  }
  void run(Duration time) { timeline.run_until(timeline.now() + time); }
  /// A packet to `a` as if from `b`, of the one connection there is.
  Bytes packet(utp::PacketType type, std::uint16_t id, std::uint16_t seq, std::uint16_t ack) {
    utp::Packet made;
    made.type = type;
    made.connection = id;
    made.seq = seq;
    made.ack = ack;
    made.window = 1 << 20;
    Bytes out(utp::kHeaderSize);
    write_packet_head(out, made);
    return out;
  }

  Timeline timeline;
  LinkShape shape{.delay = 20ms};
  Link ab{timeline, shape, 1}, ba{timeline, shape, 2};
  UtpHost a{timeline, endpoint(1), 1}, b{timeline, endpoint(2), 2};
  std::unique_ptr<Party> client, server;
};

TEST_F(UtpMux, ConnectsAndEndsInOrder) {
  connect();
  run(1s);
  ASSERT_TRUE(server);
  EXPECT_EQ(client->received, 1000U);
  EXPECT_EQ(server->received, 1000U);
  EXPECT_EQ(client->wrong + server->wrong, 0U);
  client->close();
  a.flush();
  run(1s);
  EXPECT_TRUE(server->ended);
  server->close();
  b.flush();
  run(1s);
  EXPECT_EQ(a.mux().size() + b.mux().size(), 0U);
}

TEST_F(UtpMux, SaysAgainThatItEndsWhenThatWasLost) {
  connect();
  run(1s);
  LinkShape cut = shape;
  cut.loss = 1;
  ab.set(cut);
  client->close();
  a.flush();
  run(10ms);
  ab.set(shape);
  run(1s);
  EXPECT_EQ(ab.lost, 1U);
  EXPECT_TRUE(server->ended);
}

TEST_F(UtpMux, HearsAtOnceThatThereIsNoSuchConnection) {
  connect();
  run(1s);
  server.reset();
  b.mux().shutdown(b.clock());
  run(1s);
  EXPECT_EQ(client->error, ECONNRESET);
}

TEST_F(UtpMux, GivesUpOnWhoDoesNotAnswer) {
  ab.set({.loss = 1});
  connect();
  run(11s);
  EXPECT_EQ(client->error, ETIMEDOUT);
}

TEST_F(UtpMux, GivesUpOnWhoHasGoneSilent) {
  connect();
  run(1s);
  ab.set({.loss = 1});
  ba.set({.loss = 1});
  int error = 0;
  client->socket()->write(Bytes(100), error);
  a.mux().touch(*client->socket());
  a.flush();
  run(150s);
  EXPECT_EQ(client->error, ETIMEDOUT);
}

TEST_F(UtpMux, IgnoresAResetThatDoesNotKnowTheNumbers) {
  connect();
  run(1s);
  const std::uint16_t id = client->socket()->receive_id();
  for (std::uint16_t ack = 1000; ack < 31000; ack += 100)
    a.receive(b.self(), packet(utp::PacketType::reset, id, 1, ack));
  EXPECT_EQ(client->error, 0);
  // The numbers of a connection that we opened begin at 1.
  a.receive(b.self(), packet(utp::PacketType::reset, id, 1, 2));
  EXPECT_EQ(client->error, ECONNRESET);
}

TEST_F(UtpMux, AnswersStrangersLittleAndResetsNever) {
  for (std::uint16_t id = 0; id < 1000; ++id) {
    a.receive(b.self(), packet(utp::PacketType::data, id, 1, 1));
    a.receive(b.self(), packet(utp::PacketType::reset, id, 1, 1));
  }
  EXPECT_EQ(a.sent_datagrams, utp::Mux::kMaxResets);
}

TEST_F(UtpMux, KeepsABoundedNumberOfThoseWhoOnlyKnock) {
  for (std::uint32_t n = 0; n < 3000; ++n)
    b.receive(
        {IpAddress::v4({10, 9, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}),
         7000},
        packet(utp::PacketType::syn, 7, 1, 0));
  EXPECT_EQ(b.sent_datagrams, 3000U);  // one for one, and none larger
  EXPECT_LE(b.mux().size(), utp::Mux::kMaxHalfOpen);
  EXPECT_FALSE(server);
  connect();
  run(1s);
  ASSERT_TRUE(server);
  EXPECT_EQ(client->received, 1000U);
  run(11s);
  EXPECT_EQ(b.mux().size(), 1U);
}

TEST_F(UtpMux, WaitsForAReaderAndGoesOn) {
  connect();
  run(1s);
  server->reads = false;
  std::uint64_t filled = 0;
  int error = 0;
  for (int i = 0; i < 200; ++i) {
    const auto n = client->socket()->write(Bytes(64 << 10), error);
    filled += static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(n, 0));
    a.mux().touch(*client->socket());
    a.flush();
    run(100ms);
  }
  EXPECT_LT(filled, utp::Receiver::kMaxHeld + (1 << 20));
  run(30s);  // the window is probed meanwhile
  server->reads = true;
  server->changed();
  b.flush();
  run(70s);
  EXPECT_EQ(server->received, 1000 + filled);
}

}  // namespace
}  // namespace swarmfs::test
