#include "mount/swarm_node.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <ctime>
#include <utility>

#include "mount/ip_filter.h"
#include "mount/rate_text.h"
#include "swarm/metainfo/verify_piece.h"

namespace swarmfs::mount {

VerifyPiece verifier(std::shared_ptr<const metainfo::PieceRoots> roots) {
  return [roots = std::move(roots)](PieceIndex piece, std::span<const ByteView> bytes) {
    return metainfo::verify_piece(*roots, piece, bytes) == metainfo::PieceCheck::good;
  };
}

SwarmNode::SwarmNode(const NetworkOptions& options, net::SessionConfig config,
                     std::vector<Endpoint> peers, std::shared_ptr<spdlog::logger> logger)
    : logger_(std::move(logger)),
      route_(config.route),
      ip_filters_(options.route.ip_filters),
      max_peers_(options.max_peers),
      schedule_(options.schedule, options.limits),
      peers_(std::move(peers)),
      web_seeds_(options.web_seeds),
      manifest_web_seeds_(options.manifest_web_seeds),
      session_(std::make_unique<net::Session>(*io_, std::move(config), logger_)) {}

Result<std::unique_ptr<SwarmNode>> SwarmNode::create(const NetworkOptions& options,
                                                     std::shared_ptr<spdlog::logger> logger) {
  auto listen = listen_addresses(options.listen);
  if (!listen) return listen.error();
  auto peers = peer_addresses(options.peers);
  if (!peers) return peers.error();
  if (auto checked = check_web_seeds(options.web_seeds); !checked) return checked.error();
  auto dht = dht_config(options, *listen);
  if (!dht) return dht.error();
  net::SessionConfig config;
  config.listen = std::move(*listen);
  config.encryption = options.encryption;
  config.dht = std::move(*dht);
  config.lsd = seeks_locally(options, config.listen);
  config.tcp = !options.no_tcp;
  config.utp = options.utp || options.no_tcp;
  config.max_connections = options.limits.connections;
  auto route = make_route(options.route, *logger);
  if (!route) return route.error();
  if (options.no_tcp && !(*route)->has_udp())
    return fail(ErrorKind::bad_input, "--no-tcp leaves nothing with an HTTP proxy");
  config.port_mapping = port_mapping_config(options, **route);
  config.route = std::move(*route);
  std::unique_ptr<SwarmNode> node(
      new SwarmNode(options, std::move(config), std::move(*peers), std::move(logger)));
  node->set_limits(options.limits);
  node->keep_schedule();
  if (auto listening = node->session_->listen(); !listening) return listening.error();
  return node;
}

SwarmNode::~SwarmNode() {
  checker_.stop();
  session_.reset();  // ends its drivers and its pool before the contents they use
  // Others may hold the contents, but what they hold must not reach into the loop.
  for (const auto& content : contents_) {
    content->keep_layers();
    content->detach();
  }
  // What still waits on the loop may hold one, and it the loop.
  for (const auto& removed : removed_)
    if (const auto content = removed.lock()) content->detach();
}

std::shared_ptr<TorrentContent> SwarmNode::add(std::shared_ptr<metainfo::PieceRoots> roots,
                                               std::unique_ptr<cache::Store> store,
                                               engine::TorrentConfig config, Dispose dispose,
                                               std::shared_ptr<net::MetadataDriver> fetched) {
  auto made = std::make_unique<TorrentContent>(roots, std::move(store), kBlockMemory);
  std::shared_ptr<TorrentContent> content;
  if (dispose) {
    content.reset(made.release(), [dispose = std::move(dispose)](TorrentContent* unused) {
      dispose(std::unique_ptr<TorrentContent>(unused));
    });
  } else {
    content = std::move(made);
  }
  net::TorrentSetup setup;
  setup.roots = std::move(roots);
  setup.store = &content->store();
  setup.keep = content.get();
  setup.owner = content;
  setup.config = std::move(config);
  setup.config.client_name = "swarmfs " SWARMFS_VERSION;
  setup.config.peer_book.max_connections = max_peers_;
  setup.peers = peers_;
  setup.fetched = std::move(fetched);
  setup.web_seeds = web_seeds_;
  setup.manifest_web_seeds = manifest_web_seeds_;
  setup.keep_layers = [raw = content.get()] { raw->keep_layers(); };
  contents_.push_back(content);
  share_memory();
  content->set_checker(checker_);
  Limits limits;
  limits.connections = max_peers_;
  content->attach(session_->add(std::move(setup)), io_, limits);
  return content;
}

std::shared_ptr<net::MetadataDriver> SwarmNode::fetch_metadata(net::MetadataSetup setup) {
  setup.peers = peers_;
  return session_->fetch_metadata(std::move(setup));
}

void SwarmNode::give_up(std::shared_ptr<net::MetadataDriver> fetch) {
  boost::asio::post(*io_, [this, fetch = std::move(fetch)] { session_->give_up(fetch); });
}

void SwarmNode::reload_filter() {
  if (ip_filters_.empty()) return;
  auto filter = load_ip_filters(ip_filters_, *logger_);
  if (!filter) return logger_->warn("the IP filter stays as it was: {}", filter.error().message);
  route_->filter()->set(std::move(*filter));
  boost::asio::post(*io_, [this] { session_->filter_changed(); });
}

void SwarmNode::reload_filter_on_hangup() {
  if (ip_filters_.empty()) return;
  hangup_.emplace(*io_, SIGHUP);
  await_hangup();
}

void SwarmNode::await_hangup() {
  hangup_->async_wait([this](const boost::system::error_code& cancelled, int) {
    if (cancelled) return;
    reload_filter();
    await_hangup();
  });
}

void SwarmNode::set_limits(const Limits& limits) {
  const std::lock_guard lock(limits_mutex_);
  const bool other = limits.connections != limits_.connections;
  limits_ = limits;
  boost::asio::post(*io_, [this, limits, other] {
    session_->set_limits(limits);
    if (other) session_->set_max_connections(limits.connections);
  });
}

/// Looks at the clock once a minute, so that it need not be told when that is set, or put forward
/// for the summer.
void SwarmNode::keep_schedule() {
  if (schedule_.empty()) return;
  const auto moment = LocalMoment::of(std::time(nullptr));
  if (const auto rates = schedule_.change(moment)) {
    Limits now = limits();
    now.down_bps = rates->down_bps;
    now.up_bps = rates->up_bps;
    set_limits(now);
    logger_->info("the schedule: down {}, up {}", limit_text(now.down_bps), limit_text(now.up_bps));
  }
  schedule_timer_.expires_after(moment.to_next_minute());
  schedule_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) keep_schedule();
  });
}

