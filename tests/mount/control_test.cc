#include "mount/control.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "mount/status_text.h"
#include "mount/unix_socket.h"

namespace swarmfs::mount {
namespace {

using nlohmann::json;
using std::chrono::seconds;

struct ControlTest : testing::Test {
  void SetUp() override {
    char name[] = "/tmp/swarmfs-control-XXXXXX";
    runtime = ::mkdtemp(name);
    ::setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
    folder = control_folder().value();
    path = control_path(folder, "/mnt/x");
  }
  void TearDown() override {
    ::unlink(path.c_str());
    ::rmdir(folder.c_str());
    ::rmdir(runtime.c_str());
  }
  std::unique_ptr<ControlServer> serve() {
    ControlHandlers handlers;
    handlers.unmount = [this] { unmounted = true; };
    handlers.commands = {{"status",
                          [](const json&) {
                            return json{{"status", {{"mountpoint", "/mnt/x"}}}};
                          }},
                         {"why",
                          [](const json& r) {
                            return json{{"why", {{"about", r.value("path", "")}}}};
                          }},
                         {"forbid",
                          [](const json&) {
                            return refusal({ErrorKind::permission, "you may not"});
                          }},
                         {"throw", [](const json& r) { return json(r.at("nothing")); }},
                         {"wait", [this](const json&) {
                            ++waiting;
                            while (!let_go)
                              std::this_thread::sleep_for(std::chrono::milliseconds(1));
                            return json::object();
                          }}};
    return std::move(ControlServer::listen(path, std::move(handlers)).value());
  }
  Fd connect() const {
    sockaddr_un address{};
    to_address(path, address);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  std::string runtime, folder, path;
  std::atomic<bool> unmounted{false};
  std::atomic<int> waiting{0};
  std::atomic<bool> let_go{false};
};

TEST_F(ControlTest, AnswersStatusAndUnmount) {
  const auto server = serve();
  const auto status = control_request(path, "status", seconds(5));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(json::parse(*status)["status"]["mountpoint"], "/mnt/x");
  EXPECT_FALSE(unmounted);
  EXPECT_TRUE(control_request(path, "unmount", seconds(5)));
  for (int i = 0; i < 500 && !unmounted; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(unmounted);
  const auto other = control_request(path, "dance", seconds(5));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "unknown command");
}

TEST_F(ControlTest, AnswersWhyForAPathAndForAll) {
  const auto server = serve();
  for (const std::string about : {"", "t/film.mp4"}) {
    const auto why = control_request(path, "why", seconds(5), about);
    ASSERT_TRUE(why) << why.error().message;
    EXPECT_EQ(json::parse(*why)["why"]["about"], about);
  }
}

TEST_F(ControlTest, PassesOnRefusalsWithTheirKindAndWhatIsThrown) {
  const auto server = serve();
  const auto refused = control_request(path, "forbid", seconds(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::permission);
  EXPECT_EQ(refused.error().message, "you may not");
  EXPECT_FALSE(control_request(path, "throw", seconds(5)));
  EXPECT_FALSE(control_send(path, {{"command", "why"}, {"path", 7}}, seconds(5)));
  const auto unknown = control_request(path, "dance", seconds(5));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::protocol);
}

TEST_F(ControlTest, ACommandThatTakesLongKeepsNobodyElseWaiting) {
  const auto server = serve();
  std::thread slow([&] { EXPECT_TRUE(control_request(path, "wait", seconds(30))); });
  while (waiting == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(control_request(path, "status", seconds(10)));
  let_go = true;
  slow.join();
}

TEST_F(ControlTest, IsForItsOwnerOnly) {
  const auto server = serve();
  struct stat st {};
  ASSERT_EQ(::stat(folder.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  ::chmod(folder.c_str(), 0755);
  const auto refused = control_folder();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::permission);
  ::chmod(folder.c_str(), 0700);
}

TEST_F(ControlTest, RefusesMalformedRequestsAndGoesOn) {
  const auto server = serve();
  for (const std::string bad : {"", "{", "[]", "null", "{\"version\":2,\"command\":\"status\"}",
                                "{\"version\":\"1\",\"command\":\"status\"}", "{\"version\":1}",
                                "{\"version\":1,\"command\":7}", "\xff\xfe"}) {
    const Fd fd = connect();
    ASSERT_TRUE(send_all(fd.get(), bad + "\n", std::chrono::steady_clock::now() + seconds(5)));
    const auto reply =
        receive_line(fd.get(), kMaxControlReply, std::chrono::steady_clock::now() + seconds(5));
    ASSERT_TRUE(reply) << bad;
    EXPECT_EQ(json::parse(*reply)["ok"], false) << bad;
  }
  EXPECT_TRUE(control_request(path, "status", seconds(5)));
}

TEST_F(ControlTest, CutsOffAnOversizedRequest) {
  const auto server = serve();
  const Fd fd = connect();
  const std::string flood(1 << 20, 'x');
  // May fail half-way: the server stops reading.
  static_cast<void>(send_all(fd.get(), flood, std::chrono::steady_clock::now() + seconds(5)));
  EXPECT_TRUE(control_request(path, "status", seconds(8)));
}

TEST_F(ControlTest, ClientThatLeavesOrSaysNothingDoesNoHarm) {
  const auto server = serve();
  { const Fd gone = connect(); }
  const Fd silent = connect();
  EXPECT_TRUE(control_request(path, "status", seconds(9)));
}

TEST_F(ControlTest, ReplacesADeadSocketButNotALiveOne) {
  { const auto server = serve(); }
  EXPECT_EQ(control_request(path, "status", seconds(1)).error().kind, ErrorKind::not_found);
  {
    Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    to_address(path, address);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  const auto server = serve();
  EXPECT_EQ(control_sockets(folder), std::vector<std::string>{path});
  const auto second = ControlServer::listen(path, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::busy);
}

TEST(StatusText, RendersTorrentsAndDisarmsNames) {
  const json status = {{"version", 1},
                       {"mountpoint", "/mnt/x"},
                       {"torrents",
                        {{{"name", "a\x1b[31m film"},
                          {"infohash", "ab"},
                          {"progress", 0.99999},
                          {"bytes_here", 1536},
                          {"size", 3 << 20},
                          {"down_rate", 2048},
                          {"up_rate", 0},
                          {"peers", 7},
                          {"seeds", 2},
                          {"waiting_reads", 3},
                          {"state", "downloading"}}}}};
  EXPECT_EQ(status_text(status),
            "/mnt/x\n  a?[31m film\n     99.9 % (1.5 KiB of 3.0 MiB)  down 2.0 KiB/s  up 0 B/s  "
            "peers 7 (2 seeds)  waiting reads 3  downloading\n");
  json with_reads = status;
  with_reads["latency"]["peer"] = {{"count", 12}, {"p50_us", 65536}, {"p99_us", 1 << 20}};
  EXPECT_EQ(status_text(with_reads),
            status_text(status) + "  12 reads from peers: half within 66 ms, 99 % within 1.0 s\n");
  auto mapped = status;
  mapped["port_mapping"] = {
      {"used", true}, {"method", "PCP"}, {"tcp", "203.0.113.9:6881"}, {"udp", nullptr}};
  EXPECT_EQ(status_text(mapped), status_text(status) + "  reached at 203.0.113.9:6881 (PCP)\n");
  mapped["port_mapping"]["tcp"] = nullptr;
  EXPECT_EQ(status_text(mapped), status_text(status));
  auto routed = status;
  routed["route"] = {
      {"proxy", "socks5://192.0.2.1:1080"}, {"interface", nullptr}, {"interface_there", true}};
  EXPECT_EQ(status_text(routed),
            status_text(status) + "  through socks5://192.0.2.1:1080, or nowhere\n");
  routed["route"] = {{"proxy", nullptr}, {"interface", "wg0"}, {"interface_there", false}};
  EXPECT_EQ(status_text(routed),
            status_text(status) + "  by wg0, which is not there now, or nowhere\n");
  EXPECT_EQ(status_text(json::array()), "");
  EXPECT_EQ(status_text({{"mountpoint", 7}, {"torrents", {1, {{"name", 2}}}}}).substr(0, 1), "\n");
}

TEST(StatusText, OneLineForAServiceManagerHasNoNames) {
  const json torrent = {{"name", "a\nb"},    {"bytes_here", 1 << 20}, {"size", 3 << 20},
                        {"down_rate", 2048}, {"up_rate", 1024},       {"peers", 7},
                        {"waiting_reads", 3}};
  EXPECT_EQ(status_line({{"torrents", {torrent, torrent}}}),
            "33.3 % of 6.0 MiB here, torrents 2, down 4.0 KiB/s, up 2.0 KiB/s, peers 14, "
            "waiting reads 6");
  EXPECT_EQ(status_line({{"torrents", json::array()}}),
            "100.0 % of 0 B here, torrents 0, down 0 B/s, up 0 B/s, peers 0, waiting reads 0");
  EXPECT_EQ(status_line(7), "");
}

}  // namespace
}  // namespace swarmfs::mount
