// WebSeeds against a server on loopback: who may be connected to, and what is tried again.
#include "swarm/net/web_seeds.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include "tests/net/test_server.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;
using swarmfs::test::make_content;
using test::Said;
using test::TestServer;

struct Rig {
  explicit Rig(const std::string& url, bool users) {
    WebSeeds::Ports ports;
    ports.wanted = [this] { return wanted; };
    ports.connected = [this](std::unique_ptr<PeerStream> stream, const Endpoint&,
                             const wire::Handshake&, Duration) { peer = std::move(stream); };
    WebSeeds::Given given{url, engine::WebSeedFiles::Kind::files, users};
    seeds = std::make_unique<WebSeeds>(
        io.get_executor(), context, *content.metainfo, std::vector{given}, std::move(ports),
        std::make_shared<spdlog::logger>("t", std::make_shared<spdlog::sinks::null_sink_mt>()));
    seeds->start();
  }
  void run(std::function<bool()> until) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!until() && std::chrono::steady_clock::now() < end) io.run_one_for(100ms);
    EXPECT_TRUE(until()) << seeds->words().at(0);
  }
  bool said(const std::string& what) const {
    return seeds->words().at(0).find(what) != std::string::npos;
  }

  asio::io_context io;
  swarmfs::test::TestContent content =
      make_content(metainfo::Format::v1, 4 * kBlockSize, {100'000});
  std::shared_ptr<HttpContext> context = [this] {
    HttpOptions options;
    options.hosts["public.example"] = {*IpAddress::parse("127.0.0.1")};
    return make_http_context(Route::plain(), options);
  }();
  bool wanted = true;
  std::unique_ptr<PeerStream> peer;
  std::unique_ptr<WebSeeds> seeds;
};

TEST(WebSeedsNet, APublicNameThatLeadsToALocalAddressIsRefused) {
  Rig rig("http://public.example:1/f", false);
  rig.run([&] { return rig.said("local address: refused"); });
  EXPECT_FALSE(rig.peer);
}

TEST(WebSeedsNet, TheUsersOwnUrlMayBeLocal) {
  asio::io_context other;
  TestServer server(other, "127.0.0.1", [](const std::string&) { return Said{"", 0ms}; });
  Rig rig("http://public.example:" + std::to_string(server.port()) + "/f", true);
  rig.run([&] { return rig.peer != nullptr; });
  EXPECT_TRUE(rig.said("serves"));
}

TEST(WebSeedsNet, DistrustIsForGood) {
  asio::io_context other;
  TestServer server(other, "127.0.0.1", [](const std::string&) { return Said{"", 0ms}; });
  Rig rig("http://127.0.0.1:" + std::to_string(server.port()) + "/f", false);
  rig.run([&] { return rig.peer != nullptr; });
  rig.peer->distrust();
  rig.run([&] { return rig.said("sent wrong bytes"); });
  std::uint8_t byte = 0;
  while (rig.peer->read({&byte, 1}) > 0) continue;
  EXPECT_EQ(rig.peer->read({&byte, 1}), 0) << "its end, as of any stream";
  rig.peer.reset();
  rig.seeds->stop();
  rig.seeds->start();
  rig.io.run_for(300ms);
  EXPECT_FALSE(rig.peer);
}

TEST(WebSeedsNet, NothingIsConnectedWhileNothingIsWanted) {
  Rig rig("http://127.0.0.1:1/f", false);
  rig.wanted = false;
  rig.io.run_for(200ms);
  EXPECT_TRUE(rig.said("not asked yet"));
}

}  // namespace
}  // namespace swarmfs::net
