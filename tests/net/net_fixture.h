// A loop on this thread, bounded in time, and announces made on it.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "swarm/net/tracker_client.h"

namespace swarmfs::net::test {

class NetTest : public testing::Test {
 protected:
  NetTest() { logger->set_level(spdlog::level::trace); }

  /// Runs the loop until `done` says so; false if that took longer than `limit`.
  bool run_until(const std::function<bool()>& done,
                 std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    loop.restart();
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop.run_one_for(std::chrono::milliseconds(50));
      loop.restart();
    }
    return true;
  }

  static wire::AnnounceRequest request(std::uint16_t port = 6881, std::uint64_t left = 5) {
    wire::AnnounceRequest out;
    out.info_hash.fill(0x5a);
    out.peer_id.fill('p');
    out.port = port;
    out.left = left;
    out.event = wire::TrackerEvent::started;
    out.key = 7;
    return out;
  }

  /// Everything an announce brings, one entry per address family.
  std::vector<Result<TrackerClient::Answer>> announce_all(TrackerClient& client,
                                                          const std::string& url,
                                                          wire::AnnounceRequest what = request()) {
    std::vector<Result<TrackerClient::Answer>> out;
    bool ended = false;
    client.announce(url, std::move(what), [&](Result<TrackerClient::Answer> answer, bool last) {
      EXPECT_FALSE(ended);
      out.push_back(std::move(answer));
      ended = last;
    });
    EXPECT_TRUE(out.empty()) << "called back from inside";
    EXPECT_TRUE(run_until([&] { return ended; })) << url;
    return out;
  }
  /// The same where the host has one address family.
  Result<TrackerClient::Answer> announce(TrackerClient& client, const std::string& url,
                                         wire::AnnounceRequest what = request()) {
    auto all = announce_all(client, url, std::move(what));
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? fail(ErrorKind::io, "nothing came") : all.front();
  }

  boost::asio::io_context loop{1};
  std::ostringstream log;
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
};

}  // namespace swarmfs::net::test
