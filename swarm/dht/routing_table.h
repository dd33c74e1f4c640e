// The nodes that one knows: many near its own id, ever fewer further away (BEP 5).
#pragma once

#include <optional>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/dht/node_id.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

using wire::NodeInfo;

/// Only nodes that have answered us get in, and those that stop answering make way for others.
/// Bucket i holds nodes that share exactly i bits with our id; the last one those that share more,
/// and is divided when it is full. Where a bucket has no room, nodes whose id fits their address
/// (BEP 42) are preferred. Nobody fills the table from one place: a public address has one node in
/// it, and a network one in a bucket.
class RoutingTable {
 public:
  static constexpr std::size_t kBucket = 8;
  static constexpr std::size_t kSpares = 8;
  static constexpr unsigned kBadAfter = 2;     ///< failures in a row
  static constexpr unsigned kRemoveAfter = 4;  ///< even if there is nobody to take its place
  static constexpr Duration kGoodFor = std::chrono::minutes(15);
  /// A node is asked again after so long, so that it does not become questionable.
  static constexpr Duration kCheckAfter = std::chrono::minutes(12);
  static constexpr Duration kRecheckFailed = std::chrono::seconds(30);

  explicit RoutingTable(const NodeId& own) : own_(own), buckets_(1) {}

  const NodeId& own_id() const { return own_; }
  /// Sorts all nodes in anew.
  void set_own_id(const NodeId& own, TimePoint now);

  /// A node has answered one of our queries.
  void on_reply(const NodeInfo& node, TimePoint now);
  /// A node has sent us a query. True if it is in the table.
  bool on_query(const NodeInfo& node, TimePoint now);
  /// A node has not answered.
  void on_failure(const Endpoint& endpoint, TimePoint now);
  /// Whether a node would be taken in, or kept as a spare, once it has answered.
  bool wants(const NodeId& id) const;
  bool contains(const Endpoint& endpoint) const;

  enum class Which : std::uint8_t { good, any };
  /// The nodes nearest to `target`, nearest first. good: for others, such as are known to be there.
  std::vector<NodeInfo> nearest(const NodeId& target, std::size_t most, Which which,
                                TimePoint now) const;
  /// The node that was silent for longest, if that is long; counted as asked now.
  std::optional<NodeInfo> next_to_check(TimePoint now);
  /// An id in a bucket that has had no news for kGoodFor; counted as refreshed now.
  std::optional<NodeId> next_to_refresh(TimePoint now, Rng& rng);

  std::size_t size() const;
  std::size_t good(TimePoint now) const;
  /// All nodes, good ones first.
  std::vector<NodeInfo> all(TimePoint now) const;

 private:
  struct Node {
    NodeInfo info;
    TimePoint heard;  ///< its last answer or, since it once answered, query
    TimePoint asked;  ///< when next_to_check() gave it last
    unsigned failures = 0;
  };
  struct Bucket {
    std::vector<Node> nodes;
    std::vector<Node> spares;  ///< answered when there was no room; newest last
    TimePoint changed{};
  };
  static std::size_t capacity(std::size_t bucket);
  std::size_t bucket_of(const NodeId& id) const;
  bool is_good(const Node& node, TimePoint now) const;
  Node* find(const Endpoint& endpoint);
  bool crowded(const Bucket& bucket, const NodeInfo& node) const;
  void insert(const Node& node, TimePoint now);
  void split();

  NodeId own_;
  std::vector<Bucket> buckets_;
};

}  // namespace swarmfs::dht
