#include "mount/mount_service.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <ctime>
#include <future>
#include <thread>
#include <utility>

#include "fs/likely_first.h"
#include "mount/describe.h"
#include "mount/exit_codes.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

using namespace std::chrono_literals;

/// Buckets by powers of two of a microsecond (mount/latency.h), and what follows from them.
static nlohmann::json latencies_json(const Latencies& l) {
  return {{"count", l.count()},         {"buckets", l.buckets},        {"p50_us", l.within_us(0.5)},
          {"p90_us", l.within_us(0.9)}, {"p99_us", l.within_us(0.99)}, {"max_us", l.within_us(1)}};
}

static nlohmann::json latency_json(const FuseStats& fuse) {
  const auto of = [&](ReadSource source) {
    return latencies_json(fuse.latency[static_cast<std::size_t>(source)]);
  };
  return {{"first_byte", latencies_json(fuse.first_byte)},
          {"memory", of(ReadSource::memory)},
          {"disk", of(ReadSource::disk)},
          {"peer", of(ReadSource::peer)}};
}

MountService::MountService(const MountOptions& options, std::shared_ptr<spdlog::logger> logger)
    : options_(options), logger_(std::move(logger)), tree_(std::time(nullptr)) {}

Result<std::unique_ptr<MountService>> MountService::start(const MountOptions& options,
                                                          std::shared_ptr<spdlog::logger> logger) {
  // Every thread inherits this: signals go to run(), which waits for them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::unique_ptr<MountService> service(new MountService(options, std::move(logger)));
  if (auto opened = service->open_torrents(); !opened) return opened.error();
  // The way to the first byte is longer than that to the mount: it begins before.
  service->loop_ = std::jthread([node = service->node_.get()] { node->run(); });
  FuseOptions fuse;
  fuse.allow_other = options.allow_other;
  fuse.passthrough = options.passthrough;
  auto mounted = FuseSession::mount(options.mountpoint, service->tree_, fuse);
  if (!mounted) return mounted.error();
  service->fuse_ = std::move(*mounted);
  if (auto opened = service->open_control(); !opened)
    service->logger_->warn("no control socket: {}", opened.error().message);
  service->fuse_->start();
  return service;
}

/// A mount that has just been unmounted still tells its trackers and ends: that is waited for,
/// since umount and mount in a row must work. A cache that stays in use is an error, a little
/// later.
static Result<std::unique_ptr<cache::Store>> open_when_free(const cache::StoreOptions& options,
                                                            const VerifyPiece& verify) {
  const TimePoint until = std::chrono::steady_clock::now() + 4s;
  while (true) {
    auto store = cache::Store::open(options, verify);
    if (store || store.error().kind != ErrorKind::busy || std::chrono::steady_clock::now() >= until)
      return store;
    std::this_thread::sleep_for(50ms);
  }
}

/// The pieces under what programs look at first.
static std::vector<PieceIndex> pieces_likely_first(const metainfo::Metainfo& m) {
  std::vector<fs::NamedFile> files;
  for (std::uint32_t i = 0; i < m.files.size(); ++i)
    if (!m.files[i].pad && !m.files[i].path.empty())
      files.push_back({FileIndex(i), m.files[i].path.back(), m.files[i].length});
  std::vector<PieceIndex> pieces;
  for (const fs::FileRange& range : fs::likely_first(files))
    for (const auto& span : m.layout.spans(range.file, range.begin, range.end - range.begin))
      if (std::find(pieces.begin(), pieces.end(), span.piece) == pieces.end())
        pieces.push_back(span.piece);
  return pieces;
}

Result<> MountService::open_torrents() {
  auto node = SwarmNode::create(options_.network, logger_);
  if (!node) return node.error();
  node_ = std::move(*node);
  for (const auto& metainfo : options_.torrents) {
    const auto roots = std::make_shared<metainfo::PieceRoots>(metainfo);
    auto place =
        cache::StoreOptions::for_cache(options_.cache_folder, metainfo->hashes, metainfo->layout);
    place.before_checks = load_layers(roots);
    auto store = open_when_free(place, verifier(roots));
    if (!store) return store.error();
    engine::TorrentConfig config;
    config.on_demand = options_.on_demand;
    config.read_timeout = options_.read_timeout;
    config.first = pieces_likely_first(*metainfo);
    contents_.push_back(node_->add(roots, std::move(*store), std::move(config)));
    if (auto added = add_to_tree(contents_.back()); !added) return added;
  }
  return {};
}

