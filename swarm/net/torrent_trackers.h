// Announces one torrent to its trackers for as long as it lives: drives a TrackerSchedule.
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/hash.h"
#include "swarm/engine/address_policy.h"
#include "swarm/engine/tracker_schedule.h"
#include "swarm/net/tracker_client.h"

namespace swarmfs::net {

class TorrentTrackers {
 public:
  /// What announces say at the moment.
  struct Stats {
    std::uint64_t uploaded = 0;    ///< payload bytes since start()
    std::uint64_t downloaded = 0;  ///< payload bytes since start()
    std::uint64_t left = 0;        ///< bytes; 0 makes us a seed
    std::uint16_t port = 0;        ///< where we accept peers
    std::uint32_t numwant = 50;
  };
  struct Config {
    std::vector<std::vector<std::string>> tiers;
    InfoHashes hashes;  ///< each one present is announced
    std::array<std::uint8_t, 20> peer_id{};
    std::uint32_t key = 0;  ///< random, the same as long as the program runs (BEP 7)
    Duration shortest_interval = std::chrono::seconds(30);
    bool one_at_a_time = false;  ///< BEP 27: see the method
  };
  struct Found {
    std::vector<Endpoint> peers;  ///< may be dialled; none is checked for being ourselves
    engine::Scope scope = engine::Scope::global;
    std::optional<IpAddress> external_ip;
  };
  /// For people: how each tracker does.
  struct Status {
    std::string tracker;  ///< without passkey
    std::size_t tier = 0;
    bool working = false;
    std::string message;  ///< the last error or warning, or empty
    std::optional<std::uint32_t> seeders;
    std::optional<std::uint32_t> leechers;
  };

  /// `client` outlives this. `stats` is asked before every announce; `found` is called when a
  /// tracker answers with peers. Both on the executor's thread, never from inside a call here
  /// (`stats` excepted), and either may destroy this object (`stats` excepted).
  TorrentTrackers(boost::asio::any_io_executor executor, TrackerClient& client, Config config,
                  std::function<Stats()> stats, std::function<void(const Found&)> found,
                  std::shared_ptr<spdlog::logger> logger);
  /// Without stop() first no `stopped` is sent. No callback comes afterwards.
  ~TorrentTrackers();
  TorrentTrackers(const TorrentTrackers&) = delete;
  TorrentTrackers& operator=(const TorrentTrackers&) = delete;

  void start();
  /// Hashes that were not known at first: what is new of them is announced as well.
  void add_hashes(const InfoHashes& hashes);
  /// BEP 27: asks one tracker at a time from now on, and another only when that fails. `switched`
  /// comes before the first peers of another than before; it must not destroy this object.
  void one_at_a_time(std::function<void()> switched);
  /// The download finished here, now. Not for a torrent that was complete at start().
  void completed();
  /// More peers are wanted than the intervals bring; cheap to repeat.
  void want_peers();
  /// Stats::port is another one: those that know the old one are told.
  void port_changed();
  /// See engine::TrackerSchedule.
  void network_changed();
  /// Tells the trackers goodbye. `done` is called once, from the loop, when they have answered and
  /// at the latest after kStopTime.
  void stop(std::function<void()> done);
  /// Begins anew after stop(), and gives up what that has not told yet. Nothing if it has not been
  /// stopped.
  void restart();
  static constexpr Duration kStopTime = std::chrono::seconds(2);

  std::vector<Status> status() const;

 private:
  void pump();
  void send(const engine::TrackerSchedule::Announce& announce);
  void on_answer(std::uint64_t id, const std::string& url, Result<TrackerClient::Answer> answer,
                 bool last);
  void finish_stop();

  struct Report {  ///< what a tracker said last
    std::string message;
    std::optional<std::uint32_t> seeders;
    std::optional<std::uint32_t> leechers;
  };
  struct Flight {  ///< an announce on its way
    std::uint64_t call = 0;
    std::optional<engine::TrackerSchedule::Reply> reply;  ///< of the families that have answered
  };

  TrackerClient& client_;
  Config config_;
  std::function<Stats()> stats_;
  std::function<void(const Found&)> found_;
  std::shared_ptr<spdlog::logger> logger_;
  engine::TrackerSchedule schedule_;
  std::map<std::uint64_t, Flight> flights_;  ///< by the schedule's id
  std::map<std::string, Report> reports_;    ///< by URL
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer stop_timer_;
  bool running_ = false;
  std::function<void()> stop_done_;
  std::function<void()> switched_;
  std::string answered_;  ///< URL of the tracker that answered last
  /// Handlers of timers that are queued already hold it weakly: gone means we are.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
