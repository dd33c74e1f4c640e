// One node of the distributed hash table, for one address family and one socket: it answers others
// and asks for itself (BEP 5, 32, 33, 42, 43, 51).
//
// Sans-IO, as the engine: datagrams and `now` come in, datagrams go out through a NodeHost, and
// deadline() says when to call on_timer().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"
#include "swarm/dht/external_address.h"
#include "swarm/dht/lookup.h"
#include "swarm/dht/patience.h"
#include "swarm/dht/peer_storage.h"
#include "swarm/dht/routing_table.h"
#include "swarm/dht/tokens.h"
#include "swarm/dht/traffic.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

/// What a node asks of the world. Calls come from inside a method of the Node and must not call
/// back into it.
class NodeHost {
 public:
  virtual ~NodeHost() = default;
  virtual void send(const Endpoint& to, ByteView datagram) = 0;
  /// BEP 32: nodes of the other family, if there is a table of them here.
  virtual std::vector<NodeInfo> other_family_nearest(const NodeId& target, std::size_t most) = 0;
  virtual void other_family_seen(const std::vector<NodeInfo>& nodes) = 0;
};

struct NodeConfig {
  bool v4 = true;          ///< the family of the socket
  bool read_only = false;  ///< BEP 43: asks, and answers nobody
  /// There is a table of the other family: it is filled from this one while it is nearly empty.
  bool other_family = false;
  double reply_bytes_per_second = Traffic::kReplyBytesPerSecond;
  /// Not guessable, and of nothing that others get to see.
  std::uint64_t token_seed = 0;
};

struct FindOptions {
  bool announce = false;   ///< ourselves, to the nodes nearest
  std::uint16_t port = 0;  ///< where our peers listen, for that
  bool seed = false;       ///< BEP 33: we have everything
  bool scrape = false;     ///< BEP 33: count peers rather than name them
};

/// Peers that one node named.
struct FoundPeers {
  std::vector<Endpoint> peers;  ///< none that was given before in the same search
  Endpoint from;
};

struct SearchEnd {
  std::size_t asked = 0, answered = 0;
  std::size_t peers = 0;                        ///< found, each counted once
  std::size_t announced = 0;                    ///< nodes that were told of us
  std::optional<PeerStorage::Filters> filters;  ///< with scrape
};

class Node {
 public:
  static constexpr std::size_t kMaxSearches = 16;  ///< at a time; more wait for their turn
  /// Begun in a second: more would ask the same nodes more often than they answer (Traffic).
  static constexpr double kSearchesPerSecond = 4;
  static constexpr std::size_t kMaxWaiting = 10'000;
  static constexpr std::size_t kMaxPending = 1024;  ///< queries without an answer yet
  static constexpr std::size_t kMaxOffered = 200;   ///< addresses to be tried
  static constexpr std::size_t kMaxEntries = 400;   ///< saved nodes, and places to begin
  static constexpr std::size_t kMaxFound = 2000;    ///< peers of one search
  static constexpr std::size_t kEnough = 8;         ///< good nodes, to do without entries
  static constexpr Duration kGiveUp = std::chrono::seconds(5);  ///< on an answer
  static constexpr Duration kStep = std::chrono::seconds(3);    ///< between checks of the table
  static constexpr Duration kFastStep = std::chrono::milliseconds(100);  ///< while it is filled

  /// `seed` must not be guessable: transactions come of it. `host` outlives the node.
  Node(const NodeConfig& config, NodeHost& host, std::uint64_t seed, TimePoint now);

  // --- where to begin
  /// Places that give nodes to newcomers; asked as long as too few nodes are known. Those marked as
  /// routers stay out of the table, so that nobody is sent to them.
  void add_entries(const std::vector<Endpoint>& entries, bool routers, TimePoint now);
  /// Nodes of an earlier run.
  void add_saved(const std::vector<NodeInfo>& nodes, TimePoint now);
  /// A node that somebody named (PORT messages, the other family): tried, and kept if it answers.
  void offer(const Endpoint& endpoint, TimePoint now);
  /// Our network came back or is another: neighbours are looked for anew.
  void network_changed(TimePoint now);

  // --- what is asked of the table
  using SearchId = std::uint64_t;
  using OnPeers = std::function<void(const FoundPeers&)>;
  using OnEnd = std::function<void(const SearchEnd&)>;
  /// Looks for peers and hands them out as nodes name them. Begins once any node is known. The
  /// callbacks come from inside later events, `on_end` last and once; both may call the node.
  SearchId find_peers(const Sha1Hash& info_hash, const FindOptions& options, OnPeers on_peers,
                      OnEnd on_end, TimePoint now);
  /// No callback comes any more.
  void cancel(SearchId search);

  /// A single question; the answer, an error's text, or timed_out.
  using OnAnswer = std::function<void(const Result<wire::KrpcResponse>&, Duration rtt)>;
  void ask(const Endpoint& endpoint, wire::KrpcQuery query, OnAnswer on_answer, TimePoint now);

  // --- events
  void on_datagram(const Endpoint& from, ByteView datagram, TimePoint now);
  void on_timer(TimePoint now);
  TimePoint deadline() const;

