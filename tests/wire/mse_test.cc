// RC4, and both sides of MSE: against another implementation's bytes, and against each other with
// every way of cutting the stream, wrong keys, garbage and ends at any point.
#include "swarm/wire/mse.h"

#include <gtest/gtest.h>

#include <random>

#include "swarm/base/hex.h"

namespace swarmfs::wire::mse {
namespace {

using State = Exchange::State;

Chance chance(std::uint8_t first, std::size_t pad1, std::size_t pad2) {
  Chance out;
  for (std::uint8_t& byte : out.exponent) byte = first++;
  out.first_pad.assign(pad1, 'p');
  out.second_pad.assign(pad2, 0);
  return out;
}

Sha1Hash torrent(std::uint8_t byte) {
  Sha1Hash hash;
  hash.fill(byte);
  return hash;
}

/// As a session would: looks among the torrents it has.
Responder::FindTorrent among(std::vector<Sha1Hash> torrents) {
  return [torrents = std::move(torrents)](const Sha1Hash& key) -> std::optional<Sha1Hash> {
    for (const Sha1Hash& hash : torrents)
      if (torrent_key(hash) == key) return hash;
    return std::nullopt;
  };
}

Bytes counting(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i);
  return out;
}

/// Gives all of `bytes`, so many at a time.
void give(Exchange& to, ByteView bytes, std::size_t step) {
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(step, bytes.size())))
    to.receive(bytes.first(std::min(step, bytes.size())));
}

/// What each says goes to the other until nobody says anything any more.
void converse(Exchange& a, Exchange& b, std::size_t step) {
  for (bool said = true; std::exchange(said, false);) {
    const Bytes to_b = a.take_output();
    give(b, to_b, step);
    const Bytes to_a = b.take_output();
    give(a, to_a, step);
    said = !to_b.empty() || !to_a.empty();
  }
}

/// The stream goes on in the same key stream at both ends.
void expect_talk(Exchange& a, Exchange& b) {
  for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    ASSERT_EQ(from->writer() == nullptr, to->reader() == nullptr);
    Bytes text = counting(1000);
    if (from->writer() != nullptr) from->writer()->apply(text);
    EXPECT_EQ(text == counting(1000), from->writer() == nullptr);
    if (to->reader() != nullptr) to->reader()->apply(text);
    EXPECT_EQ(text, counting(1000));
  }
}

// RFC 6229.
TEST(Rc4, GivesTheKeyStreamsOfItsTestVectors) {
  const auto stream = [](std::string_view key, std::size_t skip) {
    Bytes zeros(16);
    Rc4(*from_hex(key), skip).apply(zeros);
    return to_hex(zeros);
  };
  EXPECT_EQ(stream("0102030405", 0), "b2396305f03dc027ccc3524a0a1118a8");
  EXPECT_EQ(stream("0102030405", 1024), "30abbcc7c20b01609f23ee2d5f6bb7df");
  EXPECT_EQ(stream("0102030405", 1040), "73262dec31a8a8ff5f9f977001c90b72");
  EXPECT_EQ(stream("0102030405060708090a0b0c0d0e0f10", 0), "9ac7cc9a609d1ef7b2932899cde41b97");
  EXPECT_EQ(stream("0102030405060708090a0b0c0d0e0f10", 1024), "bdf0324e6083dcc6d3cedd3ca8c53c16");
}

// The bytes come from an implementation in Python, written from the specification.
TEST(Mse, SaysWhatAnotherImplementationSays) {
  Initiator a(torrent(0xab), kRc4, chance(1, 3, 2));
  Responder b(kRc4 | kPlain, chance(101, 5, 4), among({torrent(0xab)}));
  EXPECT_EQ(a.add_initial_payload(counting(68)), 68U);
  const Bytes one = a.take_output();
  ASSERT_EQ(one.size(), 99U);
  EXPECT_EQ(to_hex(one).substr(0, 32), "96e112dab29e8c5272accb9b17b26887");
  b.receive(one);
  const Bytes two = b.take_output();
  ASSERT_EQ(two.size(), 101U);
  a.receive(two);
  EXPECT_EQ(a.state(), State::under_way) << "nothing may follow before the answer";
  const Bytes three = a.take_output();
  EXPECT_EQ(to_hex(sha1(three)), "e13b01086e633241f7140c007f44f142cde6d5aa");
  b.receive(three);
  EXPECT_EQ(b.state(), State::done);
  EXPECT_EQ(b.take_payload(), counting(68));
  const Bytes four = b.take_output();
  EXPECT_EQ(to_hex(four), "7e728a8530bb77a2a6ca8d36f520b133c51c");
  a.receive(four);
  EXPECT_EQ(a.state(), State::done);
  Bytes hello(as_bytes("hello").begin(), as_bytes("hello").end());
  a.writer()->apply(hello);
  EXPECT_EQ(to_hex(hello), "b6f234bf6a");
  Bytes world(as_bytes("world").begin(), as_bytes("world").end());
  b.writer()->apply(world);
  EXPECT_EQ(to_hex(world), "ee05395d38");
}

