#include "swarm/wire/extension.h"

#include <gtest/gtest.h>

#include "swarm/base/clock.h"

namespace swarmfs::wire {
namespace {

using namespace std::string_literals;

ExtensionHandshake parsed(std::string_view text) {
  auto result = parse_extension_handshake(as_bytes(text));
  EXPECT_TRUE(result) << text;
  return result ? *result : ExtensionHandshake{};
}

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

ExtensionHandshake full() {
  ExtensionHandshake h;
  h.ids = {.lt_donthave = 7,
           .sf_reading = 5,
           .upload_only = 3,
           .ut_holepunch = 4,
           .ut_metadata = 2,
           .ut_pex = 1};
  h.metadata_size = 31235;
  h.port = 6881;
  h.reqq = 500;
  h.upload_only = true;
  h.version = "swarmfs 0.1";
  h.ipv4 = ip("1.2.3.4");
  h.ipv6 = ip("2001:db8::1");
  h.yourip = ip("80.4.4.200");
  return h;
}

TEST(ExtensionHandshake, IsEncodedAsAnOrderedDictionary) {
  ExtensionHandshake h = full();
  h.ipv6 = std::nullopt;
  EXPECT_EQ(
      as_text(encode(h)),
      "d4:ipv44:\1\2\3\4"
      "1:md11:lt_donthavei7e10:sf_readingi5e11:upload_onlyi3e12:ut_holepunchi4e11:ut_metadatai2e"
      "6:ut_pexi1ee"
      "13:metadata_sizei31235e1:pi6881e4:reqqi500e11:upload_onlyi1e1:v11:swarmfs 0.1"
      "6:yourip4:\x50\4\4\xc8"
      "e");
  EXPECT_EQ(as_text(encode({})), "d1:mdee");
}

TEST(ExtensionHandshake, ComesBackAsItWasSent) {
  EXPECT_EQ(parsed(as_text(encode(full()))), full());
  EXPECT_EQ(parsed(as_text(encode({}))), ExtensionHandshake{});
}

TEST(OnePiece, IsFourBytesAndNothingElse) {
  EXPECT_EQ(encode_piece(PieceIndex(0x01020304)), (Bytes{1, 2, 3, 4}));
  EXPECT_EQ(parse_piece(Bytes{1, 2, 3, 4}).value(), PieceIndex(0x01020304));
  for (const std::size_t length : {0, 1, 3, 5, 100})
    EXPECT_FALSE(parse_piece(Bytes(length))) << length;
}

TEST(ExtensionHandshake, ReadsTheExampleOfTheSpecification) {
  // Its lengths fit only if the name of the second extension is Latin-1 and the version UTF-8.
  const auto h = parsed("d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e");
  EXPECT_EQ(h.ids, ExtensionIds{});
  EXPECT_EQ(h.port, 6881);
  EXPECT_EQ(h.version, "\xc2\xb5Torrent 1.2");
}

TEST(ExtensionHandshake, IgnoresWhatItDoesNotKnowAndKeysOutOfOrder) {
  const auto h =
      parsed("d1:v1:x12:complete_agoi-1e1:ei1e1:md6:ut_pexi9e7:ut_commi6e5:otherl1:aeee");
  EXPECT_EQ(h.ids.ut_pex, 9);
  EXPECT_EQ(h.version, "x");
}

TEST(ExtensionHandshake, TreatsMalformedFieldsAsAbsent) {
  const ExtensionHandshake none;
  for (const std::string_view text : {"d1:mi3ee",
                                      "d1:m0:e",
                                      "d1:mle13:metadata_size1:xe",
                                      "d13:metadata_sizei0ee",
                                      "d13:metadata_sizei-5ee",
                                      "d13:metadata_sizei4294967296ee",
                                      "d1:pi0ee",
                                      "d1:pi65536ee",
                                      "d1:pi-1ee",
                                      "d4:reqqi0ee",
                                      "d4:reqqi-1ee",
                                      "d4:reqqi9223372036854775807ee",
                                      "d1:vi3ee",
                                      "d4:ipv43:abce",
                                      "d4:ipv63:abce",
                                      "d6:yourip5:abcdee",
                                      "d6:youripi1ee",
                                      "d1:md6:ut_pexi256eee",
                                      "d1:md6:ut_pexi-1eee",
                                      "d1:md6:ut_pex1:1ee",
                                      "d11:upload_only1:1e"}) {
    EXPECT_EQ(parsed(text), none) << text;
  }
  EXPECT_EQ(parsed("d13:metadata_sizei-5e4:reqqi250ee").reqq, 250u) << "its neighbours count";
}

TEST(ExtensionHandshake, ReadsAddressesOfBothFamilies) {
  EXPECT_EQ(parsed("d6:yourip4:\1\2\3\4e").yourip, ip("1.2.3.4"));
  EXPECT_EQ(parsed("d6:yourip16:\x20\x01\x0d\xb8" + std::string(11, '\0') + "\1e").yourip,
            ip("2001:db8::1"));
}

TEST(ExtensionHandshake, CutsAnEndlessVersion) {
  const auto h = parsed("d1:v100000:" + std::string(100000, 'a') + "e");
  EXPECT_EQ(h.version, std::string(128, 'a'));
}

TEST(ExtensionHandshake, RefusesWhatIsNoDictionary) {
  const std::string deep = "d1:x" + std::string(50, 'l') + std::string(50, 'e') + "e";
  std::string wide = "d1:xl";
  for (int i = 0; i < 5000; ++i) wide += "0:";
  wide += "ee";
  for (const std::string& text : {""s, "x"s, "i1e"s, "le"s, "d1:v"s, "d1:v5:abe"s, deep, wide}) {
    const auto result = parse_extension_handshake(as_bytes(text));
    ASSERT_FALSE(result) << text.substr(0, 20);
    EXPECT_EQ(result.error().kind, ErrorKind::protocol);
    EXPECT_NE(result.error().message.find("extension handshake"), std::string::npos);
  }
}

TEST(ExtensionHandshake, ToleratesBytesAfterTheDictionary) {
  EXPECT_EQ(parsed("d1:pi80eetrailing").port, 80);
}

TEST(ExtensionHandshake, MergesARepeatedHandshake) {
  ExtensionHandshake h = full();
  h.merge(parsed("d1:md6:ut_pexi0e11:ut_metadatai8ee4:reqqi64ee"));
  ExtensionHandshake expected = full();
  expected.ids.ut_pex = 0;
  expected.ids.ut_metadata = 8;
  expected.reqq = 64;
  EXPECT_EQ(h, expected);
}

TEST(ExtensionHandshake, SurvivesDamage) {
  const Bytes good = encode(full());
  Rng rng(5);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes bad = good;
    for (std::uint64_t hits = 1 + rng() % 3; hits > 0; --hits)
      bad[rng() % bad.size()] = static_cast<std::uint8_t>(rng());
    bad.resize(rng() % 4 == 0 ? rng() % bad.size() : bad.size());
    const auto result = parse_extension_handshake(bad);
    if (!result) continue;
    ++accepted;
    // What was read must be what would be read again.
    EXPECT_EQ(parsed(as_text(encode(*result))), *result);
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace swarmfs::wire
