// MountService: how the mount is, for people and programs.
#include <future>
#include <optional>
#include <utility>

#include "mount/answer_by.h"
#include "mount/control_orders.h"
#include "mount/limits_json.h"
#include "mount/mount_service.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

using namespace std::chrono_literals;
using nlohmann::json;

/// How long all engines together may take to answer.
static constexpr Duration kAnswerTime = 500ms;

/// Buckets by powers of two of a microsecond (mount/latency.h), and what follows from them.
static json latencies_json(const Latencies& l) {
  return {{"count", l.count()},         {"buckets", l.buckets},        {"p50_us", l.within_us(0.5)},
          {"p90_us", l.within_us(0.9)}, {"p99_us", l.within_us(0.99)}, {"max_us", l.within_us(1)}};
}

static json latency_json(const FuseStats& fuse) {
  const auto of = [&](ReadSource source) {
    return latencies_json(fuse.latency[static_cast<std::size_t>(source)]);
  };
  return {{"first_byte", latencies_json(fuse.first_byte)},
          {"memory", of(ReadSource::memory)},
          {"disk", of(ReadSource::disk)},
          {"peer", of(ReadSource::peer)}};
}

/// `stats`: nothing if the engine was too busy to say.
static json torrent_status(const MountedTorrent& torrent,
                           const std::optional<engine::TorrentStats>& stats, bool on_demand,
                           std::uint64_t waiting_reads) {
  const metainfo::Metainfo& m = *torrent.metainfo;
  const engine::TorrentStats s = stats.value_or(engine::TorrentStats{});
  std::uint64_t here = 0;
  for (std::size_t i = 0; i < m.files.size(); ++i)
    if (!m.files[i].pad)
      here += torrent.source->bytes_here(FileIndex(static_cast<std::uint32_t>(i)));
  const std::uint64_t size = m.layout.content_size();
  const bool open = torrent.source->state() == TorrentSource::State::open;
  const auto content = torrent.source->content();
  const std::string state = !open                        ? torrent.source->state_text()
                            : !stats                     ? "busy"
                            : s.contradicted             ? "manifest contradicts itself"
                            : s.paused                   ? "paused"
                            : here == size               ? "seeding"
                            : s.disk_full                ? "disk full"
                            : s.peers + s.web_seeds == 0 ? "looking for peers"
                            : on_demand                  ? "on demand"
                                                         : "fetching";
  return {{"name", torrent.name},
          {"infohash", to_hex(m.hashes.primary())},
          {"progress", size == 0 ? 1.0 : static_cast<double>(here) / static_cast<double>(size)},
          {"bytes_here", here},
          {"size", size},
          {"down_rate", s.down_bps},
          {"up_rate", s.up_bps},
          {"downloaded", s.downloaded},
          {"uploaded", s.uploaded},
          {"wasted", s.wasted},
          {"failed_pieces", s.failed_pieces},
          {"layers_missing", s.layers_missing},
          {"banned_peers", s.banned},
          {"peers", s.peers},
          {"seeds", s.seeds},
          {"encrypted_peers", s.encrypted},
          {"utp_peers", s.utp},
          {"web_seeds", s.web_seeds},
          {"waiting_reads", waiting_reads},
          {"limits", limits_json(content ? content->limits() : Limits{})},
          {"state", state}};
}

/// The same fields, of a torrent that only a link is known of.
static json link_status(const Links::Waiting& waiting) {
  const auto swarm = waiting.progress.value_or(LinkFetch::Progress{}).swarm;
  const bool has_hash = waiting.hashes.v1 || waiting.hashes.v2;
  return {{"name", waiting.name},
          {"infohash", has_hash ? json(to_hex(waiting.hashes.primary())) : json()},
          {"progress", 0.0},
          {"bytes_here", 0},
          {"size", 0},
          {"down_rate", 0.0},
          {"up_rate", 0.0},
          {"downloaded", 0},
          {"uploaded", 0},
          {"wasted", 0},
          {"failed_pieces", 0},
          {"layers_missing", 0},
          {"banned_peers", 0},
          {"peers", swarm.peers},
          {"seeds", 0},
          {"waiting_reads", 0},
          {"limits", limits_json(Limits{})},
          {"state", waiting.broken ? "broken: " + waiting.broken->message : "metadata"}};
}

