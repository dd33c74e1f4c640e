// MountService: what reads wait for. Joins what the filesystem knows of a read with what the engine
// of its torrent knows.
#include <future>
#include <optional>
#include <string_view>
#include <utility>

#include "mount/answer_by.h"
#include "mount/mount_service.h"
#include "mount/why_report.h"

namespace swarmfs::mount {

using namespace std::chrono_literals;

/// How long all engines together may take to answer.
static constexpr Duration kAnswerTime = 500ms;

static bool on_or_below(std::string_view file, std::string_view path) {
  return path.empty() || file == path ||
         (file.starts_with(path) && file.size() > path.size() && file[path.size()] == '/');
}

nlohmann::json MountService::why(const std::string& path) {
  const auto file_of = [this](fs::Ino ino) { return tree_.path(ino).value_or(""); };
  std::vector<WaitingRead> reads = fuse_->waits();
  std::erase_if(reads, [&](const WaitingRead& r) { return !on_or_below(file_of(r.ino), path); });
  const std::size_t waiting = reads.size();
  if (reads.size() > engine::kMaxExplainedReads) reads.resize(engine::kMaxExplainedReads);

  // All are asked at once, so that one that is busy does not keep the others from answering.
  using Explanation = net::TorrentDriver::Explanation;
  const std::vector<MountedTorrent> mounted = torrents_->list();
  std::vector<std::future<Explanation>> answers(mounted.size());  // of open ones
  for (std::size_t i = 0; i < mounted.size(); ++i) {
    const TorrentSource& source = *mounted[i].source;
    const auto content = source.content();
    if (!content) continue;
    std::vector<ReadId> ids;
    for (WaitingRead& read : reads) {
      if (read.source != &source) continue;
      read.id = source.in_swarm(read.id);
      if (read.id != ReadId{}) ids.push_back(read.id);
    }
    auto promise = std::make_shared<std::promise<Explanation>>();
    answers[i] = promise->get_future();
    content->driver().explain(std::move(ids),
                              [promise](Explanation e) { promise->set_value(std::move(e)); });
  }
  const TimePoint until = std::chrono::steady_clock::now() + kAnswerTime;
  std::vector<Surroundings> around(mounted.size());
  nlohmann::json torrents = nlohmann::json::array();
  for (std::size_t i = 0; i < mounted.size(); ++i) {
    if (auto e = answer_by(until, answers[i]))
      around[i] = {true, std::move(e->torrent), std::move(e->trackers)};
    torrents.push_back({{"name", mounted[i].name}, {"swarm", surroundings_json(around[i])}});
  }

  const TimePoint now = std::chrono::steady_clock::now();
  nlohmann::json waits = nlohmann::json::array();
  for (const WaitingRead& read : reads)
    for (std::size_t i = 0; i < mounted.size(); ++i) {
      if (read.source != mounted[i].source.get()) continue;
      waits.push_back(waiting_json(read, file_of(read.ino), reader_of(read.tid), around[i], now));
      if (mounted[i].source->state() != TorrentSource::State::opening) continue;
      waits.back()["cause"] = "opening";
      waits.back()["summary"] = "the torrent's cache is still being opened";
    }
  nlohmann::json recent = nlohmann::json::array();
  for (const PastWait& wait : fuse_->recent_waits())
    if (const std::string file = file_of(wait.ino); on_or_below(file, path))
      recent.push_back(past_json(wait, file, now));
  return {{"version", 1},
          {"mountpoint", options_.mountpoint},
          {"waiting_reads", waiting},
          {"waiting", std::move(waits)},
          {"recent", std::move(recent)},
          {"torrents", std::move(torrents)}};
}

}  // namespace swarmfs::mount
