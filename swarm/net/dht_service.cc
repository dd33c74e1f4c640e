#include "swarm/net/dht_service.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "swarm/dht/saved_nodes.h"
#include "swarm/dht/scrape_filter.h"
#include "swarm/net/asio_glue.h"
#include "swarm/net/resolver.h"

namespace swarmfs::net {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

/// Public nodes that answer newcomers.
constexpr std::array kRouters{"router.bittorrent.com:6881", "dht.transmissionbt.com:6881",
                              "router.utorrent.com:6881", "dht.libtorrent.org:25401",
                              "dht.aelitis.com:6881"};
constexpr Duration kTick = 1s;
/// A run that began with saved nodes keeps its own after so long.
constexpr Duration kWorthSaving = 1min;
/// Saved nodes get so long before names are looked up and their hosts asked.
constexpr Duration kSavedFirst = 3s;
constexpr Duration kResolveTime = 20s;
constexpr Duration kResolveAgain = 30s;  ///< doubles, while nobody is known
constexpr Duration kResolveRarely = 30min;

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

std::vector<wire::NodeInfo> read_table(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  Bytes bytes(dht::kMaxSavedBytes + 1);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  const auto nodes = dht::decode_saved_nodes(bytes);
  return nodes ? *nodes : std::vector<wire::NodeInfo>{};
}

/// Whole or not at all. Not synced: a table that is lost or damaged costs a slower start.
void write_table(const std::filesystem::path& path, const Bytes& bytes) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  std::filesystem::path draft = path;
  draft += "." + std::to_string(::getpid());
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out) std::filesystem::rename(draft, path, ignored);
  if (!out || ignored) std::filesystem::remove(draft, ignored);
}

}  // namespace

Result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  std::string host(text.substr(0, std::min(colon, text.size())));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  if (colon != std::string_view::npos)
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (host.empty() || port == 0 || text.substr(colon + 1) != std::to_string(port))
    return fail(ErrorKind::bad_input,
                std::string(text) + ": not a host and port such as dht.example.org:6881");
  return std::pair{host, port};
}

/// A node, its port and its timer.
struct DhtService::Member final : dht::NodeHost {
  Member(DhtService& s, UdpPort& p, const dht::NodeConfig& config)
      : service(s), port(p), timer(s.executor_), node(config, *this, random_seed(), Clock::now()) {}
  ~Member() override { port.set_handler(UdpPort::Kind::dht, {}); }

  void send(const Endpoint& to, ByteView datagram) override { port.send(to, datagram); }
  std::vector<dht::NodeInfo> other_family_nearest(const dht::NodeId& target,
                                                  std::size_t most) override {
    for (const auto& other : service.members_)
      if (other->node.serves(!v4()))
        return other->node.table().nearest(target, most, dht::RoutingTable::Which::good,
                                           Clock::now());
    return {};
  }
  void other_family_seen(const std::vector<dht::NodeInfo>& nodes) override {
    for (const auto& other : service.members_) {
      if (!other->node.serves(!v4())) continue;
      for (const dht::NodeInfo& seen : nodes) other->node.offer(seen.endpoint, Clock::now());
      other->arm();
    }
  }
  bool v4() const { return port.local().address.is_v4(); }

  /// After every event.
  void arm() {
    const TimePoint deadline = node.deadline();
    if (deadline == armed) return;
    armed = deadline;
    timer.expires_at(deadline);
    timer.async_wait([this, alive = std::weak_ptr(service.alive_)](const error_code& error) {
      if (error || alive.expired()) return;
      armed = TimePoint::max();
      node.on_timer(Clock::now());
      if (!alive.expired()) arm();
    });
  }

  DhtService& service;
  UdpPort& port;
  boost::asio::steady_timer timer;
  TimePoint armed = TimePoint::max();
  dht::Node node;
};

DhtService::DhtService(boost::asio::any_io_executor executor, RoutePtr route,
                       boost::asio::any_io_executor disk, DhtConfig config,
                       std::shared_ptr<spdlog::logger> logger)
    : executor_(std::move(executor)),
      route_(std::move(route)),
      disk_(std::move(disk)),
      config_(std::move(config)),
      logger_(std::move(logger)),
      timer_(executor_) {
  const std::uint64_t secret = random_seed();
  for (unsigned i = 0; i < 8; ++i)
    name_transaction_.push_back(static_cast<std::uint8_t>(secret >> (8 * i)));
}

DhtService::~DhtService() {
  if (started_) save();
}

void DhtService::add_port(UdpPort& port) {
  dht::NodeConfig config;
  config.v4 = port.local().address.is_v4();
  // Behind a proxy we answer nobody who has not been asked, and should be in no table.
  config.read_only = config_.read_only || !route_->direct();
  config.reply_bytes_per_second = config_.reply_bytes_per_second;
  config.token_seed = random_seed();
  config.other_family = true;
  members_.push_back(std::make_unique<Member>(*this, port, config));
}

