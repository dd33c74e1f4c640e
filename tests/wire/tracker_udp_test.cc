#include "swarm/wire/tracker_udp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "swarm/base/hex.h"

namespace swarmfs::wire {
namespace {

Endpoint at(const char* text) { return *Endpoint::parse(text); }

UdpAnnounceRequest sample() {
  UdpAnnounceRequest request{0x1122334455667788, 0x99aabbcc, {}, ""};
  request.announce.info_hash.fill(0xaa);
  request.announce.peer_id.fill(0xbb);
  request.announce.downloaded = 1;
  request.announce.left = 2;
  request.announce.uploaded = 3;
  request.announce.event = TrackerEvent::started;
  request.announce.key = 0x01020304;
  request.announce.port = 6881;
  return request;
}

TEST(TrackerUdp, ConnectHasTheMagicOfBep15) {
  EXPECT_EQ(to_hex(encode(UdpConnectRequest{0x12345678})), "00000417271019800000000012345678");
  EXPECT_EQ(to_hex(encode(UdpConnectResponse{0x12345678, 0xa1a2a3a4a5a6a7a8})),
            "0000000012345678a1a2a3a4a5a6a7a8");
}

TEST(TrackerUdp, AnnounceHasTheLayoutOfBep15) {
  const std::string expected =
      "1122334455667788"
      "00000001"
      "99aabbcc" +
      std::string(40, 'a') + std::string(40, 'b') +
      "0000000000000001"
      "0000000000000002"
      "0000000000000003"
      "00000002"
      "00000000"
      "01020304"
      "ffffffff"
      "1ae1";
  EXPECT_EQ(to_hex(encode(sample())), expected);
}

TEST(TrackerUdp, RequestsRoundTrip) {
  UdpAnnounceRequest announce = sample();
  announce.announce.numwant = 0;
  announce.announce.ip = IpAddress::parse("9.8.7.6");
  announce.url_data = "/announce?" + std::string(600, 'x');
  const UdpScrapeRequest scrape{1, 2, {Sha1Hash{1}, Sha1Hash{2}}};
  EXPECT_EQ(decode_udp_request(encode(UdpConnectRequest{7})).value(),
            UdpTrackerRequest{UdpConnectRequest{7}});
  EXPECT_EQ(decode_udp_request(encode(announce)).value(), UdpTrackerRequest{announce});
  EXPECT_EQ(decode_udp_request(encode(scrape)).value(), UdpTrackerRequest{scrape});
}

TEST(TrackerUdp, StrideOfPeersFollowsTheFamilyOfThePacket) {
  UdpAnnounceResponse response{5, {}};
  response.announce.interval = std::chrono::seconds(120);
  response.announce.seeders = 1;
  response.announce.leechers = 2;
  response.announce.peers = {at("1.2.3.4:5"), at("[2001:db8::1]:6"), at("4.3.2.1:7")};
  const Bytes v4 = encode(response, Family::v4);
  const Bytes v6 = encode(response, Family::v6);
  EXPECT_EQ(to_hex(v4),
            "0000000100000005"
            "00000078"
            "00000002"
            "00000001"
            "010203040005"
            "040302010007");
  EXPECT_EQ(v6.size(), 20U + 18U);
  const auto four = std::get<UdpAnnounceResponse>(*decode_udp_response(v4, Family::v4));
  EXPECT_THAT(four.announce.peers, testing::ElementsAre(at("1.2.3.4:5"), at("4.3.2.1:7")));
  EXPECT_EQ(four.announce.seeders, 1U);
  const auto six = std::get<UdpAnnounceResponse>(*decode_udp_response(v6, Family::v6));
  EXPECT_THAT(six.announce.peers, testing::ElementsAre(at("[2001:db8::1]:6")));
}

TEST(TrackerUdp, OtherResponsesRoundTrip) {
  const UdpScrapeResponse scrape{3, {{{}, 1, 2, 3}, {{}, 4, 5, 6}}};
  EXPECT_EQ(decode_udp_response(encode(scrape), Family::v4).value(), UdpTrackerResponse{scrape});
  EXPECT_EQ(decode_udp_response(encode(UdpErrorResponse{3, "no\x1b"}), Family::v4).value(),
            (UdpTrackerResponse{UdpErrorResponse{3, "no?"}}));
}

TEST(TrackerUdp, RefusesShortAndUnknownPackets) {
  const Bytes announce = encode(sample());
  for (std::size_t n = 0; n < announce.size(); ++n)
    EXPECT_FALSE(decode_udp_request(ByteView(announce).first(n))) << n;
  EXPECT_FALSE(decode_udp_request(Bytes(98, 0xff)));
  EXPECT_FALSE(decode_udp_request(encode(UdpScrapeRequest{1, 2, {}})));
  EXPECT_FALSE(decode_udp_response(Bytes{}, Family::v4));
  EXPECT_FALSE(decode_udp_response(Bytes{0, 0, 0, 1, 0, 0, 0, 5, 0, 0}, Family::v4));
  EXPECT_FALSE(decode_udp_response(Bytes{0, 0, 0, 0, 0, 0, 0, 5, 0, 0}, Family::v4));
  EXPECT_FALSE(decode_udp_response(Bytes{0, 0, 0, 9, 0, 0, 0, 5, 0, 0}, Family::v4));
}

TEST(TrackerUdp, MalformedOptionsEndTheUrlData) {
  Bytes packet = encode(sample());
  append(packet, Bytes{1, 1, 2, 2, '/', 'a', 77, 1, 'z', 2, 1, 'b', 2, 200, 'c'});
  const auto request = decode_udp_request(packet);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<UdpAnnounceRequest>(*request).url_data, "/ab");
}

TEST(TrackerUdp, MutatedPacketsNeverCrash) {
  const Bytes good = encode(sample());
  std::mt19937 rng(11);
  for (int i = 0; i < 20000; ++i) {
    Bytes bad = good;
    for (int n = 0; n < 1 + i % 4; ++n) bad[rng() % bad.size()] = static_cast<std::uint8_t>(rng());
    bad.resize(4 + rng() % (bad.size() + 60));
    (void)decode_udp_request(bad);
    bad[0] = bad[1] = bad[2] = 0;
    (void)decode_udp_response(bad, i % 2 == 0 ? Family::v4 : Family::v6);
  }
}

}  // namespace
}  // namespace swarmfs::wire
