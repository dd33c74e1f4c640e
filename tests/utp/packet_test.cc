#include "swarm/utp/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/utp/delay_history.h"
#include "swarm/utp/receiver.h"
#include "swarm/utp/sequence.h"

namespace swarmfs::utp {
namespace {

using namespace std::chrono_literals;

/// BEP 29, header format: type and version, extension, connection, two times, window, seq, ack.
const Bytes kState{0x21, 1, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 7, 0, 1, 0, 0, 0xff, 0xff, 0, 9,
                   // Selective ack, then the end: packets 11, 12 and 42.
                   0, 4, 0x03, 0, 0, 0x80};

TEST(UtpPacket, ReadsHeaderAndSelectiveAck) {
  const auto packet = parse_packet(kState);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->type, PacketType::state);
  EXPECT_EQ(packet->connection, 0x1234);
  EXPECT_EQ(packet->timestamp_us, 5U);
  EXPECT_EQ(packet->timestamp_difference_us, 7U);
  EXPECT_EQ(packet->window, 65536U);
  EXPECT_EQ(packet->seq, 0xffff);
  EXPECT_EQ(packet->ack, 9);
  EXPECT_THAT(packet->selective_ack, testing::ElementsAre(0x03, 0, 0, 0x80));
  EXPECT_TRUE(packet->payload.empty());
}

TEST(UtpPacket, WritesWhatItReads) {
  Bytes out(kState.size());
  EXPECT_EQ(write_packet_head(out, *parse_packet(kState)), kState.size());
  EXPECT_EQ(out, kState);
}

TEST(UtpPacket, SkipsUnknownExtensionsAndKeepsThePayload) {
  Bytes data(kState.begin(), kState.begin() + 20);
  data[0] = 0x01;
  data[1] = 2;  // BEP 29's extension bits, which nobody uses
  append(data, Bytes{0, 3, 9, 9, 9, 'h', 'i'});
  const auto packet = parse_packet(data);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->type, PacketType::data);
  EXPECT_TRUE(packet->selective_ack.empty());
  EXPECT_EQ(as_text(packet->payload), "hi");
}

TEST(UtpPacket, TakesSelectiveAcksOfAnyLength) {
  Bytes packet(kState.begin(), kState.begin() + 22);
  packet[21] = 13;  // as libtorrent sends them
  packet.insert(packet.end(), 13, 0x80);
  const auto parsed = parse_packet(packet);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->selective_ack.size(), 13U);
  EXPECT_TRUE(parsed->payload.empty());
}

TEST(UtpPacket, RefusesWhatIsNone) {
  for (std::size_t size = 0; size < kState.size(); ++size)
    EXPECT_FALSE(parse_packet(ByteView(kState).first(size))) << size;
  for (const auto& [at, value] : {std::pair{0, 0x22}, {0, 0x51}, {21, 8}}) {
    Bytes bad = kState;
    bad[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    EXPECT_FALSE(parse_packet(bad)) << at << " " << value;
  }
}

TEST(UtpSequence, FindsTheNearestNumber) {
  EXPECT_EQ(unwrap(2, 0x1ffff), 0x20002U);
  EXPECT_EQ(unwrap(0xffff, 0x20001), 0x1ffffU);
  EXPECT_EQ(unwrap(0x8000, 0x18000), 0x18000U);
}

TEST(UtpReceiver, TellsWhichPacketsAreHereFromTheSecondMissingOn) {
  ReceiveBudget budget;
  Receiver receiver(budget);
  receiver.start(100);
  const Bytes payload(10, 'x');
  receiver.on_data(101, payload);
  receiver.on_data(108, payload);
  receiver.on_data(133, payload);
  EXPECT_THAT(receiver.selective_ack(), testing::ElementsAre(0x81, 0, 0, 0, 1, 0, 0, 0));
  EXPECT_EQ(receiver.readable(), 0U);
  receiver.on_data(100, payload);
  EXPECT_EQ(receiver.next(), 102U);
  EXPECT_EQ(receiver.readable(), 20U);
}

TEST(UtpReceiver, HoldsNoMoreThanItOffers) {
  ReceiveBudget budget;
  budget.limit = 1 << 20;
  Bytes payload(1000, 'x');
  {
    Receiver first(budget), second(budget);
    first.start(100);
    second.start(100);
    for (std::uint64_t seq = 101; seq < 6000; ++seq) first.on_data(seq, payload);
    EXPECT_LE(budget.used, budget.limit);
    EXPECT_LT(first.window(), 2000U);
    // The other still has a share of its own.
    EXPECT_EQ(second.window(), Receiver::kOwnShare);
    EXPECT_TRUE(second.on_data(100, payload));
    EXPECT_FALSE(second.on_data(100 + Receiver::kMaxAhead + 2, payload));
  }
  EXPECT_EQ(budget.used, 0U);
}

TEST(UtpDelayHistory, ForgetsAShorterPathAfterMinutes) {
  DelayHistory history;
  TimePoint now{};
  EXPECT_EQ(history.add(0xfffffff0U, now), 0us);
  EXPECT_EQ(history.add(0x10U, now), 32us);  // across the end of 32 bits
  for (int minute = 0; minute < 11; ++minute) history.add(0x110, now += 61s);
  EXPECT_EQ(history.add(0x114U, now), 4us);
}

}  // namespace
}  // namespace swarmfs::utp
