// How each address wants to be dialled: plain or encrypted, and in which order that is tried.
//
// Nearly every client takes both: libtorrent, qBittorrent, Transmission, aria2 and rTorrent as
// installed all answer a plain handshake, one round trip sooner than an encrypted one. Those that
// insist on encryption hang up on the first bytes of a plain one. So plain goes first and costs
// nothing where it works, and encryption follows at once on a hang-up, on a new connection. Both at
// the same time would be no faster for the former, and would take two places at every peer: clients
// that allow one connection for an address would close one of them, and not always the later.
// A hang-up may have other reasons, so an address is asked in both ways once, not at every try.
//
// What we have to say goes along with our handshake, which saves a round trip. aria2 hangs up on
// that once it has answered the handshake: with such a peer the rest waits for that answer.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/net/dial_race.h"
#include "swarm/net/encryption.h"

namespace swarmfs::net {

class DialMemory {
 public:
  /// Addresses remembered; then the oldest is forgotten.
  static constexpr std::size_t kMaxRemembered = 2000;

  /// `transports`: for each, how long it waits for the ones before it.
  std::vector<DialWay> ways_to(const Endpoint& endpoint, Encryption encryption,
                               std::span<const Duration> transports);
  void on_won(const Endpoint& endpoint, const DialWay& way);
  /// Connected, and hung up on in every way.
  void on_refused(const Endpoint& endpoint);

 private:
  enum class Habit : std::uint8_t {
    encrypted,   ///< worked where plain did not, or was the last that worked
    plain_once,  ///< neither worked: the next try is in one way alone
    careful,     ///< plain worked when nothing was said along with the handshake
  };
  void remember(const Endpoint& endpoint, Habit habit);

  std::map<Endpoint, Habit> habits_;
  std::deque<Endpoint> oldest_first_;  ///< may have addresses that are forgotten already
};

}  // namespace swarmfs::net
