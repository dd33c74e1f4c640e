#include "swarm/wire/peer_exchange.h"

#include <gtest/gtest.h>

#include <string>

namespace swarmfs::wire {
namespace {

using namespace std::string_literals;

Endpoint at(const char* text) { return Endpoint::parse(text).value(); }

TEST(PeerExchange, IsWrittenAsBep11HasIt) {
  PexMessage message;
  message.added = {{at("1.2.3.4:6881"), 0x12}, {at("[2001:db8::1]:80"), 0x01}};
  message.dropped = {at("5.6.7.8:256")};
  const Bytes bytes = encode(message);
  EXPECT_EQ(as_text(bytes),
            "d5:added6:\x01\x02\x03\x04\x1a\xe1"
            "7:added.f1:\x12"
            "6:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50"
            "8:added6.f1:\x01"
            "7:dropped6:\x05\x06\x07\x08\x01\0e"s);
  EXPECT_EQ(parse_pex(bytes).value(), message);
}

TEST(PeerExchange, AnEmptyMessageNamesNobody) {
  EXPECT_EQ(as_text(encode({})), "d5:added0:7:added.f0:e");
  EXPECT_EQ(parse_pex(as_bytes("de")).value(), PexMessage{});
}

/// As libtorrent 2.0 and Transmission 3.0 send it: all six keys, empty ones too.
TEST(PeerExchange, ReadsWhatOtherClientsSend) {
  const auto message =
      parse_pex(as_bytes("d5:added6:\x0a\x4d\x00\x02\x1a\xe1"
                         "7:added.f1:\x02"
                         "6:added60:8:added6.f0:7:dropped0:8:dropped60:e"s));
  ASSERT_TRUE(message);
  ASSERT_EQ(message->added.size(), 1U);
  EXPECT_EQ(message->added[0], (PexPeer{at("10.77.0.2:6881"), pex_flags::kSeed}));
  EXPECT_TRUE(message->dropped.empty());
}

TEST(PeerExchange, FlagsThatDoNotMatchAreNone) {
  const auto message =
      parse_pex(as_bytes("d5:added6:\x01\x02\x03\x04\x1a\xe1"
                         "7:added.f2:\x02\x02"
                         "e"s));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->added.at(0).flags, 0);
}

TEST(PeerExchange, AListCutShortIsTakenAsFarAsItGoes) {
  const auto message = parse_pex(as_bytes("d5:added8:\x01\x02\x03\x04\x1a\xe1zz7:droppedi7ee"s));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->added.size(), 1U);
  EXPECT_TRUE(message->dropped.empty());
}

TEST(PeerExchange, WhatIsNoDictionaryIsRefused) {
  for (const char* text : {"", "i1e", "le", "d5:added", "x", "4:spam"})
    EXPECT_FALSE(parse_pex(as_bytes(text))) << text;
  std::string many = "d1:al";
  for (int i = 0; i < 1000; ++i) many += "le";
  EXPECT_FALSE(parse_pex(as_bytes(many + "ee")));
}

}  // namespace
}  // namespace swarmfs::wire