void DhtService::start() {
  if (std::exchange(started_, true)) return;
  for (const auto& member : members_) {
    member->port.set_handler(UdpPort::Kind::dht,
                             [this, raw = member.get()](const Endpoint& from, ByteView datagram) {
                               const auto alive = std::weak_ptr(alive_);
                               meet_by_name(from, datagram);
                               raw->node.on_datagram(from, datagram, Clock::now());
                               if (!alive.expired()) raw->arm();
                             });
    member->arm();
  }
  next_save_ = Clock::now() + kSaveEvery;
  resolve_rest_ = kResolveAgain;
  if (config_.table.empty()) return begin_with({});
  boost::asio::post(
      disk_, [this, alive = std::weak_ptr(alive_), executor = executor_, path = config_.table] {
        boost::asio::post(executor, [this, alive, nodes = read_table(path)] {
          if (!alive.expired()) begin_with(nodes);
        });
      });
}

void DhtService::begin_with(const std::vector<wire::NodeInfo>& saved) {
  for (const auto& member : members_) {
    member->node.add_saved(saved, Clock::now());
    member->arm();
  }
  if (!saved.empty()) worth_saving_ = Clock::now() + kWorthSaving;
  if (!saved.empty()) logger_->debug("DHT: {} nodes of an earlier run", saved.size());
  // Who asks its own old nodes first spares those that everybody begins with.
  next_resolve_ = Clock::now() + (saved.size() < 8 ? Duration::zero() : kSavedFirst);
  tick();
}

void DhtService::tick() {
  const TimePoint now = Clock::now();
  if (now >= next_resolve_) {
    const bool lonely = std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
      const dht::RoutingTable& table = member->node.table();
      return table.size() < dht::Node::kEnough || table.good(now) == 0;
    });
    if (lonely) resolve_bootstrap();
    next_resolve_ = now + resolve_rest_;
    resolve_rest_ = std::min(resolve_rest_ * 2, kResolveRarely);
  }
  if (now >= next_save_) {
    save();
    next_save_ = now + kSaveEvery;
  }
  timer_.expires_after(kTick);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& error) {
    if (!error && !alive.expired()) tick();
  });
}

void DhtService::network_changed() {
  if (!started_) return;
  for (const auto& member : members_) {
    member->node.network_changed(Clock::now());
    member->arm();
  }
  resolve_rest_ = kResolveAgain;
  next_resolve_ = Clock::now();
}

void DhtService::resolve_bootstrap() {
  const bool routers = !config_.bootstrap;
  const auto names =
      config_.bootstrap.value_or(std::vector<std::string>(kRouters.begin(), kRouters.end()));
  for (const std::string& name : names) {
    const auto parsed = parse_host_port(name);
    if (!parsed) continue;  // the command line has been checked
    const std::uint16_t port = parsed->second;
    if (!route_->direct() && !IpAddress::parse(parsed->first)) {
      ask_by_name({parsed->first, port});
      continue;
    }
    auto looking = resolve(route_, parsed->first, Hosts{}, kResolveTime);
    boost::asio::co_spawn(
        executor_, std::move(looking),
        [this, alive = std::weak_ptr(alive_), port, routers, logger = logger_](
            const std::exception_ptr& thrown, const Result<std::vector<IpAddress>>& found) {
          if (thrown || alive.expired()) return;
          if (!found) {
            logger->debug("DHT: {}", found.error().message);
            return;
          }
          for (const IpAddress& address : *found) name_entry({address, port}, routers);
        });
  }
}

/// Asks a node whose name the proxy looks up. Where its answer comes from is where it is.
void DhtService::ask_by_name(const wire::ProxyTarget& entry) {
  for (const auto& member : members_) {
    wire::KrpcMessage message;
    message.transaction = name_transaction_;
    message.read_only = true;
    wire::KrpcQuery ping;
    ping.method = wire::KrpcMethod::ping;
    ping.id = member->node.id();
    message.body = std::move(ping);
    member->port.send_by_name(entry, wire::encode(message));
  }
}

void DhtService::meet_by_name(const Endpoint& from, ByteView datagram) {
  if (route_->direct()) return;
  const auto message = wire::decode_krpc(datagram);
  if (message && message->transaction == name_transaction_ &&
      std::holds_alternative<wire::KrpcResponse>(message->body))
    name_entry(from, !config_.bootstrap);
}

void DhtService::name_entry(const Endpoint& entry, bool router) {
  for (const auto& member : members_) {
    member->node.add_entries({entry}, router, Clock::now());
    member->arm();
  }
}

void DhtService::save() {
  if (config_.table.empty()) return;
  std::vector<wire::NodeInfo> nodes;
  for (const auto& member : members_) {
    const auto known = member->node.table().all(Clock::now());
    nodes.insert(nodes.end(), known.begin(), known.end());
  }
  // A run that found nobody leaves what an earlier one knew.
  if (nodes.empty() || Clock::now() < worth_saving_) return;
  boost::asio::post(disk_, [path = config_.table, bytes = dht::encode_saved_nodes(nodes)] {
    write_table(path, bytes);
  });
}