  // --- what is
  const NodeId& id() const { return table_.own_id(); }
  const RoutingTable& table() const { return table_; }
  const PeerStorage& storage() const { return storage_; }
  const std::optional<IpAddress>& external() const { return external_.current(); }
  bool serves(bool v4) const { return config_.v4 == v4; }
  /// Searches wait for that.
  bool knows_anybody() const;
  std::size_t searches() const { return searches_.size() + waiting_.size(); }
  Duration patience() const { return patience_.value(); }
  struct Counts {
    std::uint64_t queries_in = 0, replies_out = 0;  ///< others' questions
    std::uint64_t queries_out = 0, replies_in = 0;  ///< ours
    std::uint64_t refused = 0;  ///< packets passed over: malformed, too many, or from nobody
    std::uint64_t bytes_in = 0, bytes_out = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  enum class Outcome : std::uint8_t { slow, failed, refused, answered };
  struct Answer {
    Outcome outcome;
    const wire::KrpcResponse* response = nullptr;
    const wire::KrpcError* error = nullptr;
    Duration rtt{};
  };
  using Continue = std::function<void(const Answer&, TimePoint)>;
  struct Pending {
    Endpoint to;
    TimePoint sent;
    bool slow = false;
    Continue then;
  };
  struct Search {
    explicit Search(const NodeId& target) : lookup(target) {}
    Lookup lookup;
    bool for_peers = false;
    FindOptions options;
    OnPeers on_peers;
    OnEnd on_end;
    std::set<Endpoint> found;
    std::optional<PeerStorage::Filters> filters;
  };

  // node.cc: asking
  void query(const Endpoint& to, wire::KrpcQuery body, Continue then, TimePoint now);
  static Result<wire::KrpcResponse> result_of(const Endpoint& endpoint, const Answer& answer);
  void on_answer(const Endpoint& from, const wire::KrpcMessage& message, TimePoint now);
  void learn(const Endpoint& from, const wire::KrpcMessage& message,
             const wire::KrpcResponse& response, TimePoint now);
  void learn_patience(Duration rtt);
  void expire_queries(TimePoint now);
  bool usable(const Endpoint& from, const Endpoint& named) const;
  std::vector<NodeInfo> usable_nodes(const Endpoint& from, const wire::KrpcResponse& response);
  bool is_router(const Endpoint& endpoint) const { return routers_.contains(endpoint); }
  void send(const Endpoint& to, const wire::KrpcMessage& message);
  void run_due();

  // node_search.cc: walking
  SearchId add_search(Search search, TimePoint now);
  void begin(SearchId id, Search search, TimePoint now);
  void begin_waiting(TimePoint now);
  void take_stored(SearchId id, Search& search, TimePoint now);
  void advance(SearchId id, TimePoint now);
  void on_search_answer(SearchId id, const Endpoint& to, const Answer& answer, TimePoint now);
  void take_values(SearchId id, Search& search, const Endpoint& from,
                   const wire::KrpcResponse& response);
  void end(SearchId id, TimePoint now);
  void find_self(TimePoint now);
  void walk_to(const NodeId& target, OnEnd on_end, TimePoint now);
  void step(TimePoint now);
  void try_offered(TimePoint now);

  // node_answers.cc: being asked
  void on_query(const Endpoint& from, const wire::KrpcMessage& message,
                const wire::KrpcQuery& query, std::size_t size, TimePoint now);
  void prove(const Endpoint& source, TimePoint now);
  std::size_t reply_budget(const Endpoint& from, std::size_t size, TimePoint now) const;
  void reply(const Endpoint& from, const Bytes& transaction,
             std::variant<wire::KrpcQuery, wire::KrpcResponse, wire::KrpcError> body,
             TimePoint now);
  void fill_nodes(wire::KrpcResponse& response, const wire::KrpcQuery& query, std::size_t room,
                  TimePoint now);
  void answer_get_peers(wire::KrpcResponse& response, const Endpoint& from,
                        const wire::KrpcQuery& query, std::size_t room, TimePoint now);

  NodeConfig config_;
  NodeHost& host_;
  Rng rng_;
  RoutingTable table_;
  ExternalAddress external_;
  Tokens tokens_;
  PeerStorage storage_;
  Traffic traffic_;
  std::map<Endpoint, TimePoint> proven_;  ///< sources that are where they say, and as of when
  Patience patience_;
  Budget search_pace_{kSearchesPerSecond, kMaxSearches};
  Counts counts_;

  std::map<std::uint32_t, Pending> pending_;  ///< by transaction
  std::set<std::pair<TimePoint, std::uint32_t>> pending_due_;

  std::set<Endpoint> routers_;
  std::vector<Endpoint> entries_;  ///< routers too
  std::vector<NodeInfo> saved_;
  std::deque<Endpoint> offered_;

  SearchId next_search_ = 1;
  std::map<SearchId, Search> searches_;
  std::deque<std::pair<SearchId, Search>> waiting_;
  /// Callbacks, for the end of the event; and the searches they are of, if any.
  std::deque<std::pair<SearchId, std::function<void()>>> due_;

  TimePoint next_step_;
  TimePoint next_find_self_;
  TimePoint next_expiry_;
  TimePoint heard_{};                     ///< when any node answered last
  std::map<Endpoint, TimePoint> silent_;  ///< since then: whom we asked and when
  unsigned self_attempts_ = 0;            ///< in a row that found nobody
  bool finding_self_ = false;
};

}  // namespace swarmfs::dht
