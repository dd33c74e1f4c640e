#include "mount/mount_service.h"

#include <pthread.h>
#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <ctime>
#include <thread>
#include <utility>

#include "mount/control_orders.h"
#include "mount/exit_codes.h"
#include "mount/limits_json.h"
#include "mount/log_file.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

using namespace std::chrono_literals;

/// How long the start waits for torrents to be opened: until some are and a little longer, or until
/// it is known that the cache is in use.
static constexpr Duration kOpenedTime = 1s;
static constexpr Duration kOpeningTime = 6s;

/// Every torrent takes some descriptors, and every peer one.
static void allow_open_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

MountService::MountService(MountOptions options, std::shared_ptr<spdlog::logger> logger)
    : options_(std::move(options)), logger_(std::move(logger)), tree_(std::time(nullptr)) {}

Result<std::unique_ptr<MountService>> MountService::start(MountOptions options,
                                                          std::shared_ptr<spdlog::logger> logger) {
  // Every thread inherits this: signals go to run(), which waits for them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  allow_open_files();

  std::unique_ptr<MountService> service(new MountService(std::move(options), std::move(logger)));
  if (auto begun = service->begin(); !begun) return begun.error();
  if (auto mounted = service->mount(); !mounted) return mounted.error();
  if (auto opened = service->open_control(); !opened)
    service->logger_->warn("no control socket: {}", opened.error().message);
  // A mount of nothing but broken torrents is of no use, unless others may come.
  const auto opened = service->torrents_->wait_opened(kOpenedTime, kOpeningTime);
  if (!opened && service->options_.manifests.folders.empty() && !service->links_->pending())
    return opened.error();
  return service;
}

/// Commands are remembered for a mount that was started in the same way.
static std::string options_text(const MountOptions& options) {
  std::string text = options.mountpoint + "\n";
  for (const ManifestFile& file : options.manifests.files) text += file.path + "\n";
  for (const std::string& path : options.manifests.folders) text += path + "/\n";
  return text;
}

Result<> MountService::begin() {
  auto node = SwarmNode::create(options_.network, logger_);
  if (!node) return node.error();
  node_ = std::move(*node);
  std::optional<KeptManifests> kept;
  if (const auto folder = control_folder()) {
    const std::string socket = control_path(*folder, options_.mountpoint);
    kept.emplace(socket + ".kept", options_text(options_));
    orders_ = std::make_unique<KeptOrders>(
        socket + ".orders", options_text(options_) + limits_json(options_.network.limits).dump());
    // Where a schedule has the limits, what it says of this moment holds.
    if (const auto limits = orders_->limits(); limits && !node_->scheduled())
      node_->set_limits(*limits);
  }
  torrents_ = std::make_unique<Torrents>(TorrentsOptions{options_.cache_folder, options_.on_demand,
                                                         options_.read_timeout, orders_.get()},
                                         *node_, tree_, logger_);
  links_ = std::make_unique<Links>(options_.cache_folder, *node_, *torrents_, tree_, logger_);
  manifests_ = std::make_unique<Manifests>(*torrents_, *links_, std::move(kept), logger_);
  // The way to the first byte is longer than that to the mount: it begins before.
  loop_ = std::jthread([this] { node_->run(); });
  const auto begun = manifests_->begin(options_.manifests);
  for (ManifestFile& file : options_.manifests.files) file.bytes = {};
  return begun;
}

Result<> MountService::mount() {
  FuseOptions fuse;
  fuse.allow_other = options_.allow_other;
  fuse.passthrough = options_.passthrough;
  fuse.disk_timeout = options_.read_timeout;
  fuse.on_first_open = options_.hooks.on_first_open;
  auto mounted = FuseSession::mount(options_.mountpoint, tree_, fuse);
  if (!mounted) return mounted.error();
  fuse_ = std::move(*mounted);
  if (const auto connection = fuse_->connection()) options_.hooks.on_mounted(*connection);
  fuse_->start([this](const fs::InfoFile& file) { return info_text(file); });
  torrents_->tell({[this](const std::string& name) { fuse_->forget_name(name); },
                   [this](const ContentSource& source) { fuse_->forget_pages(source); }});
  return {};
}

Result<> MountService::open_control() {
  auto folder = control_folder();
  if (!folder) return folder.error();
  using nlohmann::json;
  ControlHandlers handlers;
  handlers.unmount = [this] { end(); };
  handlers.commands = {
      {"status",
       [this](const json&) {
         return json{{"status", status()}};
       }},
      {"why",
       [this](const json& r) {
         return json{{"why", why(r.value("path", ""))}};
       }},
      {"add", [this](const json& r) { return manifests_->add(r); }},
      {"remove", [this](const json& r) { return manifests_->remove(r); }},
      {"list",
       [this](const json&) {
         return json{{"list", list()}};
       }},
  };
  handlers.commands.merge(order_handlers(
      {options_.mountpoint, [this](const std::string& path) { return targets_below(tree_, path); },
       [this] { return node_->limits(); },
       [this](const Limits& limits) {
         node_->set_limits(limits);
         if (orders_) say_unkept(orders_->set_limits(limits));
       },
       [this](const TorrentContent& content) {
         if (!orders_) return;
         say_unkept(orders_->set(to_hex(content.metainfo().hashes.primary()),
                                 {content.paused(), content.limits()}));
       }}));
  auto server =
      ControlServer::listen(control_path(*folder, options_.mountpoint), std::move(handlers));
  if (!server) return server.error();
  control_ = std::move(*server);
  return {};
}

void MountService::say_unkept(const Result<>& kept) {
  if (!kept) logger_->warn("the order will not survive a crash: {}", kept.error().message);
}

void MountService::end() {
  options_.hooks.on_ending();
  fuse_->stop();
}

void MountService::ask_alive(std::function<void()> alive) {
  if (fuse_->answers()) boost::asio::post(node_->io(), std::move(alive));
}

void MountService::reload() {
  reopen_log(*logger_);
  manifests_->rescan();
  node_->reload_filter();
}

int MountService::run() {
  // Ends the mount on a signal; the signal itself is how it is told that the mount has ended.
  std::jthread signals([this] {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    for (int signal = 0; sigwait(&set, &signal) == 0;) {
      if (signal != SIGHUP) return end();
      reload();
    }
  });
  fuse_->wait();
  options_.hooks.on_ending();
  pthread_kill(signals.native_handle(), SIGTERM);
  signals.join();
  manifests_->forget();
  if (orders_) orders_->clear();
  return kOk;
}

MountService::~MountService() {
  // From those who ask and change to those who are asked.
  if (manifests_) manifests_->stop();
  if (fuse_) fuse_->stop();
  control_.reset();
  if (links_) links_->stop();
  if (torrents_) torrents_->stop();
  fuse_.reset();
  manifests_.reset();
  if (!node_) return;
  if (loop_.joinable()) {
    boost::asio::post(node_->io(), [this] { node_->stop(); });
    loop_.join();
  }
  node_.reset();
  links_.reset();
  torrents_.reset();
}

}  // namespace swarmfs::mount