/// The searches of one call, on each node for each hash, as one.
class DhtService::Sum final : public Search {
 public:
  Sum(DhtService& service, dht::Node::OnEnd on_end)
      : alive_(service.alive_), on_end_(std::move(on_end)) {}
  ~Sum() override {
    if (alive_.expired()) return;
    for (const Running& running : running_) running.member->node.cancel(running.id);
  }

  void begin(Member& member, const Sha1Hash& hash, const dht::FindOptions& options,
             const dht::Node::OnPeers& on_peers) {
    const std::size_t index = running_.size();
    const auto id = member.node.find_peers(
        hash, options, on_peers, [this, index](const dht::SearchEnd& end) { ended(index, end); },
        Clock::now());
    running_.push_back({&member, id});
    member.arm();
  }

 private:
  struct Running {
    Member* member;
    dht::Node::SearchId id;
    bool ended = false;
  };
  void ended(std::size_t index, const dht::SearchEnd& end) {
    running_[index].ended = true;
    sum_.asked += end.asked;
    sum_.answered += end.answered;
    sum_.peers += end.peers;
    sum_.announced += end.announced;
    if (end.filters) {
      if (!sum_.filters) sum_.filters.emplace();
      dht::unite(sum_.filters->seeds, end.filters->seeds);
      dht::unite(sum_.filters->peers, end.filters->peers);
    }
    // A node of a family in which nobody is known keeps nobody waiting.
    const bool open = std::any_of(running_.begin(), running_.end(), [](const Running& running) {
      return !running.ended && running.member->node.knows_anybody();
    });
    if (open || !on_end_) return;
    // Moved out, since the callback may let go of this.
    const auto told = std::exchange(on_end_, nullptr);
    told(sum_);
  }

  std::weak_ptr<char> alive_;  ///< of the service, whose nodes these are
  dht::Node::OnEnd on_end_;
  std::vector<Running> running_;
  dht::SearchEnd sum_;
};

std::unique_ptr<DhtService::Search> DhtService::find_peers(const std::vector<Sha1Hash>& hashes,
                                                           const dht::FindOptions& options,
                                                           dht::Node::OnPeers on_peers,
                                                           dht::Node::OnEnd on_end) {
  start();
  auto sum = std::make_unique<Sum>(*this, std::move(on_end));
  for (const auto& member : members_)
    for (const Sha1Hash& hash : hashes) sum->begin(*member, hash, options, on_peers);
  return sum;
}

void DhtService::ask(const Endpoint& endpoint, wire::KrpcQuery query,
                     dht::Node::OnAnswer on_answer) {
  start();
  for (const auto& member : members_) {
    if (member->v4() != endpoint.address.is_v4()) continue;
    member->node.ask(endpoint, std::move(query), std::move(on_answer), Clock::now());
    return member->arm();
  }
  boost::asio::post(executor_, [endpoint, on_answer = std::move(on_answer)] {
    on_answer(fail(ErrorKind::network, endpoint.to_string() + ": no socket of its address family"),
              Duration::zero());
  });
}

void DhtService::ask_named(const std::string& host_port, wire::KrpcQuery query,
                           dht::Node::OnAnswer on_answer) {
  const auto parsed = parse_host_port(host_port);
  if (!parsed) {
    boost::asio::post(executor_, [on_answer = std::move(on_answer), error = parsed.error()] {
      on_answer(error, Duration::zero());
    });
    return;
  }
  auto looking = resolve(route_, parsed->first, Hosts{}, kResolveTime);
  boost::asio::co_spawn(
      executor_, std::move(looking),
      [this, alive = std::weak_ptr(alive_), port = parsed->second, query = std::move(query),
       on_answer = std::move(on_answer)](const std::exception_ptr& thrown,
                                         const Result<std::vector<IpAddress>>& found) {
        if (thrown || alive.expired()) return;
        if (!found) return on_answer(found.error(), Duration::zero());
        ask({found->front(), port}, query, on_answer);
      });
}

void DhtService::offer(const Endpoint& endpoint) {
  if (!started_) return;
  for (const auto& member : members_) {
    if (member->v4() != endpoint.address.is_v4()) continue;
    member->node.offer(endpoint, Clock::now());
    member->arm();
  }
}

std::vector<DhtService::NodeStatus> DhtService::status() const {
  std::vector<NodeStatus> out;
  for (const auto& member : members_) {
    const dht::Node& node = member->node;
    out.push_back({member->port.local(), node.id(), node.external(),
                   node.table().good(Clock::now()), node.table().size(), node.storage().torrents(),
                   node.storage().all_peers(), node.searches(), node.counts()});
  }
  return out;
}

}  // namespace swarmfs::net