Result<> MountService::add_to_tree(const std::shared_ptr<TorrentContent>& content) {
  const metainfo::Metainfo& m = content->metainfo();
  fs::TorrentSpec spec;
  spec.name = m.name;
  spec.single_file = m.single_file;
  spec.mtime = m.creation_date;
  spec.source = content;
  if (m.hashes.v1) spec.facts.emplace_back("infohash", to_hex(*m.hashes.v1));
  if (m.hashes.v2) spec.facts.emplace_back("infohash_v2", to_hex(*m.hashes.v2));
  spec.facts.emplace_back("format", format_name(m.format));
  spec.facts.emplace_back("piece_length", std::to_string(m.layout.piece_length()));
  for (std::size_t i = 0; i < m.files.size(); ++i) {
    const metainfo::File& file = m.files[i];
    if (file.pad) continue;
    fs::FileSpec entry;
    entry.path = file.path;
    entry.kind = file.symlink.empty() ? fs::NodeKind::file : fs::NodeKind::symlink;
    entry.length = file.length;
    entry.executable = file.executable;
    entry.symlink = file.symlink;
    entry.index = FileIndex(static_cast<std::uint32_t>(i));
    spec.files.push_back(std::move(entry));
  }
  auto added = tree_.add_torrent(std::move(spec));
  if (!added) return added.error();
  return {};
}

Result<> MountService::open_control() {
  auto folder = control_folder();
  if (!folder) return folder.error();
  ControlHandlers handlers;
  handlers.status = [this] { return status(); };
  handlers.unmount = [this] { fuse_->stop(); };
  handlers.why = [this](const std::string& path) { return why(path); };
  auto server =
      ControlServer::listen(control_path(*folder, options_.mountpoint), std::move(handlers));
  if (!server) return server.error();
  control_ = std::move(*server);
  return {};
}

nlohmann::json MountService::status() {
  nlohmann::json torrents = nlohmann::json::array();
  for (const auto& content : contents_) torrents.push_back(torrent_status(content));
  const FuseStats fuse = fuse_->stats();
  return {{"version", 1},
          {"mountpoint", options_.mountpoint},
          {"pid", getpid()},
          {"port", node_->port()},
          {"reads", fuse.reads},
          {"read_bytes", fuse.bytes},
          {"read_errors", fuse.errors},
          {"straddled_reads", fuse.straddled},
          {"passthrough_opens", fuse.passed},
          {"latency", latency_json(fuse)},
          {"torrents", std::move(torrents)}};
}

nlohmann::json MountService::torrent_status(const std::shared_ptr<TorrentContent>& content) {
  const metainfo::Metainfo& m = content->metainfo();
  auto promise = std::make_shared<std::promise<engine::TorrentStats>>();
  auto future = promise->get_future();
  content->driver().query([promise](const engine::TorrentStats& s) { promise->set_value(s); });
  engine::TorrentStats s;
  const bool answered = future.wait_for(2s) == std::future_status::ready;
  if (answered) s = future.get();

  std::uint64_t here = 0;
  for (std::size_t i = 0; i < m.files.size(); ++i)
    if (!m.files[i].pad) here += content->bytes_here(FileIndex(static_cast<std::uint32_t>(i)));
  const std::uint64_t size = m.layout.content_size();
  const char* state = !answered            ? "busy"
                      : s.contradicted     ? "manifest contradicts itself"
                      : here == size       ? "seeding"
                      : s.disk_full        ? "disk full"
                      : s.peers == 0       ? "looking for peers"
                      : options_.on_demand ? "on demand"
                                           : "fetching";
  return {{"name", m.name},
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
          {"waiting_reads", fuse_->waiting(*content)},
          {"state", state}};
}

int MountService::run() {
  // Ends the mount on a signal; the signal itself is how it is told that the mount has ended.
  std::jthread signals([this] {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    for (int signal = 0; sigwait(&set, &signal) == 0;) {
      if (signal == SIGHUP) continue;
      fuse_->stop();
      return;
    }
  });
  fuse_->wait();
  pthread_kill(signals.native_handle(), SIGTERM);
  signals.join();
  return kOk;
}

MountService::~MountService() {
  control_.reset();
  fuse_.reset();
  if (!node_) return;
  if (loop_.joinable()) {
    boost::asio::post(node_->io(), [this] { node_->stop(); });
    loop_.join();
  }
  node_.reset();
}

}  // namespace swarmfs::mount
