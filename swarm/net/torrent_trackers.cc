#include "swarm/net/torrent_trackers.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "swarm/wire/url.h"

namespace swarmfs::net {
namespace {

using Clock = std::chrono::steady_clock;
using engine::TrackerSchedule;
using wire::TrackerEvent;

TrackerSchedule::Config schedule_config(const TorrentTrackers::Config& config) {
  TrackerSchedule::Config out;
  out.tiers = config.tiers;
  if (config.hashes.v1) out.hashes.push_back(*config.hashes.v1);
  if (const auto v2 = config.hashes.v2_truncated()) out.hashes.push_back(*v2);
  out.shortest_interval = config.shortest_interval;
  out.one_at_a_time = config.one_at_a_time;
  return out;
}

std::string redacted(const std::string& url) {
  const auto parsed = wire::Url::parse(url);
  return parsed ? parsed->redacted() : "(unusable URL)";
}

}  // namespace

TorrentTrackers::TorrentTrackers(boost::asio::any_io_executor executor, TrackerClient& client,
                                 Config config, std::function<Stats()> stats,
                                 std::function<void(const Found&)> found,
                                 std::shared_ptr<spdlog::logger> logger)
    : client_(client),
      config_(std::move(config)),
      stats_(std::move(stats)),
      found_(std::move(found)),
      logger_(std::move(logger)),
      schedule_(schedule_config(config_), Rng(std::random_device{}()), Clock::now()),
      timer_(executor),
      stop_timer_(executor) {}

TorrentTrackers::~TorrentTrackers() {
  for (const auto& [id, flight] : flights_) client_.cancel(flight.call);
}

void TorrentTrackers::start() {
  running_ = true;
  pump();
}

void TorrentTrackers::add_hashes(const InfoHashes& hashes) {
  if (hashes.v1 && !config_.hashes.v1) {
    config_.hashes.v1 = hashes.v1;
    schedule_.add_hash(*hashes.v1, Clock::now());
  }
  if (hashes.v2 && !config_.hashes.v2) {
    config_.hashes.v2 = hashes.v2;
    schedule_.add_hash(*hashes.v2_truncated(), Clock::now());
  }
  pump();
}

void TorrentTrackers::one_at_a_time(std::function<void()> switched) {
  config_.one_at_a_time = true;
  switched_ = std::move(switched);
  schedule_.one_at_a_time();
  pump();
}

void TorrentTrackers::completed() {
  schedule_.completed();
  pump();
}

void TorrentTrackers::want_peers() {
  schedule_.want_peers(Clock::now());
  pump();
}

void TorrentTrackers::port_changed() {
  schedule_.moved(Clock::now());
  pump();
}

void TorrentTrackers::network_changed() {
  schedule_.network_changed(Clock::now());
  pump();
}

void TorrentTrackers::pump() {
  if (!running_) return;
  while (const auto announce = schedule_.next_action(Clock::now())) send(*announce);
  const auto deadline = schedule_.deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(*deadline);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired()) pump();
  });
}

void TorrentTrackers::send(const TrackerSchedule::Announce& announce) {
  const Stats stats = stats_();
  wire::AnnounceRequest request;
  request.info_hash = announce.info_hash;
  request.peer_id = config_.peer_id;
  request.uploaded = stats.uploaded;
  request.downloaded = stats.downloaded;
  request.left = stats.left;
  request.event = announce.event;
  request.port = stats.port;
  request.key = config_.key;
  request.numwant = announce.event == TrackerEvent::stopped ? 0 : stats.numwant;
  request.tracker_id = announce.tracker_id;
  const auto call = client_.announce(announce.url, std::move(request),
                                     [this, id = announce.id, url = announce.url](
                                         Result<TrackerClient::Answer> answer, bool last) {
                                       on_answer(id, url, std::move(answer), last);
                                     });
  flights_.emplace(announce.id, Flight{call, std::nullopt});
}

void TorrentTrackers::on_answer(std::uint64_t id, const std::string& url,
                                Result<TrackerClient::Answer> answer, bool last) {
  Flight& flight = flights_.at(id);
  Report& report = reports_[url];
  Found found;
  if (answer) {
    const wire::AnnounceResponse& response = answer->response;
    report = {response.warning, response.seeders, response.leechers};
    const bool had_peers =
        !response.peers.empty() || (flight.reply.has_value() && flight.reply->had_peers);
    flight.reply = {response.interval, response.min_interval, had_peers, response.tracker_id};
    found = {response.peers, answer->scope, response.external_ip};
    const std::string before = std::exchange(answered_, url);
    if (switched_ && !stop_done_ && !before.empty() && before != url) switched_();
    if (!response.warning.empty())
      logger_->warn("tracker {} warns: {}", redacted(url), response.warning);
  } else if (!flight.reply) {
    report.message = answer.error().message;
    if (last) logger_->info("announce failed: {}", report.message);
  }
  if (last) {
    if (flight.reply) {
      schedule_.on_success(id, *flight.reply, Clock::now());
    } else {
      schedule_.on_failure(id, Clock::now());
    }
    flights_.erase(id);
    pump();
    if (stop_done_ && schedule_.finished()) return finish_stop();
  }
  if (!found.peers.empty() && !stop_done_) found_(found);
}

void TorrentTrackers::stop(std::function<void()> done) {
  for (const auto& [id, flight] : flights_) client_.cancel(flight.call);
  flights_.clear();
  stop_done_ = std::move(done);
  schedule_.stop();
  pump();
  const bool nothing_to_say = !running_ || schedule_.finished();
  stop_timer_.expires_after(nothing_to_say ? Duration::zero() : kStopTime);
  stop_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const auto& error) {
    if (!error && !alive.expired()) finish_stop();
  });
}

void TorrentTrackers::restart() {
  finish_stop();
  if (running_) return;
  schedule_ = TrackerSchedule(schedule_config(config_), Rng(std::random_device{}()), Clock::now());
  start();
}

void TorrentTrackers::finish_stop() {
  if (!stop_done_) return;
  for (const auto& [id, flight] : flights_) client_.cancel(flight.call);
  flights_.clear();
  running_ = false;
  timer_.cancel();
  stop_timer_.cancel();
  const auto done = std::exchange(stop_done_, nullptr);
  done();
}

std::vector<TorrentTrackers::Status> TorrentTrackers::status() const {
  std::vector<Status> out;
  std::string last_url;
  for (const TrackerSchedule::Status& slot : schedule_.status()) {
    // The hashes of a hybrid are one line for a person.
    if (slot.url == last_url) {
      out.back().working = out.back().working || slot.answered;
      continue;
    }
    last_url = slot.url;
    const auto report = reports_.find(slot.url);
    Status status{redacted(slot.url), slot.tier, slot.answered, "", std::nullopt, std::nullopt};
    if (report != reports_.end()) {
      status.message = report->second.message;
      status.seeders = report->second.seeders;
      status.leechers = report->second.leechers;
    }
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace swarmfs::net
