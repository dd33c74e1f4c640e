// Torrent: introductions of peers that cannot be dialled (BEP 55), as who asks for one, as who is
// dialled, and as who introduces.
#include "swarm/engine/address_policy.h"
#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/holepunch.h"

namespace swarmfs::engine {

using wire::HolepunchMessage;
using Type = HolepunchMessage::Type;
using Code = HolepunchMessage::Code;

/// Where others may dial a peer: over uTP that is where it comes from, over TCP where it says that
/// it listens.
Endpoint Torrent::reached_at(const Peer& peer) const {
  const bool utp = host_.link(peer.id).transport == "utp";
  return utp || peer.dialled || !peer.booked ? peer.endpoint : *peer.booked;
}

/// A dial did not get there. Who named the address is connected there, or was (BEP 11); of the
/// others, every one that introduces at all is as likely as another.
void Torrent::seek_introduction(const Endpoint& endpoint, TimePoint now) {
  if (!config_.holepunch || paused_ || contradicted_ || book_.refuses(endpoint.address)) return;
  unsigned asked = 0;
  for (const bool named_it : {true, false}) {
    for (const auto& [id, peer] : peers_) {
      if (peer->closing || peer->holepunch_id == 0 || peer->endpoint.address == endpoint.address ||
          can_introduce(id, endpoint).has_value() != named_it)
        continue;
      if (asked == 0 && !holepunch_.begin(endpoint, now)) return;
      wire::append_extended(to(*peer), peer->holepunch_id,
                            wire::encode(HolepunchMessage{Type::rendezvous, endpoint, Code::none}));
      if (++asked == Holepunch::kMaxRelays) return;
    }
  }
}

void Torrent::on_holepunch(Peer& peer, ByteView payload, TimePoint now) {
  const auto message = wire::parse_holepunch(payload);
  if (!message) return drop(peer, message.error().message, CloseReason::misbehaved, now);
  switch (message->type) {
    case Type::rendezvous:
      return relay(peer, message->endpoint, now);
    case Type::connect:
      if (!holepunch_.asked(message->endpoint, now) && !peer.may_direct.take(now)) return;
      return knock(peer, message->endpoint, now);
    case Type::error:
      host_.log(0, peer.endpoint.to_string() + ": no introduction to " +
                       message->endpoint.to_string() + ", error " +
                       std::to_string(static_cast<std::uint32_t>(message->code)));
  }
}

/// Introduces two peers, both of which we are connected with.
void Torrent::relay(Peer& from, const Endpoint& to_whom, TimePoint now) {
  if (from.holepunch_id == 0 || !from.may_relay.take(now)) return;
  const auto refuse = [&](Code code) {
    wire::append_extended(to(from), from.holepunch_id,
                          wire::encode(HolepunchMessage{Type::error, to_whom, code}));
  };
  if (to_whom.port == 0 || to_whom.address.is_unspecified()) return refuse(Code::no_such_peer);
  Peer* target = nullptr;
  for (const auto& [id, peer] : peers_) {
    if (peer->closing || !peer->ready || peer->web_seed) continue;
    if (peer->endpoint == to_whom || reached_at(*peer) == to_whom) target = peer.get();
  }
  if (target == nullptr) return refuse(Code::not_connected);
  if (target == &from) return refuse(Code::no_such_peer);
  if (target->holepunch_id == 0) return refuse(Code::no_support);
  const auto connect = [&](Peer& one, const Endpoint& other) {
    wire::append_extended(to(one), one.holepunch_id,
                          wire::encode(HolepunchMessage{Type::connect, other, Code::none}));
  };
  connect(*target, reached_at(from));
  connect(from, to_whom);
}

/// Dials at once, while the other end does: each lets the other's packets through its router.
void Torrent::knock(const Peer& introducer, const Endpoint& endpoint, TimePoint now) {
  if (!config_.holepunch || paused_ || contradicted_ || endpoint.port == 0 || full()) return;
  // As for what a node of the hash table names: from outside nothing leads to a local address.
  const Scope scope = scope_after(Scope::local, introducer.endpoint.address);
  if (!may_connect(scope, endpoint.address) || half_open_.contains(endpoint)) return;
  book_.add(endpoint, PeerSource::pex, now);
  if (!book_.begin_dial(endpoint)) return;
  half_open_.insert(endpoint);
  host_.dial(endpoint);
}

}  // namespace swarmfs::engine
