// KRPC, the messages of the distributed hash table, without sockets (BEP 5; 32, 33, 42, 43, 51).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

/// BEP 32: no message longer than this is sent. Longer ones are read, up to kMaxKrpcRead.
inline constexpr std::size_t kMaxKrpcSent = 1024;
inline constexpr std::size_t kMaxKrpcRead = 2048;
/// A token is opaque, but nothing that a node could want to say needs more; longer ones are
/// refused, as they would come back in every announce.
inline constexpr std::size_t kMaxKrpcToken = 64;
inline constexpr std::size_t kMaxKrpcTransaction = 32;

/// A node of the table: its id, and where it is.
struct NodeInfo {
  Sha1Hash id{};
  Endpoint endpoint;
  bool operator==(const NodeInfo&) const = default;
};

/// BEP 33: 2048 bits.
using ScrapeFilter = std::array<std::uint8_t, 256>;

enum class KrpcMethod : std::uint8_t {
  ping,
  find_node,
  get_peers,
  announce_peer,
  sample_infohashes,  ///< BEP 51
  unknown,            ///< read only; its arguments are not looked at, but for the id
};

struct KrpcQuery {
  KrpcMethod method = KrpcMethod::ping;
  Sha1Hash id{};
  Sha1Hash target{};          ///< or info hash; none for ping
  std::uint16_t port = 0;     ///< announce_peer
  Bytes token;                ///< announce_peer
  bool implied_port = false;  ///< announce_peer: the port that the packet came from
  bool seed = false;          ///< announce_peer, BEP 33
  bool noseed = false;        ///< get_peers, BEP 33
  bool scrape = false;        ///< get_peers, BEP 33
  bool want_v4 = false;       ///< BEP 32 "n4"; neither: what the packet's family has
  bool want_v6 = false;       ///< BEP 32 "n6"
  bool operator==(const KrpcQuery&) const = default;
};

/// What is not there in the message is empty here; get_peers' answer and the others' are one type.
struct KrpcResponse {
  Sha1Hash id{};
  std::optional<std::vector<NodeInfo>> nodes;   ///< IPv4
  std::optional<std::vector<NodeInfo>> nodes6;  ///< BEP 32
  std::vector<Endpoint> values;
  Bytes token;
  std::optional<ScrapeFilter> seeds, peers;      ///< BEP 33 "BFsd", "BFpe"
  std::optional<std::vector<Sha1Hash>> samples;  ///< BEP 51
  std::optional<std::uint32_t> interval;         ///< BEP 51: seconds until it is worth asking again
  std::optional<std::uint32_t> num;              ///< BEP 51: info hashes that it has in all
  bool operator==(const KrpcResponse&) const = default;
};

struct KrpcError {
  static constexpr std::int64_t kGeneric = 201, kServer = 202, kProtocol = 203,
                                kUnknownMethod = 204;
  std::int64_t code = kGeneric;
  std::string text;  ///< printable, as it was read
  bool operator==(const KrpcError&) const = default;
};

struct KrpcMessage {
  Bytes transaction;
  std::variant<KrpcQuery, KrpcResponse, KrpcError> body;
  std::string version;         ///< "v": four bytes as a rule, any when read
  std::optional<Endpoint> ip;  ///< BEP 42: the receiver, as the sender sees it
  bool read_only = false;      ///< BEP 43: a query of who answers none
  bool operator==(const KrpcMessage&) const = default;
};

Bytes encode(const KrpcMessage& message);

/// Strict on the sizes of what it knows, blind to what it does not. Entries of `values` that are no
/// peer are left out; so are nodes with port 0. Errors: protocol, saying what is malformed.
Result<KrpcMessage> decode_krpc(ByteView packet);
/// The transaction of a query that decode_krpc() refuses, if it has one: to answer with an error.
std::optional<Bytes> krpc_query_transaction(ByteView packet);

}  // namespace swarmfs::wire