TEST(Mse, AgreesWhateverTheStreamIsCutInto) {
  for (const std::size_t step : {1U, 2U, 7U, 19U, 20U, 95U, 96U, 97U, 140U, 608U, 10'000U})
    for (const std::size_t pad : {0U, 1U, 511U, 512U})
      for (const std::uint32_t provide : {kRc4, kPlain, kRc4 | kPlain}) {
        Initiator a(torrent(7), provide, chance(1, pad, 512 - pad));
        Responder b(kRc4 | kPlain, chance(50, 512 - pad, pad), among({torrent(9), torrent(7)}));
        a.add_initial_payload(counting(68));
        converse(a, b, step);
        ASSERT_EQ(a.state(), State::done) << step << " " << pad << ": " << a.why_failed();
        ASSERT_EQ(b.state(), State::done) << step << " " << pad << ": " << b.why_failed();
        EXPECT_EQ(b.take_payload(), counting(68));
        EXPECT_EQ(a.writer() == nullptr, provide == kPlain);
        expect_talk(a, b);
      }
}

TEST(Mse, WhatFollowsInTheSameDeliveryIsPayload) {
  for (const std::uint32_t allowed : {kRc4, kPlain}) {
    Initiator a(torrent(7), kRc4 | kPlain, chance(1, 30, 0));
    Responder b(allowed, chance(50, 0, 12), among({torrent(7)}));
    b.receive(a.take_output());
    a.receive(b.take_output());
    b.receive(a.take_output());
    Bytes answer = b.take_output();
    Bytes text = counting(300);
    if (b.writer() != nullptr) b.writer()->apply(text);
    append(answer, text);
    a.receive(answer);
    ASSERT_EQ(a.state(), State::done);
    EXPECT_EQ(a.take_payload(), counting(300));
  }
  // The other way, as a client writes that does not wait for message 4.
  Initiator a(torrent(7), kRc4, chance(1, 30, 0));
  Responder b(kRc4, chance(50, 0, 12), among({torrent(7)}));
  a.add_initial_payload(counting(68));
  b.receive(a.take_output());
  a.receive(b.take_output());
  Bytes request = a.take_output();
  Responder twin = b;  // by which the initiator comes to know its key stream
  twin.receive(request);
  a.receive(twin.take_output());
  ASSERT_EQ(a.state(), State::done);
  Bytes text = counting(300);
  a.writer()->apply(text);
  append(request, text);
  b.receive(request);
  Bytes expected = counting(68);
  append(expected, counting(300));
  EXPECT_EQ(b.take_payload(), expected);
}

TEST(Mse, TakesNoMoreInitialPayloadThanOthersDo) {
  Initiator a(torrent(7), kRc4, chance(1, 0, 0));
  EXPECT_EQ(a.add_initial_payload(counting(60)), 60U);
  EXPECT_EQ(a.add_initial_payload(counting(60)), 8U);
  EXPECT_EQ(a.add_initial_payload(counting(60)), 0U);
}

TEST(Mse, BothSidesMustAllowWhatIsSpoken) {
  Initiator a(torrent(7), kPlain, chance(1, 0, 0));
  Responder b(kRc4, chance(50, 0, 0), among({torrent(7)}));
  converse(a, b, 1000);
  EXPECT_EQ(b.state(), State::failed);
  EXPECT_EQ(a.state(), State::under_way) << "it hears no more";
}

TEST(Mse, AnotherTorrentIsRefused) {
  Initiator a(torrent(7), kRc4, chance(1, 0, 0));
  Responder b(kRc4, chance(50, 0, 0), among({torrent(8), torrent(9)}));
  converse(a, b, 1000);
  EXPECT_EQ(b.state(), State::failed);
  EXPECT_EQ(b.why_failed(), "for another torrent");
}

TEST(Mse, ASecretThatBeginsWithAZeroIsNotUsedByTheResponder) {
  int zeros = 0;
  for (std::uint8_t n = 0; n < 255; ++n) {
    Chance theirs = chance(n, 0, 0);
    Chance mine = chance(static_cast<std::uint8_t>(n + 3), 0, 0);
    const auto plain = dh768::shared_secret(dh768::public_key(theirs.exponent), mine.exponent);
    Initiator a(torrent(7), kRc4, theirs);
    Responder b(kRc4, mine, among({torrent(7)}));
    b.receive(a.take_output());
    const Bytes key = b.take_output();
    dh768::Number number;
    std::copy_n(key.begin(), number.size(), number.begin());
    EXPECT_NE((*dh768::shared_secret(number, theirs.exponent))[0], 0);
    if ((*plain)[0] != 0) continue;
    ++zeros;
    a.receive(key);
    converse(a, b, 1000);
    EXPECT_EQ(a.state(), State::done);
    expect_talk(a, b);
  }
  EXPECT_GT(zeros, 0) << "choose other exponents, or this shows nothing";
}

/// All that either side says in a whole handshake.
struct Transcript {
  Bytes of_a, of_b;
};

Transcript transcript() {
  Initiator a(torrent(7), kRc4 | kPlain, chance(1, 20, 30));
  Responder b(kRc4, chance(50, 40, 50), among({torrent(7)}));
  a.add_initial_payload(counting(68));
  Transcript out;
  for (int round = 0; round < 3; ++round) {
    const Bytes to_b = a.take_output();
    append(out.of_a, to_b);
    b.receive(to_b);
    const Bytes to_a = b.take_output();
    append(out.of_b, to_a);
    a.receive(to_a);
  }
  EXPECT_EQ(a.state(), State::done);
  return out;
}

Responder responder() { return Responder(kRc4, chance(50, 40, 50), among({torrent(7)})); }

TEST(Mse, IsNotDoneBeforeItsLastByte) {
  const Transcript all = transcript();
  for (std::size_t n = 0; n < all.of_a.size(); ++n) {
    Responder b = responder();
    give(b, ByteView(all.of_a).first(n), 33);
    ASSERT_EQ(b.state(), State::under_way) << n;
    ASSERT_TRUE(b.take_payload().empty());
  }
  for (std::size_t n = 0; n < all.of_b.size(); ++n) {
    Initiator a(torrent(7), kRc4 | kPlain, chance(1, 20, 30));
    a.add_initial_payload(counting(68));
    give(a, ByteView(all.of_b).first(n), 33);
    ASSERT_EQ(a.state(), State::under_way) << n;
  }
}

TEST(Mse, GarbageAfterAKeyEndsItWithinTheLongestPad) {
  std::mt19937 rng(5);
  for (int round = 0; round < 20; ++round) {
    Bytes garbage(2000);
    for (std::uint8_t& byte : garbage) byte = static_cast<std::uint8_t>(rng());
    garbage[0] = 0x7f;
    std::size_t taken = 0;
    Responder b = responder();
    while (b.state() == State::under_way && taken < garbage.size()) {
      b.receive(ByteView(garbage).subspan(taken, 1));
      ++taken;
    }
    EXPECT_EQ(taken, 96U + 512 + 20);
    Initiator a(torrent(7), kRc4, chance(1, 20, 30));
    for (taken = 0; a.state() == State::under_way && taken < garbage.size(); ++taken)
      a.receive(ByteView(garbage).subspan(taken, 1));
    EXPECT_EQ(taken, 96U + 512 + 8);
  }
}

TEST(Mse, KeysThatHideNothingAreRefused) {
  for (const std::uint8_t last : {0, 1}) {
    Bytes key(96);
    key.back() = last;
    Responder b = responder();
    b.receive(key);
    EXPECT_EQ(b.state(), State::failed);
    EXPECT_TRUE(b.take_output().empty());
    Initiator a(torrent(7), kRc4, chance(1, 0, 0));
    a.take_output();
    a.receive(key);
    EXPECT_EQ(a.state(), State::failed);
    EXPECT_TRUE(a.take_output().empty());
  }
}

TEST(Mse, ABitThatFlipsIsNoticedOrHarmless) {
  const Transcript all = transcript();
  for (std::size_t n = 0; n < all.of_a.size(); ++n) {
    Responder b = responder();
    Bytes flipped = all.of_a;
    flipped[n] ^= 0x10;
    give(b, flipped, 50);
    if (b.state() != State::done) continue;
    // A pad, or the payload, which has its own checks; never the keys or the constant.
    EXPECT_GE(n, 96U) << "a key";
    EXPECT_FALSE(n >= 116 && n < 116 + 20 + 20 + 8) << n;
  }
}

}  // namespace
}  // namespace swarmfs::wire::mse
