// The door for connections that come in: finds out what a stranger speaks and which torrent it
// wants.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "swarm/base/endpoint.h"
#include "swarm/net/encryption.h"
#include "swarm/net/peer_stream.h"
#include "swarm/wire/handshake.h"

namespace swarmfs::net {

/// Takes connections of every transport, tells plain BitTorrent from MSE by the first bytes, and
/// hands on those that show a handshake in time. On the session's thread.
class PeerGreeter {
 public:
  /// Connections whose handshake has not come: the oldest goes to make room for a new one, so that
  /// silent strangers do not keep out those who speak at once.
  static constexpr unsigned kMaxUnidentified = 100;
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  struct Host {
    /// The info hash of ours with this wire::mse::torrent_key(), if there is one.
    std::function<std::optional<Sha1Hash>(const Sha1Hash& torrent_key)> find_torrent;
    /// A stream whose handshake has been read from it. Any torrent may be meant.
    std::function<void(std::unique_ptr<PeerStream>, const Endpoint&, const wire::Handshake&)>
        greeted;
  };

  PeerGreeter(boost::asio::any_io_executor executor, Encryption encryption, Host host);
  ~PeerGreeter();

  void accept(std::unique_ptr<PeerStream> stream, const Endpoint& from);
  /// Closes all that wait.
  void close();

 private:
  struct Guest;
  using Guests = std::list<std::shared_ptr<Guest>>;

  void listen_to(const std::shared_ptr<Guest>& guest);
  void hear(const std::shared_ptr<Guest>& guest);
  bool recognise(Guest& guest);
  void encrypt(Guest& guest);
  void dismiss(const std::shared_ptr<Guest>& guest);

  boost::asio::any_io_executor executor_;
  Encryption encryption_;
  Host host_;
  Guests guests_;  ///< oldest first
};

}  // namespace swarmfs::net
