#include "swarm/wire/tracker_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace swarmfs::wire {
namespace {

AnnounceRequest sample() {
  AnnounceRequest request;
  for (std::size_t i = 0; i < 20; ++i) {
    request.info_hash[i] = static_cast<std::uint8_t>(i * 13);
    request.peer_id[i] = static_cast<std::uint8_t>(255 - i);
  }
  request.uploaded = 1;
  request.downloaded = 1ULL << 40;
  request.left = 3;
  request.event = TrackerEvent::started;
  request.port = 6881;
  request.key = 0xdeadbeef;
  request.numwant = 50;
  request.tracker_id = "a&b=c";
  request.ip = IpAddress::parse("2001:db8::1");
  return request;
}

Endpoint at(const char* text) { return *Endpoint::parse(text); }

TEST(TrackerHttp, AnnounceRequestRoundTrips) {
  const std::string target = announce_target("/announce", sample());
  ASSERT_TRUE(target.starts_with("/announce?info_hash=%00%0D%1A"));
  const auto back = decode_announce_query(target.substr(target.find('?') + 1));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, sample());
}

TEST(TrackerHttp, AnnounceKeepsTheQueryOfItsUrl) {
  EXPECT_TRUE(announce_target("/a?pk=1", sample()).starts_with("/a?pk=1&info_hash="));
}

TEST(TrackerHttp, EncodesTheInfoHashOfBep3sWorldAsOthersDo) {
  AnnounceRequest request;
  const std::string_view hash =
      "\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a";
  std::copy(hash.begin(), hash.end(), request.info_hash.begin());
  EXPECT_THAT(announce_target("/announce", request),
              testing::HasSubstr("info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&"));
}

TEST(TrackerHttp, RefusesQueriesWithoutTheEssentials) {
  const std::string hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
  const std::string id = "&peer_id=bbbbbbbbbbbbbbbbbbbb";
  EXPECT_TRUE(decode_announce_query(hash + id + "&port=1"));
  EXPECT_FALSE(decode_announce_query(hash + id));
  EXPECT_FALSE(decode_announce_query(hash + "&port=1"));
  EXPECT_FALSE(decode_announce_query(id + "&port=1"));
  EXPECT_FALSE(decode_announce_query(hash + "a" + id + "&port=1"));
  EXPECT_FALSE(decode_announce_query(hash + id + "&port=65536"));
  EXPECT_FALSE(decode_announce_query(hash + id + "&port=-1"));
  EXPECT_FALSE(decode_announce_query(""));
  EXPECT_FALSE(decode_announce_query("&&==&=&info_hash"));
}

TEST(TrackerHttp, SenderThatDoesNotSayWhatIsLeftIsNoSeed) {
  const auto request = decode_announce_query(
      "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&left=-3");
  ASSERT_TRUE(request);
  EXPECT_GT(request->left, 0U);
}

TEST(TrackerHttp, AnnounceResponseRoundTripsCompactAndNot) {
  AnnounceResponse response;
  response.interval = std::chrono::seconds(1800);
  response.min_interval = std::chrono::seconds(60);
  response.seeders = 4;
  response.leechers = 5;
  response.peers = {at("1.2.3.4:5"), at("9.8.7.6:65535"), at("[2001:db8::7]:80")};
  response.tracker_id = "id";
  response.warning = "careful";
  response.external_ip = IpAddress::parse("5.6.7.8");
  EXPECT_EQ(decode_announce_response(encode_announce_response(response, true)).value(), response);
  EXPECT_EQ(decode_announce_response(encode_announce_response(response, false)).value(), response);
}

TEST(TrackerHttp, ReadsRepliesOfOtherTrackers) {
  const std::string_view body =
      "d8:completei1e10:incompletei2e8:intervali900e5:peersl"
      "d2:ip9:127.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881ee"
      "d2:ip3:::14:porti1ee"
      "d2:ip11:example.org4:porti1ee"
      "d2:ip9:127.0.0.14:porti0ee"
      "d2:ip9:127.0.0.14:porti70000ee"
      "ee\n";
  const auto response = decode_announce_response(as_bytes(body));
  ASSERT_TRUE(response);
  EXPECT_THAT(response->peers, testing::ElementsAre(at("127.0.0.1:6881"), at("[::1]:1")));
  EXPECT_EQ(response->interval.count(), 900);
}