/// Null without a schedule.
static json schedule_json(const std::optional<std::string>& rule) {
  if (!rule) return nullptr;
  return {{"rule", rule->empty() ? json() : json(*rule)}};
}

/// `interface`: as the user named it, or empty.
static json route_json(const net::Route& route, const std::string& interface) {
  const auto named = [](const std::string& name) { return name.empty() ? json() : json(name); };
  return {{"proxy", named(route.proxy_name())},
          {"interface", named(interface)},
          {"interface_there", route.interface_index() != 0}};
}

static json dht_json(const std::optional<std::vector<net::DhtService::NodeStatus>>& nodes) {
  std::size_t good = 0, torrents = 0, peers = 0;
  for (const auto& node : nodes.value_or(std::vector<net::DhtService::NodeStatus>{})) {
    good += node.good;
    torrents += node.torrents;
    peers += node.peers;
  }
  return {{"used", nodes && !nodes->empty()},
          {"nodes", good},
          {"stored_torrents", torrents},
          {"stored_peers", peers}};
}

/// Nothing: no router is asked.
using Mapped = std::optional<net::PortMapping::Status>;

static json mapping_json(const Mapped& mapped) {
  const auto at = [](const std::optional<Endpoint>& endpoint) {
    return endpoint ? json(endpoint->to_string()) : json();
  };
  const auto status = mapped.value_or(net::PortMapping::Status{});
  return {{"used", mapped.has_value()}, {"method", nat::to_string(status.method)},
          {"tcp", at(status.tcp)},      {"udp", at(status.udp)},
          {"tcp6", at(status.tcp6)},    {"udp6", at(status.udp6)}};
}

json MountService::status() {
  // All are asked at once, so that a busy loop costs the time once.
  struct Asked {
    MountedTorrent torrent;
    std::future<engine::TorrentStats> stats;  ///< if it was open
  };
  std::vector<Asked> asked;
  for (MountedTorrent& torrent : torrents_->list()) {
    asked.push_back({std::move(torrent), {}});
    const auto content = asked.back().torrent.source->content();
    if (!content) continue;
    auto promise = std::make_shared<std::promise<engine::TorrentStats>>();
    asked.back().stats = promise->get_future();
    content->driver().query([promise](const engine::TorrentStats& s) { promise->set_value(s); });
  }
  using Nodes = std::vector<net::DhtService::NodeStatus>;
  const auto promised = std::make_shared<std::promise<Nodes>>();
  std::future<Nodes> dht = promised->get_future();
  node_->query_dht([promised](const Nodes& nodes) { promised->set_value(nodes); });
  const auto asked_mapping = std::make_shared<std::promise<Mapped>>();
  std::future<Mapped> mapping = asked_mapping->get_future();
  node_->query_mapping([asked_mapping](const Mapped& mapped) { asked_mapping->set_value(mapped); });
  const TimePoint until = std::chrono::steady_clock::now() + kAnswerTime;
  json torrents = json::array();
  for (Asked& a : asked) {
    torrents.push_back(torrent_status(a.torrent, answer_by(until, a.stats), options_.on_demand,
                                      fuse_->waiting(*a.torrent.source)));
  }
  for (const Links::Waiting& waiting : links_->list()) torrents.push_back(link_status(waiting));
  const FuseStats fuse = fuse_->stats();
  return {{"version", 1},
          {"mountpoint", options_.mountpoint},
          {"pid", getpid()},
          {"supervisor_pid", options_.supervisor_pid},
          {"port", node_->port()},
          {"limits", limits_json(node_->limits())},
          {"schedule", schedule_json(node_->scheduled())},
          {"route", route_json(*node_->route(), options_.network.route.interface)},
          {"dht", dht_json(answer_by(until, dht))},
          {"port_mapping", mapping_json(answer_by(until, mapping).value_or(Mapped{}))},
          {"reads", fuse.reads},
          {"read_bytes", fuse.bytes},
          {"read_errors", fuse.errors},
          {"straddled_reads", fuse.straddled},
          {"passthrough_opens", fuse.passed},
          {"latency", latency_json(fuse)},
          {"torrents", std::move(torrents)}};
}

json MountService::list() {
  json list = manifests_->list();
  list["mountpoint"] = options_.mountpoint;
  return list;
}

}  // namespace swarmfs::mount
