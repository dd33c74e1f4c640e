#include "swarm/wire/holepunch.h"

#include <gtest/gtest.h>

namespace swarmfs::wire {
namespace {

using Type = HolepunchMessage::Type;
using Code = HolepunchMessage::Code;

const Endpoint kV4{*IpAddress::parse("203.0.113.9"), 6881};
const Endpoint kV6{*IpAddress::parse("2001:db8::9"), 6881};

TEST(Holepunch, MessagesAreThoseOfBep55) {
  EXPECT_EQ(encode(HolepunchMessage{Type::rendezvous, kV4, Code::none}),
            (Bytes{0, 0, 203, 0, 113, 9, 0x1a, 0xe1, 0, 0, 0, 0}));
  EXPECT_EQ(encode(HolepunchMessage{Type::connect, kV6, Code::none}),
            (Bytes{1, 1, 0x20, 1, 0x0d, 0xb8, 0,    0,    0, 0, 0, 0,
                   0, 0, 0,    0, 0,    9,    0x1a, 0xe1, 0, 0, 0, 0}));
  EXPECT_EQ(encode(HolepunchMessage{Type::error, kV4, Code::no_support}),
            (Bytes{2, 0, 203, 0, 113, 9, 0x1a, 0xe1, 0, 0, 0, 3}));
}

TEST(Holepunch, WhatIsWrittenIsRead) {
  for (const Type type : {Type::rendezvous, Type::connect, Type::error})
    for (const Endpoint& endpoint : {kV4, kV6}) {
      const HolepunchMessage message{type, endpoint,
                                     type == Type::error ? Code::not_connected : Code::none};
      const auto read = parse_holepunch(encode(message));
      ASSERT_TRUE(read);
      EXPECT_EQ(*read, message);
    }
}

TEST(Holepunch, ACodeMayBeMissingWhereItSaysNothing) {
  for (const Type type : {Type::rendezvous, Type::connect, Type::error}) {
    Bytes bytes = encode(HolepunchMessage{type, kV4, Code::none});
    bytes.resize(8);
    EXPECT_EQ(parse_holepunch(bytes).has_value(), type != Type::error);
    bytes.resize(7);
    EXPECT_FALSE(parse_holepunch(bytes));
  }
  EXPECT_FALSE(parse_holepunch(Bytes{}));
  EXPECT_FALSE(parse_holepunch(Bytes{3, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0}));
  EXPECT_FALSE(parse_holepunch(Bytes{0, 2, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0}));
  EXPECT_FALSE(parse_holepunch(Bytes{0, 1, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace swarmfs::wire
