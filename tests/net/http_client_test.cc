// Our announces over HTTP against servers that misbehave.
#include "swarm/net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "swarm/wire/tracker_http.h"
#include "tests/net/net_fixture.h"
#include "tests/net/test_server.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

std::string reply_with(const std::vector<const char*>& peers) {
  wire::AnnounceResponse response;
  response.interval = 60s;
  for (const char* peer : peers) response.peers.push_back(*Endpoint::parse(peer));
  return std::string(as_text(wire::encode_announce_response(response)));
}

class HttpClientTest : public NetTest {
 protected:
  TrackerClient::Options options() {
    TrackerClient::Options out;
    out.timeout = 5s;
    return out;
  }
  Result<TrackerClient::Answer> ask(TestServer& server, const std::string& path = "/announce") {
    TrackerClient client(loop.get_executor(), Route::plain(), options(), logger);
    return announce(client, "http://" + server.authority() + path);
  }
  static TestServer::Speak always(std::string bytes) {
    return [bytes](const std::string&) { return Said{bytes}; };
  }
};

TEST_F(HttpClientTest, AsksAsAGoodClientDoes) {
  TestServer server(loop, "127.0.0.1", always(http_answer(reply_with({"127.0.0.1:5"}))));
  const auto answer = ask(server, "/x y/announce?passkey=SECRET");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->response.peers, testing::ElementsAre(*Endpoint::parse("127.0.0.1:5")));
  EXPECT_EQ(answer->scope, engine::Scope::local);
  ASSERT_EQ(server.requests().size(), 1U);
  const std::string& head = server.requests()[0];
  EXPECT_TRUE(
      head.starts_with("GET /x%20y/announce?passkey=SECRET&info_hash=ZZZZZZZZZZZZZZZZZZZZ"));
  EXPECT_THAT(head, HasSubstr("Host: " + server.authority() + "\r\n"));
  EXPECT_THAT(head, HasSubstr("event=started"));
  EXPECT_THAT(head, HasSubstr("key=00000007"));
}

TEST_F(HttpClientTest, PasskeysReachNeitherLogNorError) {
  std::string all;
  for (const std::string& answer :
       {http_answer("nothing"), http_answer("", "500 Oops"), http_answer(reply_with({})),
        http_answer("", "302 Found", "Location: ftp://PASSKEY/\r\n"), std::string("junk\r\n\r\n"),
        http_answer("", "302 Found", "Location: /announce/PASSKEY\r\n")}) {
    TestServer server(loop, "127.0.0.1", always(answer));
    const auto result = ask(server, "/PASSKEY/announce?PASSKEY");
    if (!result) all += result.error().message + "\n";
  }
  EXPECT_THAT(all + log.str(), Not(HasSubstr("PASSKEY")));
  EXPECT_THAT(all, HasSubstr("HTTP 500"));
  EXPECT_THAT(all, HasSubstr("not a bencoded dictionary"));
}

TEST_F(HttpClientTest, GivesTheTrackersReasonWhateverTheStatus) {
  const std::string body(as_text(wire::encode_tracker_failure("unregistered torrent")));
  for (const char* status : {"200 OK", "400 Bad Request", "403 Forbidden"}) {
    TestServer server(loop, "127.0.0.1", always(http_answer(body, status)));
    const auto answer = ask(server);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "tracker refused: unregistered torrent") << status;
  }
}

TEST_F(HttpClientTest, FollowsRedirectsAndEndsLoops) {
  TestServer target(loop, "127.0.0.1", always(http_answer(reply_with({}))));
  TestServer once(
      loop, "127.0.0.1",
      always(http_answer("", "302 Found", "Location: http://" + target.authority() + "/a\r\n")));
  EXPECT_TRUE(ask(once));
  EXPECT_EQ(target.requests().size(), 1U);

  TestServer circle(loop, "127.0.0.1", always(http_answer("", "301 M", "Location: /again\r\n")));
  const auto lost = ask(circle);
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message, HasSubstr("too many redirects"));
  EXPECT_EQ(circle.requests().size(), 6U) << "the first and five redirects";
}

TEST_F(HttpClientTest, ATrickleEndsAtTheDeadline) {
  TestServer server(loop, "127.0.0.1", [](const std::string&) {
    return Said{http_answer(std::string(1000, 'x')), 50ms};
  });
  TrackerClient::Options quick = options();
  quick.timeout = 400ms;
  TrackerClient client(loop.get_executor(), Route::plain(), quick, logger);
  const auto answer = announce(client, "http://" + server.authority() + "/announce");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::timed_out);
  server.close();
}