TEST(TrackerHttp, LeavesOutPeersThatNobodyCanDial) {
  const std::string body = std::string("d5:peers19:") + std::string("\1\2\3\4\0\5", 6) +
                           std::string("\0\0\0\0\0\5", 6) + std::string("\1\2\3\4\0\0", 6) + "xe";
  const auto response = decode_announce_response(as_bytes(body));
  ASSERT_TRUE(response);
  EXPECT_THAT(response->peers, testing::ElementsAre(at("1.2.3.4:5")));
}

TEST(TrackerHttp, FailureReasonIsAnErrorFitForATerminal) {
  const auto response =
      decode_announce_response(encode_tracker_failure("go away\x1b]52;c;eA==\a\r\n"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::protocol);
  EXPECT_EQ(response.error().message, "tracker refused: go away?]52;c;eA==???");
}

TEST(TrackerHttp, CapsWhatATrackerMayClaim) {
  std::string peers;
  for (int i = 0; i < 5000; ++i) peers += std::string("\1\2\3\4\0\5", 6);
  const std::string body =
      "d8:intervali99999999999e5:peers" + std::to_string(peers.size()) + ":" + peers + "e";
  const auto response = decode_announce_response(as_bytes(body));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->peers.size(), kMaxTrackerPeers);
  EXPECT_LE(response->interval, std::chrono::hours(24 * 7));
}

TEST(TrackerHttp, RefusesRepliesThatAreNoDictionary) {
  for (const char* body : {"", "i1e", "le", "d", "<html>404</html>", "d8:intervale",
                           "d5:peers999999999999999999999:ae"}) {
    EXPECT_FALSE(decode_announce_response(as_bytes(body))) << body;
  }
  EXPECT_FALSE(decode_announce_response(as_bytes(std::string(1'000'000, 'l'))));
}

TEST(TrackerHttp, MutatedRepliesNeverCrash) {
  AnnounceResponse response;
  response.peers = {at("1.2.3.4:5"), at("[2001:db8::7]:80")};
  response.min_interval = std::chrono::seconds(60);
  const Bytes good = encode_announce_response(response);
  std::mt19937 rng(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes bad = good;
    for (int n = 0; n < 1 + i % 4; ++n) bad[rng() % bad.size()] = static_cast<std::uint8_t>(rng());
    bad.resize(rng() % (bad.size() + 1));
    (void)decode_announce_response(bad);
    (void)decode_scrape_response(bad);
    (void)decode_announce_query(as_text(bad));
  }
}

TEST(TrackerHttp, ScrapeTargetFollowsBep48) {
  const std::vector<Sha1Hash> one{Sha1Hash{}};
  EXPECT_TRUE(scrape_target("/announce", one)->starts_with("/scrape?info_hash=%00"));
  EXPECT_TRUE(
      scrape_target("/x/announce.php?k=1", one)->starts_with("/x/scrape.php?k=1&info_hash="));
  EXPECT_FALSE(scrape_target("/a", one));
  EXPECT_FALSE(scrape_target("/announce/x", one));
  EXPECT_FALSE(scrape_target("/x?y=/announce", one));
}

TEST(TrackerHttp, ScrapeRoundTripsSortedAndOnce) {
  Sha1Hash a{};
  Sha1Hash b{};
  b[0] = 1;
  const std::vector<ScrapeEntry> entries{{b, 1, 2, 3}, {a, 4, 5, 6}, {b, 1, 2, 3}};
  const auto back = decode_scrape_response(encode_scrape_response(entries));
  ASSERT_TRUE(back);
  EXPECT_THAT(*back, testing::ElementsAre(ScrapeEntry{a, 4, 5, 6}, ScrapeEntry{b, 1, 2, 3}));
  const std::vector<Sha1Hash> hashes{a, b};
  const std::string target = *scrape_target("/announce", hashes);
  EXPECT_EQ(*decode_scrape_query(target.substr(target.find('?') + 1)), hashes);
  EXPECT_FALSE(decode_scrape_query("info_hash=short"));
}

}  // namespace
}  // namespace swarmfs::wire
