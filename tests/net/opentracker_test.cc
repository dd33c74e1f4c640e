// Our announces to opentracker, over HTTP and UDP. Skipped where it is not installed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "swarm/base/hex.h"
#include "swarm/net/tracker_client.h"
#include "tests/net/net_fixture.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using wire::TrackerEvent;

class OpentrackerTest : public NetTest {
 protected:
  void SetUp() override {
    const char* program = "/usr/bin/opentracker";
    if (!std::filesystem::exists(program)) GTEST_SKIP() << "opentracker is not installed";
    folder = std::filesystem::temp_directory_path() / ("ot-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    ::chmod(folder.c_str(), 0755);
    // Debian's build serves only torrents that it is told of.
    std::ofstream(folder / "whitelist") << to_hex(request().info_hash) << "\n";
    port = free_port();
    child = ::fork();
    if (child == 0) {
      const std::string number = std::to_string(port);
      const int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, 1);
      ::dup2(nowhere, 2);
      // Started by root it gives up root for "nobody" and sees only its folder.
      ::execl(program, program, "-i", "127.0.0.1", "-p", number.c_str(), "-P", number.c_str(), "-d",
              folder.c_str(), "-w",
              ::geteuid() == 0 ? "/whitelist" : (folder / "whitelist").c_str(),
              static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ASSERT_TRUE(run_until([&] { return answers_tcp(); }, 10s)) << "opentracker did not start";
  }
  void TearDown() override {
    if (child > 0) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      std::filesystem::remove_all(folder);
    }
  }
  std::uint16_t free_port() {
    boost::asio::ip::tcp::acceptor probe(loop, {boost::asio::ip::make_address("127.0.0.1"), 0});
    return probe.local_endpoint().port();
  }
  bool answers_tcp() {
    boost::asio::ip::tcp::socket socket(loop);
    boost::system::error_code error;
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
    return !error;
  }

  std::filesystem::path folder;
  pid_t child = -1;
  std::uint16_t port = 0;
  TrackerClient client{loop.get_executor(), Route::plain(), {}, logger};
};

TEST_F(OpentrackerTest, PeersMeetOverHttpAndUdp) {
  const std::string where = "://127.0.0.1:" + std::to_string(port) + "/announce";
  auto first = announce(client, "http" + where, request(1001));
  // It reads its whitelist on a thread of its own, and refuses everybody until then.
  for (int i = 0; i < 100 && !first; ++i) {
    ASSERT_THAT(first.error().message, testing::HasSubstr("not authorized"));
    std::this_thread::sleep_for(50ms);
    first = announce(client, "http" + where, request(1001));
  }
  ASSERT_TRUE(first) << first.error().message;
  const auto second = announce(client, "udp" + where, request(1002));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_THAT(second->response.peers, testing::Contains(*Endpoint::parse("127.0.0.1:1001")));
  const auto third = announce(client, "http" + where, request(1001));
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_THAT(third->response.peers, testing::Contains(*Endpoint::parse("127.0.0.1:1002")));
  EXPECT_EQ(third->response.leechers, 2U);

  for (const std::string scheme : {"http", "udp"}) {
    Result<std::vector<wire::ScrapeEntry>> scraped;
    bool done = false;
    client.scrape(scheme + where, {request().info_hash}, [&](auto entries) {
      scraped = std::move(entries);
      done = true;
    });
    ASSERT_TRUE(run_until([&] { return done; }));
    ASSERT_TRUE(scraped) << scraped.error().message;
    ASSERT_EQ(scraped->size(), 1U);
    EXPECT_EQ(scraped->front().leechers, 2U);
  }

  wire::AnnounceRequest bye = request(1001);
  bye.event = TrackerEvent::stopped;
  ASSERT_TRUE(announce(client, "udp" + where, bye));
  const auto last = announce(client, "udp" + where, request(1002));
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->response.leechers, 1U);
}

TEST_F(OpentrackerTest, ATorrentItDoesNotServeIsRefusedWithItsReason) {
  wire::AnnounceRequest other = request();
  other.info_hash.fill(0x77);
  const auto answer =
      announce(client, "http://127.0.0.1:" + std::to_string(port) + "/announce", other);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, testing::HasSubstr("tracker refused: "));
}

}  // namespace
}  // namespace swarmfs::net::test
