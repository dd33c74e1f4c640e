#include <gtest/gtest.h>

#include "swarm/base/hex.h"
#include "swarm/nat/default_route.h"
#include "swarm/nat/nat_pmp.h"
#include "swarm/nat/pcp.h"

namespace swarmfs::nat {
namespace {

Bytes hex(std::string_view text) {
  std::string packed;
  for (const char c : text)
    if (c != ' ') packed += c;
  Bytes out;
  for (std::size_t i = 0; i + 1 < packed.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(packed.substr(i, 2), nullptr, 16)));
  return out;
}

const IpAddress kClient = *IpAddress::parse("192.168.1.7");
const pcp::Nonce kNonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

TEST(Pcp, RequestIsThatOfRfc6887) {
  const Bytes bytes =
      pcp::encode({kClient, kNonce, {Protocol::tcp, 6881}, 3600, {IpAddress::v4({}), 6881}});
  EXPECT_EQ(bytes, hex("02 01 0000 00000e10 00000000000000000000ffff c0a80107"
                       "0102030405060708090a0b0c 06 000000 1ae1 1ae1"
                       "00000000000000000000ffff 00000000"));
}

TEST(Pcp, RequestForIpv6AsksForIpv6) {
  const Bytes bytes = pcp::encode(
      {*IpAddress::parse("2001:db8::7"), kNonce, {Protocol::udp, 1}, 0, {IpAddress::v6({}), 0}});
  EXPECT_EQ(bytes, hex("02 01 0000 00000000 20010db8000000000000000000000007"
                       "0102030405060708090a0b0c 11 000000 0001 0000"
                       "00000000000000000000000000000000"));
}

TEST(Pcp, ResponseSaysWhereWeAre) {
  const Bytes bytes =
      hex("02 81 00 00 00000708 0000002a 000000000000000000000000"
          "0102030405060708090a0b0c 11 000000 1ae1 2710"
          "00000000000000000000ffff cb007109");
  const auto response = pcp::decode(bytes);
  ASSERT_TRUE(response && response->map);
  EXPECT_EQ(response->code, pcp::Code::success);
  EXPECT_EQ(response->lifetime_s, 1800U);
  EXPECT_EQ(response->epoch_s, 42U);
  EXPECT_EQ(response->map->nonce, kNonce);
  EXPECT_EQ(response->map->port, (Port{Protocol::udp, 6881}));
  EXPECT_EQ(response->map->external.to_string(), "203.0.113.9:10000");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(pcp::decode(ByteView(bytes).first(size))) << size;
  Bytes request = bytes;
  request[1] = 1;
  EXPECT_FALSE(pcp::decode(request));
  Bytes other = bytes;
  other[36] = 132;  // SCTP
  EXPECT_FALSE(pcp::decode(other));
}

TEST(Pcp, AnnouncementIsAHeaderAlone) {
  const auto response = pcp::decode(hex("02 80 00 00 00000000 00000003 000000000000000000000000"));
  ASSERT_TRUE(response);
  EXPECT_FALSE(response->map);
  EXPECT_EQ(response->epoch_s, 3U);
}

TEST(NatPmp, RequestsAreThoseOfRfc6886) {
  EXPECT_EQ(nat_pmp::encode_address_request(), hex("00 00"));
  EXPECT_EQ(nat_pmp::encode({{Protocol::udp, 6881}, 6882, 7200}),
            hex("0001 0000 1ae1 1ae2 00001c20"));
  EXPECT_EQ(nat_pmp::encode({{Protocol::tcp, 6881}, 0, 0}), hex("0002 0000 1ae1 0000 00000000"));
}

TEST(NatPmp, ResponsesAreRead) {
  const auto address = nat_pmp::decode(hex("0080 0000 00000005 cb007109"));
  ASSERT_TRUE(address);
  EXPECT_EQ(std::get<IpAddress>(address->what).to_string(), "203.0.113.9");
  const auto map = nat_pmp::decode(hex("0082 0000 00000006 1ae1 1ae2 00000e10"));
  ASSERT_TRUE(map);
  const auto& got = std::get<nat_pmp::Response::Map>(map->what);
  EXPECT_EQ(got.port, (Port{Protocol::tcp, 6881}));
  EXPECT_EQ(got.external, 6882);
  EXPECT_EQ(got.lifetime_s, 3600U);
  // What a server that knows no PCP says to a request of it (RFC 6886 3.5).
  const auto refusal = nat_pmp::decode(hex("0081 0001 00000007"));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, 1);
  EXPECT_FALSE(nat_pmp::decode(hex("0081 0000 00000007 1ae1 1ae2 00000e")));
  EXPECT_FALSE(nat_pmp::decode(hex("0001 0000 00000007 1ae1 1ae2 00000e10")));
  EXPECT_FALSE(nat_pmp::decode(hex("0281 0001 00000007")));
}

TEST(DefaultRoute, OfIpv4IsTheOneOfTheLeastMetric) {
  const std::string_view table =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
      "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
      "vpn0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
  const auto gateway = default_route_v4(table);
  ASSERT_TRUE(gateway);
  EXPECT_EQ(*gateway, (Gateway{*IpAddress::parse("192.168.1.1"), "eth0"}));
  EXPECT_FALSE(default_route_v4(""));
  EXPECT_FALSE(default_route_v4("eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"));
  EXPECT_FALSE(default_route_v4("eth0 00000000 zz 0003 0 0 0 00000000"));
}

TEST(DefaultRoute, OfIpv6IsNotOneThatRefuses) {
  const std::string_view table =
      "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
      "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
      "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
      "fe8000000000000000000000000000aa 00000400 00000001 00000000 00450003     eth0\n"
      "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
      "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
  const auto gateway = default_route_v6(table);
  ASSERT_TRUE(gateway);
  EXPECT_EQ(*gateway, (Gateway{*IpAddress::parse("fe80::aa"), "eth0"}));
}

}  // namespace
}  // namespace swarmfs::nat
