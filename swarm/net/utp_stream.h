// A uTP connection as a stream of bytes to a peer.
#pragma once

#include <memory>

#include "swarm/net/peer_stream.h"
#include "swarm/utp/socket.h"

namespace swarmfs::net {

class UtpService;

class UtpStream final : public PeerStream, private utp::Watcher {
 public:
  /// Takes a socket of the service that is connected; the service outlives the stream, or has been
  /// stopped before.
  UtpStream(UtpService& service, utp::Socket& socket);
  ~UtpStream() override;

  void wait_readable(std::function<void()> ready) override;
  void wait_writable(std::function<void()> ready) override;
  ssize_t read(MutableByteView into) override;
  ssize_t write(std::span<const iovec> parts) override;
  std::optional<PathRtt> path_rtt() override;
  PeerLink link() const override { return {.transport = "utp"}; }
  /// What was written before still goes out.
  void close() override;

 private:
  void changed() override;
  utp::Socket* open_socket() const;

  std::shared_ptr<UtpService*> service_;  ///< its own; holds nullptr once it has been stopped
  utp::Socket* socket_;                   ///< nullptr after close()
  std::size_t first_words_ = 0;           ///< bytes written, as long as parts are kept apart
  std::function<void()> readable_, writable_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