std::optional<std::string> SwarmNode::scheduled() const {
  if (schedule_.empty()) return std::nullopt;
  return schedule_.rule_at(LocalMoment::of(std::time(nullptr)));
}

void SwarmNode::query_dht(std::function<void(std::vector<net::DhtService::NodeStatus>)> answer) {
  boost::asio::post(*io_, [this, answer = std::move(answer)] {
    answer(session_->dht() ? session_->dht()->status()
                           : std::vector<net::DhtService::NodeStatus>{});
  });
}

void SwarmNode::query_mapping(std::function<void(std::optional<net::PortMapping::Status>)> answer) {
  boost::asio::post(*io_, [this, answer = std::move(answer)] { answer(session_->mapped()); });
}

Limits SwarmNode::limits() const {
  const std::lock_guard lock(limits_mutex_);
  return limits_;
}

void SwarmNode::remove(const std::shared_ptr<TorrentContent>& content, const Error& why) {
  std::erase(contents_, content);
  std::erase_if(removed_, [](const auto& other) { return other.expired(); });
  removed_.push_back(content);
  share_memory();
  if (!stopping_) session_->remove(content->shared_driver(), why, [] {});
}

void SwarmNode::share_memory() {
  if (contents_.empty()) return;
  const std::uint64_t share = std::min(kBlockMemory, kAllBlockMemory / contents_.size());
  for (const auto& content : contents_) content->set_memory(share);
}

void SwarmNode::stop() {
  if (std::exchange(stopping_, true)) return;
  if (hangup_) hangup_->cancel();
  schedule_timer_.cancel();
  session_->stop([this] { io_->stop(); });
}

void SwarmNode::run() { io_->run(); }

}  // namespace swarmfs::mount
