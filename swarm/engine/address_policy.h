// Who may send a torrent where: nothing from the public network leads to a local address.
//
// The rule is applied to the address actually connected to, on every redirect hop, so names
// that resolve to local addresses (DNS rebinding) gain nothing.
#pragma once

#include <cstdint>
#include <string_view>

#include "swarm/base/endpoint.h"

namespace swarmfs::engine {

/// How far whoever named an address is trusted. `local` is for the user's own flags, for a
/// manifest that spells out a local host, and for what a tracker on the local network says.
enum class Scope : std::uint8_t { global, local };

/// True if the address is local, or embeds a local IPv4 address in an IPv6 transition form
/// (NAT64 64:ff9b::/96, 6to4 2002::/16, v4-compatible ::/96).
bool leads_to_local(const IpAddress& address);

/// The scope of a tracker or web seed URL in a manifest, from its host alone: local if the host
/// is a local address, or a name that public DNS cannot hold (localhost, one label, .local,
/// .lan, .internal, .home.arpa). `host` without brackets, lower case.
Scope scope_of_host(std::string_view host);

/// Whether a source of that scope may lead a connection to the address.
bool may_connect(Scope source, const IpAddress& to);

/// The scope of what a connected host then names: a redirect, or the peers that a tracker
/// returns. A public hop never becomes local again.
Scope scope_after(Scope source, const IpAddress& connected);

}  // namespace swarmfs::engine
