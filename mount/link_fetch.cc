#include "mount/link_fetch.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace swarmfs::mount {

namespace asio = boost::asio;
using namespace std::chrono_literals;

static constexpr Duration kHttpTime = 60s;
/// Between two tries of a URL; doubles.
static constexpr Duration kFirstPause = 2s;
static constexpr Duration kLongestPause = 5min;

LinkFetch::LinkFetch(SwarmNode& node, ManifestLink link, Options options, Done done)
    : node_(node),
      link_(std::move(link)),
      options_(options),
      done_(std::move(done)),
      timer_(node.io()),
      pause_(kFirstPause) {}

LinkFetch::~LinkFetch() {
  if (task_) task_->cancel();
}

void LinkFetch::start() {
  if (link_.url) return get();
  net::MetadataSetup setup;
  setup.hashes = link_.magnet->hashes;
  for (const std::string& url : link_.magnet->trackers) setup.trackers.push_back({url});
  for (const wire::Magnet::Peer& peer : link_.magnet->peers)
    setup.link_peers.emplace_back(peer.host, peer.port);
  setup.done = [weak = weak_from_this()](Result<Bytes> info) {
    const auto self = weak.lock();
    if (self && self->done_) std::exchange(self->done_, nullptr)(std::move(info));
  };
  driver_ = node_.fetch_metadata(std::move(setup));
}

void LinkFetch::give_up() {
  done_ = nullptr;
  timer_.cancel();
  if (task_) std::exchange(task_, nullptr)->cancel();
  if (driver_) node_.give_up(std::exchange(driver_, nullptr));
}

std::shared_ptr<net::MetadataDriver> LinkFetch::take_driver() {
  return std::exchange(driver_, nullptr);
}

void LinkFetch::get() {
  if (!http_) {
    net::HttpOptions options;
    options.max_body = metainfo::kMaxTorrentSize;
    http_ = net::make_http_context(node_.route(), std::move(options));
  }
  net::HttpRequest request;
  request.url = *link_.url;
  request.scope = engine::Scope::local;  // the user typed it
  std::function<void(Result<net::HttpReply>)> done =
      [weak = weak_from_this()](Result<net::HttpReply> reply) {
        if (const auto self = weak.lock()) self->got(std::move(reply));
      };
  task_ =
      net::Task::start<net::HttpReply>(node_.io().get_executor(), kHttpTime, link_.url->redacted(),
                                       net::http_get(http_, std::move(request)), std::move(done));
}

void LinkFetch::got(Result<net::HttpReply> reply) {
  if (!done_) return;
  if (reply) return std::exchange(done_, nullptr)(std::move(reply->body));
  last_error_ = reply.error().message;
  if (!options_.retry) return std::exchange(done_, nullptr)(reply.error());
  timer_.expires_after(pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (!cancelled && self && self->done_) self->get();
  });
}

LinkFetch::Progress LinkFetch::progress() const {
  Progress progress;
  if (driver_) {
    progress.swarm = driver_->fetch().stats();
    progress.lines = driver_->search_words();
  } else if (!last_error_.empty()) {
    progress.lines.push_back(last_error_);
  }
  return progress;
}

Result<metainfo::Metainfo> follow(SwarmNode& node, const ManifestLink& link, Duration timeout,
                                  std::shared_ptr<net::MetadataDriver>& driver) {
  std::optional<Result<Bytes>> got;
  const auto fetch =
      std::make_shared<LinkFetch>(node, link, LinkFetch::Options{.retry = false},
                                  [&](Result<Bytes> bytes) { got = std::move(bytes); });
  asio::steady_timer timer(node.io());
  bool late = false;
  if (timeout > Duration::zero()) {
    timer.expires_after(timeout);
    timer.async_wait([&](const boost::system::error_code& cancelled) { late = !cancelled; });
  }
  fetch->start();
  while (!got && !late && !node.stopping()) node.io().run_one();
  timer.cancel();
  // Its handler, if it is due already, must not come when `late` is gone.
  node.io().poll();
  if (!got) {
    const auto swarm = fetch->progress().swarm;
    fetch->give_up();
    if (node.stopping()) return fail(ErrorKind::cancelled, "stopped before the metadata came");
    std::string why = "no metadata of " + shown(link) + " came in " +
                      std::to_string(static_cast<long>(to_seconds(timeout))) + " s: ";
    why += swarm.peers == 0
               ? "found no peer; check the link's trackers, or name a peer in it (x.pe)"
               : std::to_string(swarm.peers) + " peers, none of which gave it";
    return fail(ErrorKind::timed_out, why);
  }
  if (!*got) {
    fetch->give_up();
    return got->error();
  }
  auto metainfo = manifest_of(link, **got);
  if (metainfo) {
    driver = fetch->take_driver();
  } else {
    fetch->give_up();
  }
  return metainfo;
}

Result<metainfo::Metainfo> load_manifest(const std::string& text, Duration timeout,
                                         const RouteOptions& route,
                                         const std::shared_ptr<spdlog::logger>& logger) {
  std::string line = text;
  if (!is_link(text)) {
    auto bytes = metainfo::read_torrent(text);
    if (!bytes) return bytes.error();
    if (!holds_link(*bytes)) return metainfo::parse_torrent(text, *bytes);
    line = as_text(*bytes);
  }
  const auto link = parse_link(line);
  if (!link) return link.error();
  NetworkOptions network;
  network.route = route;
  auto node = SwarmNode::create(network, logger);
  if (!node) return node.error();
  std::shared_ptr<net::MetadataDriver> driver;
  auto metainfo = follow(**node, *link, timeout, driver);
  if (driver) (*node)->give_up(driver);
  asio::post((*node)->io(), [&] { (*node)->stop(); });
  (*node)->run();
  return metainfo;
}

}  // namespace swarmfs::mount
