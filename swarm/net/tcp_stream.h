// A TCP connection as a stream of bytes to a peer.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "swarm/net/peer_stream.h"
#include "swarm/net/unsent_bound.h"

namespace swarmfs::net {

class TcpStream final : public PeerStream {
 public:
  /// Takes a connected socket. `proxied`: its round trips, as the kernel knows them, are those of a
  /// proxy and not the peer's.
  explicit TcpStream(boost::asio::ip::tcp::socket socket, bool proxied = false);

  void wait_readable(std::function<void()> ready) override;
  void wait_writable(std::function<void()> ready) override;
  ssize_t read(MutableByteView into) override;
  ssize_t write(std::span<const iovec> parts) override;
  std::optional<PathRtt> path_rtt() override;
  PeerLink link() const override;
  void close() override;

 private:
  void bound_unsent();

  boost::asio::ip::tcp::socket socket_;
  UnsentBound unsent_;
  bool proxied_;
};

}  // namespace swarmfs::net
