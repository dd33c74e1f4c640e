// The Bloom filters that count peers over many nodes (BEP 33).
#pragma once

#include "swarm/base/endpoint.h"
#include "swarm/wire/krpc.h"

namespace swarmfs::dht {

void insert(wire::ScrapeFilter& filter, const IpAddress& address);
bool may_hold(const wire::ScrapeFilter& filter, const IpAddress& address);
/// The filter of both sets together.
void unite(wire::ScrapeFilter& into, const wire::ScrapeFilter& other);
/// How many addresses were inserted, by the bits that are not set.
double estimate(const wire::ScrapeFilter& filter);

}  // namespace swarmfs::dht
