// net::DhtService on loopback sockets: nodes that find each other, their file, and their questions.
#include "swarm/net/dht_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "swarm/net/dht_host.h"
#include "tests/net/net_fixture.h"
#include "tests/support/temp_folder.h"

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;
using testing::Contains;

class DhtServiceTest : public test::NetTest {
 protected:
  using Host = std::unique_ptr<DhtHost>;

  Host node(std::vector<std::string> bootstrap = {}, std::filesystem::path table = {}) {
    DhtConfig config;
    config.bootstrap = std::move(bootstrap);
    config.table = std::move(table);
    auto made = DhtHost::open(loop, Route::plain(), {*Endpoint::parse("127.0.0.1:0")},
                              std::move(config), logger);
    EXPECT_TRUE(made) << made.error().message;
    if (!made) return nullptr;
    (*made)->service().start();
    return std::move(*made);
  }
  static Endpoint where(const Host& host) { return host->service().status().at(0).local; }
  static std::size_t known(const Host& host) { return host->service().status().at(0).known; }

  /// What a question to a node comes to.
  struct Answer {
    std::optional<Result<dht::NodeId>> id;
    dht::Node::OnAnswer callback() {
      return [this](const Result<wire::KrpcResponse>& answer, Duration) {
        if (answer) {
          id = answer->id;
        } else {
          id = answer.error();
        }
      };
    }
  };
  static wire::KrpcQuery ping() {
    wire::KrpcQuery query;
    query.method = wire::KrpcMethod::ping;
    return query;
  }

  swarmfs::test::TempFolder dir;
  Sha1Hash hash = [] {
    Sha1Hash out;
    out.fill(0x5a);
    return out;
  }();
};

TEST_F(DhtServiceTest, OneFindsWhatAnotherAnnounces) {
  const Host first = node();
  const Host announcer = node({where(first).to_string()});
  const Host seeker = node({where(first).to_string()});
  ASSERT_TRUE(run_until([&] { return known(announcer) > 0 && known(seeker) > 0; }));
  dht::FindOptions options;
  options.announce = true;
  options.port = 4000;
  std::optional<dht::SearchEnd> end;
  const auto ours = announcer->service().find_peers(
      {hash}, options, [](const dht::FoundPeers&) {},
      [&](const dht::SearchEnd& what) { end = what; });
  ASSERT_TRUE(run_until([&] { return end.has_value(); }));
  EXPECT_GE(end->announced, 1U);
  std::vector<Endpoint> found;
  const auto theirs = seeker->service().find_peers({hash}, {},
                                                   [&](const dht::FoundPeers& peers) {
                                                     found.insert(found.end(), peers.peers.begin(),
                                                                  peers.peers.end());
                                                   },
                                                   {});
  EXPECT_TRUE(run_until([&] { return !found.empty(); }));
  EXPECT_THAT(found, Contains(*Endpoint::parse("127.0.0.1:4000")));
}

TEST_F(DhtServiceTest, ANodeThatAPeerHasNamedIsKeptIfItAnswers) {
  const Host named = node();
  const Host ours = node();
  ours->service().offer({where(named).address, 9});  // nobody
  ours->service().offer(where(named));
  EXPECT_TRUE(run_until([&] { return known(ours) > 0; }));
  EXPECT_EQ(known(ours), 1U);
}

TEST_F(DhtServiceTest, ATableIsKeptForTheNextRunAndARunWithoutAnybodyLeavesIt) {
  const auto file = dir.path() / "new" / "dht";
  Host first = node();
  {
    const Host early = node({where(first).to_string()}, file);
    ASSERT_TRUE(run_until([&] { return known(early) > 0; }));
  }  // the host waits for its disk
  ASSERT_TRUE(std::filesystem::exists(file));
  {
    const Host late = node({}, file);
    EXPECT_TRUE(run_until([&] { return known(late) > 0; })) << "nobody but the file names the node";
  }
  const auto read = [&] {
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string kept = read();
  first.reset();
  {
    const Host alone = node({}, file);
    run_until([] { return false; }, 300ms);
  }
  EXPECT_EQ(read(), kept);
}

TEST_F(DhtServiceTest, ADamagedTableIsAsNone) {
  const auto file = dir.path() / "dht";
  std::ofstream(file) << "d5:nodes3:abce";
  const Host first = node();
  const Host ours = node({where(first).to_string()}, file);
  EXPECT_TRUE(run_until([&] { return known(ours) > 0; }));
}

TEST_F(DhtServiceTest, AsksOneNodeOrSaysWhyNot) {
  const Host first = node();
  const Host ours = node();
  Answer good, bad, other_family;
  ours->service().ask_named(where(first).to_string(), ping(), good.callback());
  ours->service().ask_named("nowhere", ping(), bad.callback());
  ours->service().ask(*Endpoint::parse("[::1]:7"), ping(), other_family.callback());
  EXPECT_FALSE(bad.id || other_family.id) << "called back from inside";
  ASSERT_TRUE(run_until([&] { return good.id && bad.id && other_family.id; }));
  ASSERT_TRUE(*good.id) << good.id->error().message;
  EXPECT_EQ(**good.id, first->service().status().at(0).id);
  EXPECT_EQ(bad.id->error().kind, ErrorKind::bad_input);
  EXPECT_EQ(other_family.id->error().kind, ErrorKind::network);
}

TEST_F(DhtServiceTest, WhoLetsGoOfASearchHearsNoMoreOfIt) {
  const Host first = node();
  const Host ours = node({where(first).to_string()});
  ASSERT_TRUE(run_until([&] { return known(ours) > 0; }));
  bool called = false;
  ours->service()
      .find_peers(
          {hash}, {}, [&](const dht::FoundPeers&) { called = true; },
          [&](const dht::SearchEnd&) { called = true; })
      .reset();
  run_until([] { return false; }, 200ms);
  EXPECT_FALSE(called);
  EXPECT_EQ(ours->service().status().at(0).searches, 0U);
}

TEST(DhtBootstrap, IsAHostAndAPort) {
  using Pair = std::pair<std::string, std::uint16_t>;
  EXPECT_EQ(parse_host_port("dht.example.org:6881").value(), (Pair{"dht.example.org", 6881}));
  EXPECT_EQ(parse_host_port("[2001:db8::1]:7").value(), (Pair{"2001:db8::1", 7}));
  for (const char* bad : {"", ":", "host", "host:", ":6881", "host:0", "host:65536", "host:+1",
                          "host:1x", "host:01"}) {
    const auto parsed = parse_host_port(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().kind, ErrorKind::bad_input);
  }
}

}  // namespace
}  // namespace swarmfs::net
