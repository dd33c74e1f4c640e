// MSE streams over streams with hardly any room: every byte comes, in order, whatever is taken at
// a time.
#include "swarm/net/mse_stream.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <random>

#include "tests/net/memory_stream.h"

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;
using wire::mse::kPlain;
using wire::mse::kRc4;

Sha1Hash some_torrent() {
  Sha1Hash hash;
  hash.fill(0x5a);
  return hash;
}

wire::mse::Responder::FindTorrent finds(bool it) {
  return [it](const Sha1Hash& key) -> std::optional<Sha1Hash> {
    if (!it || key != wire::mse::torrent_key(some_torrent())) return std::nullopt;
    return some_torrent();
  };
}

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  Bytes out(size);
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random() >> 8);
  return out;
}

/// Writes all of `out` and reads whatever comes, in pieces of random sizes.
class Talker {
 public:
  Talker(PeerStream& stream, Bytes out, unsigned seed)
      : stream_(stream), out_(std::move(out)), random_(seed) {}

  void start() {
    write();
    listen();
  }
  const Bytes& heard() const { return heard_; }
  bool said_all() const { return said_ == out_.size(); }
  int error() const { return error_; }

 private:
  void write() {
    while (said_ < out_.size()) {
      // Two parts, as a header and its payload.
      const std::size_t most = std::min<std::size_t>(out_.size() - said_, 1 + random_() % 70'000);
      const std::size_t first = random_() % (most + 1);
      const std::array<iovec, 2> parts = {
          {{out_.data() + said_, first}, {out_.data() + said_ + first, most - first}}};
      const ssize_t n = stream_.write(parts);
      if (n < 0 && errno != EAGAIN) {
        error_ = errno;
        return;
      }
      if (n > 0) said_ += static_cast<std::size_t>(n);
      if (n < static_cast<ssize_t>(most)) return stream_.wait_writable([this] { write(); });
    }
  }
  void listen() {
    stream_.wait_readable([this] {
      Bytes buffer(1 + random_() % 5000);
      const ssize_t n = stream_.read(buffer);
      if (n < 0 && errno != EAGAIN) error_ = errno;
      if (n > 0) heard_.insert(heard_.end(), buffer.begin(), buffer.begin() + n);
      if (error_ == 0 && n != 0) listen();
    });
  }

  PeerStream& stream_;
  Bytes out_, heard_;
  std::minstd_rand random_;
  std::size_t said_ = 0;
  int error_ = 0;
};

struct Conversation {
  Conversation(std::size_t room, std::uint32_t provide, std::uint32_t allow, bool known,
               std::size_t first = 0, unsigned seed = 1) {
    auto [near_end, far_end] = test::MemoryStream::pair(loop.get_executor(), room);
    a = MseStream::initiate(loop.get_executor(), std::move(near_end), some_torrent(), provide);
    Bytes taken(first);
    if (first > 0) {
      const ssize_t n = far_end->read(taken);
      taken.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    b = MseStream::respond(loop.get_executor(), std::move(far_end), taken, allow, finds(known));
    const std::size_t size = room < 1000 ? 8'000 : 160'000;  // more than the stream's own buffer
    from_a = random_bytes(size + seed, seed);
    from_b = random_bytes(size / 2 + seed, seed + 1);
  }
  void run() {
    Talker talks_a(*a, from_a, 3);
    Talker talks_b(*b, from_b, 4);
    talks_a.start();
    talks_b.start();
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < end && loop.run_one() > 0) {
      if (talks_a.heard().size() >= from_b.size() && talks_b.heard().size() >= from_a.size()) break;
      if (talks_a.error() != 0) a->close();
      if (talks_b.error() != 0) b->close();
    }
    heard_a = talks_a.heard();
    heard_b = talks_b.heard();
    error_a = talks_a.error();
    error_b = talks_b.error();
    encrypted_a = a->link().encrypted;
    encrypted_b = b->link().encrypted;
    a->close();
    b->close();
    loop.restart();
    loop.run();
  }

  boost::asio::io_context loop{1};
  std::unique_ptr<MseStream> a, b;
  Bytes from_a, from_b, heard_a, heard_b;
  int error_a = 0, error_b = 0;
  bool encrypted_a = false, encrypted_b = false;
};

TEST(MseStream, CarriesEveryByteWhateverRoomThereIs) {
  unsigned seed = 1;
  for (const std::size_t room : {1U, 7U, 68U, 1000U, 200'000U})
    for (const std::uint32_t provide : {kRc4, kPlain, kRc4 | kPlain}) {
      Conversation talk(room, provide, kRc4 | kPlain, true, 0, ++seed);
      talk.run();
      ASSERT_TRUE(talk.heard_b == talk.from_a) << room << " " << provide;
      ASSERT_TRUE(talk.heard_a == talk.from_b) << room << " " << provide;
      EXPECT_EQ(talk.encrypted_a, provide != kPlain);
      EXPECT_EQ(talk.encrypted_b, provide != kPlain);
    }
}

TEST(MseStream, GoesOnWithWhatWasReadOfItAlready) {
  for (const std::size_t first : {1U, 20U, 68U}) {
    Conversation talk(1000, kRc4, kRc4, true, first);
    talk.run();
    EXPECT_TRUE(talk.heard_b == talk.from_a);
    EXPECT_TRUE(talk.heard_a == talk.from_b);
  }
}

TEST(MseStream, AHandshakeThatFailsIsAnErrorOfBothWays) {
  Conversation unknown(1000, kRc4, kRc4, false);
  unknown.run();
  EXPECT_EQ(unknown.error_b, EPROTO);
  EXPECT_NE(unknown.error_a, 0) << "it was hung up on";
  EXPECT_TRUE(unknown.heard_a.empty());
  EXPECT_TRUE(unknown.heard_b.empty());
  Conversation nothing_in_common(1000, kPlain, kRc4, true);
  nothing_in_common.run();
  EXPECT_EQ(nothing_in_common.error_b, EPROTO);
  EXPECT_TRUE(nothing_in_common.heard_b.empty());
}

TEST(MseStream, NothingIsCalledBackAfterItIsGone) {
  for (int steps = 0; steps < 40; ++steps) {
    Conversation talk(50, kRc4, kRc4, true);
    bool gone = false;
    talk.a->wait_readable([&] { EXPECT_FALSE(gone); });
    talk.a->wait_writable([&] { EXPECT_FALSE(gone); });
    for (int i = 0; i < steps; ++i) talk.loop.poll_one();
    talk.a.reset();
    gone = true;
    talk.b.reset();
    talk.loop.restart();
    talk.loop.run();
  }
}

}  // namespace
}  // namespace swarmfs::net
