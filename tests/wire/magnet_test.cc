#include "swarm/wire/magnet.h"

#include <gtest/gtest.h>

#include "swarm/base/clock.h"
#include "swarm/base/hex.h"

namespace swarmfs::wire {
namespace {

using namespace std::string_literals;

constexpr const char* kV1 = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
constexpr const char* kV2 = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

Magnet parsed(const std::string& text) {
  const auto magnet = parse_magnet(text);
  EXPECT_TRUE(magnet) << text << ": " << (magnet ? "" : magnet.error().message);
  return magnet ? *magnet : Magnet{};
}
std::string error_of(const std::string& text) {
  const auto magnet = parse_magnet(text);
  EXPECT_FALSE(magnet) << text;
  return magnet ? "" : magnet.error().message;
}
std::string v1(const Magnet& m) { return m.hashes.v1 ? to_hex(*m.hashes.v1) : ""; }
std::string v2(const Magnet& m) { return m.hashes.v2 ? to_hex(*m.hashes.v2) : ""; }

TEST(Magnet, ReadsTheHashInHexadecimalOfEitherCase) {
  EXPECT_EQ(v1(parsed("magnet:?xt=urn:btih:"s + kV1)), kV1);
  EXPECT_EQ(v1(parsed("MAGNET:?xt=URN:BTIH:C12FE1C06BBA254A9DC9F519B335AA7C1367A88A")), kV1);
}

TEST(Magnet, ReadsTheHashInBase32) {
  // RFC 4648: 5 bytes are 8 digits.
  EXPECT_EQ(v1(parsed("magnet:?xt=urn:btih:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK")), kV1);
  EXPECT_EQ(v1(parsed("magnet:?xt=urn:btih:yex6dqdlxisuvhoj6um3gnnkpqjwpkek")), kV1);
}

TEST(Magnet, ReadsHybridsAndV2) {
  const auto hybrid = parsed("magnet:?xt=urn:btih:"s + kV1 + "&xt=urn:btmh:1220" + kV2);
  EXPECT_EQ(v1(hybrid), kV1);
  EXPECT_EQ(v2(hybrid), kV2);
  EXPECT_EQ(v2(parsed("magnet:?xt.1=urn:btmh:1220"s + kV2)), kV2);
}

TEST(Magnet, ReadsNamesTrackersPeersAndSeeds) {
  const auto m = parsed(
      "magnet:?xt=urn:btih:"s + kV1 +
      "&dn=a%20%26+b&tr=udp%3A%2F%2Ft.example%3A80%2Fannounce&tr.2=http://u.example/a?k=%26"
      "&tr=udp%3A%2F%2Ft.example%3A80%2Fannounce&ws=http%3A%2F%2Fw.example%2F"
      "&x.pe=1.2.3.4:6881&x.pe=%5B2001:db8::1%5D:1&x.pe=[::1]:2&x.pe=peer.example:65535&xl=12");
  EXPECT_EQ(m.name, "a & b");
  EXPECT_EQ(m.trackers, (std::vector{"udp://t.example:80/announce"s, "http://u.example/a?k=&"s}));
  EXPECT_EQ(m.webseeds, std::vector{"http://w.example/"s});
  EXPECT_EQ(m.peers,
            (std::vector<Magnet::Peer>{
                {"1.2.3.4", 6881}, {"2001:db8::1", 1}, {"::1", 2}, {"peer.example", 65535}}));
}

TEST(Magnet, PassesOverPeersThatMakeNoSense) {
  const auto m = parsed("magnet:?xt=urn:btih:"s + kV1 +
                        "&x.pe=&x.pe=:1&x.pe=a:0&x.pe=a:65536&x.pe=a:b&x.pe=[::1:2&x.pe=a b:1"
                        "&x.pe=::1:2:x:3&x.pe=[nonsense]:4");
  EXPECT_EQ(m.peers, std::vector<Magnet::Peer>{});
}

TEST(Magnet, ReadsSelectedFiles) {
  const auto m = parsed("magnet:?xt=urn:btih:"s + kV1 + "&so=0,2,4,6-8");
  EXPECT_EQ(m.select, (std::vector<Magnet::Files>{{0, 0}, {2, 2}, {4, 4}, {6, 8}}));
  EXPECT_NE(error_of("magnet:?xt=urn:btih:"s + kV1 + "&so=2-1").find("BEP 53"), std::string::npos);
  error_of("magnet:?xt=urn:btih:"s + kV1 + "&so=1,,2");
  error_of("magnet:?xt=urn:btih:"s + kV1 + "&so=-1");
}

TEST(Magnet, SaysWhatIsWrong) {
  EXPECT_NE(error_of("magnet:?dn=x").find("no xt="), std::string::npos);
  EXPECT_NE(error_of("magnet:xt").find("magnet:?"), std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:btih:12").find("btih"), std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:btih:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKE1").find("base32"),
            std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:btmh:1220aa").find("btmh"), std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:btmh:1114"s + kV2).find("btmh"), std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:btih:"s + kV1 + "&xt=urn:btih:" + std::string(40, '0'))
                .find("two torrents"),
            std::string::npos);
  EXPECT_NE(error_of("magnet:?xt=urn:ed2k:354B15E68FB8F36D7CD88FF94116CDC1").find("no xt="),
            std::string::npos);
  EXPECT_FALSE(parse_magnet("magnet:?xt=urn:btih:"s + kV1 + "&dn=" + std::string(70'000, 'x')));
}

TEST(Magnet, BareHashes) {
  EXPECT_EQ(v1(parse_info_hash(kV1).value()), kV1);
  EXPECT_EQ(v1(parse_info_hash("YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK").value()), kV1);
  EXPECT_EQ(v2(parse_info_hash(kV2).value()), kV2);
  for (const std::string text : {"", "film.torrent", "0123456789abcdef", "gggggggggggggggggggg"})
    EXPECT_FALSE(parse_info_hash(text)) << text;
  EXPECT_FALSE(parse_info_hash(std::string(40, 'g')));
}

TEST(Magnet, WritesWhatItReads) {
  Magnet m = parsed("magnet:?xt=urn:btih:"s + kV1 + "&xt=urn:btmh:1220" + kV2);
  m.name = "naïve & café = 100%\n+";
  m.trackers = {"udp://t.example:80/announce", "http://u.example/a?k=1&l=2#x"};
  m.webseeds = {"http://w.example/a b/"};
  m.peers = {{"1.2.3.4", 6881}, {"::1", 2}, {"peer.example", 3}};
  m.select = {{0, 0}, {5, 9}};
  const std::string text = to_string(m);
  for (const char c : text) EXPECT_TRUE(c > 0x20 && c < 0x7f) << text;
  EXPECT_EQ(parsed(text), m) << text;
}

TEST(Magnet, KeepsNoMoreThanItsLimit) {
  std::string text = "magnet:?xt=urn:btih:"s + kV1;
  for (int i = 0; i < 1000; ++i) text += "&tr=udp://t" + std::to_string(i) + ".example:1";
  EXPECT_EQ(parsed(text).trackers.size(), kMaxMagnetItems);
}

// Whatever is done to a link, it is refused or says something that can be written and read again.
TEST(Magnet, SurvivesMutations) {
  const std::string whole = "magnet:?xt=urn:btih:"s + kV1 + "&xt=urn:btmh:1220" + kV2 +
                            "&dn=a%20b&tr=udp%3A%2F%2Ft.example%3A80&x.pe=[::1]:2&x.pe=peer."
                            "example:3&so=1,3-9&ws=http://w";
  Rng random(7);
  unsigned accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = whole;
    for (unsigned n = random() % 4 + 1; n > 0 && !text.empty(); --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 8);
          break;
        case 2:
          text.insert(at, 1, "&=%:[],-."[random() % 9]);
          break;
        default:
          text.resize(std::max<std::size_t>(at, 1));
      }
    }
    const auto magnet = parse_magnet(text);
    if (!magnet) continue;
    ++accepted;
    const auto again = parse_magnet(to_string(*magnet));
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(again->hashes, magnet->hashes);
    EXPECT_EQ(again->peers, magnet->peers) << text;
    EXPECT_EQ(again->select, magnet->select) << text;
    EXPECT_EQ(again->trackers, magnet->trackers) << text;
  }
  EXPECT_GT(accepted, 1000U);
}

}  // namespace
}  // namespace swarmfs::wire
