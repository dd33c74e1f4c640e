#include "swarm/wire/local_discovery.h"

#include <gtest/gtest.h>

#include <string>

namespace swarmfs::wire {
namespace {

Sha1Hash hash_of(std::uint8_t byte) {
  Sha1Hash hash;
  hash.fill(byte);
  return hash;
}

const std::string kAbs(40, 'a'), kDigits(40, '1');

TEST(LocalDiscovery, IsWrittenAsBep14HasIt) {
  const LocalAnnounce announce{6881, {hash_of(0xaa), hash_of(0x11)}, "1f2e"};
  const Bytes bytes = encode(announce, true);
  EXPECT_EQ(as_text(bytes),
            "BT-SEARCH * HTTP/1.1\r\n"
            "Host: 239.192.152.143:6771\r\n"
            "Port: 6881\r\n"
            "Infohash: " +
                kAbs +
                "\r\n"
                "Infohash: " +
                kDigits +
                "\r\n"
                "cookie: 1f2e\r\n"
                "\r\n\r\n");
  EXPECT_EQ(parse_local_announce(bytes).value(), announce);
  const Bytes v6 = encode(announce, false);
  EXPECT_NE(as_text(v6).find("Host: [ff15::efc0:988f]:6771\r\n"), std::string_view::npos);
  EXPECT_EQ(parse_local_announce(v6).value(), announce);
}

TEST(LocalDiscovery, AFullDatagramFitsAPacket) {
  LocalAnnounce announce{65535, {}, std::string(16, 'f')};
  announce.info_hashes.assign(kMaxLocalHashes, hash_of(0xaa));
  EXPECT_LE(encode(announce, false).size(), 1400U);
}

TEST(LocalDiscovery, ReadsWhatOtherClientsSend) {
  // Transmission 3.0.
  const auto transmission = parse_local_announce(
      as_bytes("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 51413\r\n"
               "Infohash: AAaaAAaaAAaaAAaaAAaaAAaaAAaaAAaaAAaaAAaa\r\n\r\n\r\n"));
  ASSERT_TRUE(transmission);
  EXPECT_EQ(*transmission, (LocalAnnounce{51413, {hash_of(0xaa)}, ""}));
  // libtorrent 2.0: the cookie is in hexadecimal.
  const auto libtorrent = parse_local_announce(
      as_bytes("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n"
               "Infohash: " +
               kDigits + "\r\ncookie: 7f0b1c\r\n\r\n\r\n"));
  ASSERT_TRUE(libtorrent);
  EXPECT_EQ(libtorrent->cookie, "7f0b1c");
  // No spaces, lone line feeds, other names in between.
  const auto loose = parse_local_announce(
      as_bytes("BT-SEARCH * HTTP/1.0\nPORT:1\nX: y\nno colon\nINFOHASH:" + kDigits + "\n"));
  ASSERT_TRUE(loose);
  EXPECT_EQ(loose->port, 1);
}

TEST(LocalDiscovery, RefusesWhatNamesNoTorrentOrNoPort) {
  const std::string start = "BT-SEARCH * HTTP/1.1\r\n";
  const std::string hash = "Infohash: " + kDigits + "\r\n";
  for (const std::string& text :
       {std::string(), std::string("M-SEARCH * HTTP/1.1\r\nPort: 1\r\n") + hash, start + hash,
        start + "Port: 0\r\n" + hash, start + "Port: 65536\r\n" + hash,
        start + "Port: 1x\r\n" + hash, start + "Port: 1\r\n",
        start + "Port: 1\r\nInfohash: " + std::string(40, 'g') + "\r\n",
        start + "Port: 1\r\nInfohash: 11\r\n", start + "Port: 1\r\n\r\n" + hash})
    EXPECT_FALSE(parse_local_announce(as_bytes(text))) << text;
}

TEST(LocalDiscovery, TakesSoManyHashes) {
  std::string text = "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n";
  for (int i = 0; i < 100; ++i) text += "Infohash: " + kDigits + "\r\n";
  EXPECT_EQ(parse_local_announce(as_bytes(text))->info_hashes.size(), kMaxLocalHashes);
}

}  // namespace
}  // namespace swarmfs::wire
