#include "swarm/wire/metadata_message.h"

#include <gtest/gtest.h>

#include "swarm/base/clock.h"

namespace swarmfs::wire {
namespace {

using Kind = MetadataMessage::Kind;

// The examples of BEP 9.
constexpr std::string_view kRequest = "d8:msg_typei0e5:piecei0ee";
constexpr std::string_view kData = "d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx";
constexpr std::string_view kReject = "d8:msg_typei2e5:piecei0ee";

TEST(MetadataMessage, ReadsTheExamplesOfBep9) {
  const auto request = parse_metadata_message(as_bytes(kRequest));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->kind, Kind::request);
  EXPECT_EQ(request->piece, 0U);
  const auto data = parse_metadata_message(as_bytes(kData));
  ASSERT_TRUE(data);
  EXPECT_EQ(data->kind, Kind::data);
  EXPECT_EQ(data->total_size, 34256U);
  EXPECT_EQ(as_text(data->payload), "xxxxxxxx");
  const auto reject = parse_metadata_message(as_bytes(kReject));
  ASSERT_TRUE(reject);
  EXPECT_EQ(reject->kind, Kind::reject);
}

TEST(MetadataMessage, WritesTheExamplesOfBep9) {
  EXPECT_EQ(as_text(encode({Kind::request, 0, 0, {}})), kRequest);
  EXPECT_EQ(as_text(encode({Kind::data, 0, 34256, as_bytes("xxxxxxxx")})), kData);
  EXPECT_EQ(as_text(encode({Kind::reject, 0, 0, {}})), kReject);
}

TEST(MetadataMessage, ThePayloadMayLookLikeBencoding) {
  const auto data = parse_metadata_message(as_bytes("d8:msg_typei1e5:piecei3eed4:infoe"));
  ASSERT_TRUE(data);
  EXPECT_EQ(as_text(data->payload), "d4:infoe");
  EXPECT_EQ(data->total_size, 0U);
}

TEST(MetadataMessage, LaterKindsAreUnknownAndNotWrong) {
  for (const std::string_view text : {"d8:msg_typei3e5:piecei0ee", "d8:msg_typei-1ee"}) {
    const auto message = parse_metadata_message(as_bytes(text));
    ASSERT_TRUE(message) << text;
    EXPECT_EQ(message->kind, Kind::unknown);
  }
}

TEST(MetadataMessage, RefusesWhatMakesNoSense) {
  for (const std::string_view text :
       {"", "i0e", "de", "d8:msg_type1:0e", "d8:msg_typei0ee", "d8:msg_typei0e5:piecei-1ee",
        "d8:msg_typei0e5:piecei4294967296ee", "d8:msg_typei0e5:piece1:0e",
        "d8:msg_typei0e5:piecei0e"})
    EXPECT_FALSE(parse_metadata_message(as_bytes(text))) << text;
}

TEST(MetadataMessage, SurvivesMutations) {
  Rng random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string text(kData);
    for (unsigned n = random() % 4 + 1; n > 0; --n)
      text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % text.size() + 1);
    const auto message = parse_metadata_message(as_bytes(text));
    if (message) {
      EXPECT_LE(message->payload.size(), text.size());
    }
  }
}

}  // namespace
}  // namespace swarmfs::wire
