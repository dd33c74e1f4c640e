// The distributed hash table of a process: a node on each UDP port, and what they have in common.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "swarm/dht/node.h"
#include "swarm/net/udp_port.h"

namespace swarmfs::net {

struct DhtConfig {
  /// HOST:PORT of nodes that newcomers may ask; nothing: the public ones.
  std::optional<std::vector<std::string>> bootstrap;
  /// Where good nodes are kept for the next run; empty: nowhere. A run too short to know better
  /// leaves what an earlier one kept.
  std::filesystem::path table;
  bool read_only = false;  ///< BEP 43
  double reply_bytes_per_second = dht::Traffic::kReplyBytesPerSecond;
};

/// "host:port", as bootstrap nodes are named. Error: bad_input, naming the text.
Result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view text);

/// Sends nothing before start(). On the executor's thread.
class DhtService {
 public:
  static constexpr Duration kSaveEvery = std::chrono::minutes(10);

  /// Files are read and written on `disk`, whose work is done before the process ends.
  DhtService(boost::asio::any_io_executor executor, RoutePtr route,
             boost::asio::any_io_executor disk, DhtConfig config,
             std::shared_ptr<spdlog::logger> logger);
  /// Leaves the ports, and keeps the table for the next run.
  ~DhtService();

  /// A node of its own on a port (BEP 45: each address has one), which outlives the service.
  void add_port(UdpPort& port);
  bool has_nodes() const { return !members_.empty(); }
  /// Begins to look for nodes. Idempotent.
  void start();
  /// Our network came back or is another.
  void network_changed();

  /// A search that is under way. Letting go of it ends it without another call.
  class Search {
   public:
    virtual ~Search() = default;
  };
  /// Looks for peers of any of these info hashes, on all nodes, of which there are some; starts the
  /// service. `on_peers` comes
  /// later, with each node's answer; `on_end` (may be empty) once, with the sums, when every node
  /// that knows others is done. Addresses are not yet held to any policy of the torrent: `from`
  /// says who named them.
  std::unique_ptr<Search> find_peers(const std::vector<Sha1Hash>& hashes,
                                     const dht::FindOptions& options, dht::Node::OnPeers on_peers,
                                     dht::Node::OnEnd on_end);
  /// A single question to a node of whichever family.
  void ask(const Endpoint& endpoint, wire::KrpcQuery query, dht::Node::OnAnswer on_answer);
  /// The same by name: "host:port". Errors of the name come the same way.
  void ask_named(const std::string& host_port, wire::KrpcQuery query,
                 dht::Node::OnAnswer on_answer);
  /// A node that a peer has named (BEP 5, PORT): kept if it answers.
  void offer(const Endpoint& endpoint);

  struct NodeStatus {
    Endpoint local;
    dht::NodeId id;
    std::optional<IpAddress> external;
    std::size_t good = 0, known = 0;      ///< nodes
    std::size_t torrents = 0, peers = 0;  ///< that others have announced here
    std::size_t searches = 0;             ///< under way
    dht::Node::Counts counts;
  };
  std::vector<NodeStatus> status() const;

 private:
  struct Member;
  class Sum;
  void begin_with(const std::vector<wire::NodeInfo>& saved);
  void resolve_bootstrap();
  void ask_by_name(const wire::ProxyTarget& entry);
  void meet_by_name(const Endpoint& from, ByteView datagram);
  void name_entry(const Endpoint& entry, bool router);
  void save();
  void tick();

  boost::asio::any_io_executor executor_;
  RoutePtr route_;
  Bytes name_transaction_;  ///< of questions to nodes whose addresses a proxy alone knows
  boost::asio::any_io_executor disk_;
  DhtConfig config_;
  std::shared_ptr<spdlog::logger> logger_;
  std::vector<std::unique_ptr<Member>> members_;
  boost::asio::steady_timer timer_;
  TimePoint next_save_{};
  TimePoint worth_saving_{};
  TimePoint next_resolve_{};
  Duration resolve_rest_{};
  bool started_ = false;
  /// Held weakly by what is under way: gone means we are.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
