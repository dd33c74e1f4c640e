// Ids of nodes: their distance, and what BEP 42 asks of them.
#pragma once

#include <compare>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"

namespace swarmfs::dht {

/// Nodes, and the info hashes that are kept near them, live in one space of 160 bits.
using NodeId = Sha1Hash;

/// BEP 5: how far apart two ids are; to be compared, smaller is nearer.
NodeId distance(const NodeId& a, const NodeId& b);
/// Whether `a` is nearer to `target` than `b`.
bool nearer(const NodeId& target, const NodeId& a, const NodeId& b);
/// How many bits at their start two ids share: 0 to 160.
unsigned common_prefix(const NodeId& a, const NodeId& b);

NodeId random_id(Rng& rng);
/// A random id that shares the first `prefix` bits of `id`, and not the next where there is one.
NodeId random_id_sharing(const NodeId& id, unsigned prefix, Rng& rng);

/// BEP 42: an id that a node at this address may have. `rand` is the id's last byte.
NodeId secure_id(const IpAddress& address, std::uint8_t rand, Rng& rng);
/// BEP 42: whether an id fits its address. Local addresses may have any.
bool is_secure(const NodeId& id, const IpAddress& address);

/// The network that an address is of, as far as one owner is assumed: /24 of IPv4, /48 of IPv6.
IpAddress network_of(const IpAddress& address);

}  // namespace swarmfs::dht
