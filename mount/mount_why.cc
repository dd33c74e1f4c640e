// MountService: what reads wait for. Joins what the filesystem knows of a read with what the engine
// of its torrent knows.
#include <future>
#include <string_view>
#include <utility>

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
  std::vector<std::future<Explanation>> answers;
  for (const auto& content : contents_) {
    std::vector<ReadId> ids;
    for (const WaitingRead& read : reads)
      if (read.source == content.get()) ids.push_back(read.id);
    auto promise = std::make_shared<std::promise<Explanation>>();
    answers.push_back(promise->get_future());
    content->driver().explain(std::move(ids),
                              [promise](Explanation e) { promise->set_value(std::move(e)); });
  }
  const TimePoint until = std::chrono::steady_clock::now() + kAnswerTime;
  std::vector<Surroundings> around(contents_.size());
  nlohmann::json torrents = nlohmann::json::array();
  for (std::size_t i = 0; i < contents_.size(); ++i) {
    if (answers[i].wait_until(until) == std::future_status::ready) {
      Explanation e = answers[i].get();
      around[i] = {true, std::move(e.torrent), std::move(e.trackers)};
    }
    torrents.push_back(
        {{"name", contents_[i]->metainfo().name}, {"swarm", surroundings_json(around[i])}});
  }

  const TimePoint now = std::chrono::steady_clock::now();
  nlohmann::json waits = nlohmann::json::array();
  for (const WaitingRead& read : reads)
    for (std::size_t i = 0; i < contents_.size(); ++i)
      if (read.source == contents_[i].get())
        waits.push_back(waiting_json(read, file_of(read.ino), reader_of(read.tid), around[i], now));
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
