// A TCP connection as a stream of bytes to a peer.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "swarm/net/peer_stream.h"

namespace swarmfs::net {

class TcpStream final : public PeerStream {
 public:
  /// Takes a connected socket.
  explicit TcpStream(boost::asio::ip::tcp::socket socket);

  void wait_readable(std::function<void()> ready) override;
  void wait_writable(std::function<void()> ready) override;
  ssize_t read(MutableByteView into) override;
  ssize_t write(std::span<const iovec> parts) override;
  std::optional<Duration> path_rtt() override;
  void close() override;

 private:
  boost::asio::ip::tcp::socket socket_;
};

}  // namespace swarmfs::net