TEST_F(HttpClientTest, BodiesAreBoundedWhateverIsClaimed) {
  TestServer claims(loop, "127.0.0.1",
                    always("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nd"));
  EXPECT_FALSE(ask(claims));
  TestServer sends(loop, "127.0.0.1",
                   always("HTTP/1.1 200 OK\r\n\r\n" + std::string(9 * 1024 * 1024, 'd')));
  const auto flood = ask(sends);
  ASSERT_FALSE(flood);
  EXPECT_THAT(flood.error().message, HasSubstr("too long"));
  TestServer chunks(loop, "127.0.0.1",
                    always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "ffffffffffffffffff\r\nd"));
  EXPECT_FALSE(ask(chunks));
  TestServer header(loop, "127.0.0.1",
                    always("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'h') + "\r\n\r\n"));
  EXPECT_FALSE(ask(header));
}

TEST_F(HttpClientTest, RefusesACompressedBody) {
  TestServer server(loop, "127.0.0.1",
                    always(http_answer("\x1f\x8b", "200 OK", "Content-Encoding: gzip\r\n")));
  const auto answer = ask(server);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("compressed"));
}

TEST_F(HttpClientTest, ReadsABodyThatEndsWithTheConnectionAndAChunkedOne) {
  const std::string body = reply_with({"127.0.0.1:5"});
  TestServer open_end(loop, "127.0.0.1", always("HTTP/1.0 200 OK\r\n\r\n" + body));
  EXPECT_EQ(ask(open_end)->response.peers.size(), 1U);
  std::ostringstream chunked;
  chunked << "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          << std::hex << body.size() << "\r\n"
          << body << "\r\n0\r\n\r\n";
  TestServer chunks(loop, "127.0.0.1", always(chunked.str()));
  EXPECT_EQ(ask(chunks)->response.peers.size(), 1U);
}

TEST_F(HttpClientTest, ANameFromThePublicNetworkLeadsNowhereLocal) {
  TestServer server(loop, "127.0.0.1", always(http_answer(reply_with({}))));
  TrackerClient::Options rebound = options();
  rebound.http.hosts["tracker.example"] = {*IpAddress::parse("127.0.0.1")};
  TrackerClient client(loop.get_executor(), Route::plain(), rebound, logger);
  const std::string port = std::to_string(server.port());
  const auto http = announce(client, "http://tracker.example:" + port + "/announce");
  ASSERT_FALSE(http);
  EXPECT_EQ(http.error().kind, ErrorKind::permission);
  const auto udp = announce(client, "udp://tracker.example:" + port + "/announce");
  ASSERT_FALSE(udp);
  EXPECT_EQ(udp.error().kind, ErrorKind::permission);
  EXPECT_TRUE(server.requests().empty()) << "not even a connection's worth of harm";
  EXPECT_TRUE(announce(client, "http://127.0.0.1:" + port + "/announce"))
      << "the same place, spelled out, is what the user's torrent asked for";
}

TEST_F(HttpClientTest, AnAbandonedAnnounceNeverCallsBack) {
  TestServer server(loop, "127.0.0.1", [](const std::string&) {
    return Said{http_answer(std::string(1000, 'x')), 10ms};
  });
  int calls = 0;
  TrackerClient client(loop.get_executor(), Route::plain(), options(), logger);
  const auto id = client.announce("http://" + server.authority() + "/announce", request(),
                                  [&](auto&&, bool) { ++calls; });
  ASSERT_TRUE(run_until([&] { return !server.requests().empty(); }));
  client.cancel(id);
  {
    TrackerClient doomed(loop.get_executor(), Route::plain(), options(), logger);
    doomed.announce("http://" + server.authority() + "/announce", request(),
                    [&](auto&&, bool) { ++calls; });
    doomed.announce("udp://127.0.0.1:9/announce", request(), [&](auto&&, bool) { ++calls; });
    doomed.announce("nonsense", request(), [&](auto&&, bool) { ++calls; });
  }
  run_until([] { return false; }, 300ms);
  EXPECT_EQ(calls, 0);
  server.close();
}

TEST_F(HttpClientTest, BadUrlsAreErrorsLikeAnyOther) {
  TrackerClient client(loop.get_executor(), Route::plain(), options(), logger);
  for (const char* url : {"", "wss://a/", "http://", "udp://127.0.0.1"})
    EXPECT_FALSE(announce(client, url)) << url;
}

}  // namespace
}  // namespace swarmfs::net::test
