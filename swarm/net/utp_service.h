// uTP over UDP ports: what connects the connections to sockets, clock and loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/net/peer_stream.h"
#include "swarm/net/peer_transport.h"
#include "swarm/net/udp_port.h"
#include "swarm/utp/mux.h"

namespace swarmfs::net {

/// On the executor's thread.
class UtpService final : private utp::PacketSink {
 public:
  /// Gets a connection that a peer has opened.
  using OnAccepted = std::function<void(std::unique_ptr<PeerStream>, const Endpoint&)>;

  UtpService(boost::asio::any_io_executor executor, OnAccepted on_accepted);
  ~UtpService() override;

  /// Speaks over this port from now on, with peers of its family; one port for each family. It
  /// outlives the service, or its being stopped.
  void add_port(UdpPort& port);
  /// PeerTransport::connect() over uTP; `done` comes within ten seconds.
  std::unique_ptr<PeerTransport::Attempt> dial(const Endpoint& endpoint, PeerTransport::Done done);
  /// Ends all connections, with a word to each peer. Streams that are left fail from then on.
  void stop();

  // For UtpStream.
  std::shared_ptr<UtpService*> self() { return self_; }
  /// To be called after whatever was done with a socket.
  void touch(utp::Socket& socket);
  void close(utp::Socket& socket);

 private:
  class Dialling;
  bool send(const Endpoint& to, std::span<const ByteView> datagrams) override;
  UdpPort* port_for(const Endpoint& to) const;
  void flush();
  void flush_soon();
  void send_held();
  void set_timer();

  boost::asio::any_io_executor executor_;
  OnAccepted on_accepted_;
  std::vector<UdpPort*> ports_;
  utp::Mux mux_;
  boost::asio::steady_timer timer_;
  std::optional<TimePoint> timer_at_;
  bool flushing_ = false;
  bool flush_posted_ = false;
  /// What the kernel had no room for: a batch at most, since nothing is sent until it is gone.
  std::vector<std::pair<Endpoint, Bytes>> held_;
  std::shared_ptr<UtpService*> self_ = std::make_shared<UtpService*>(this);
};

/// Connections to peers over uTP, for the dialer.
class UtpTransport final : public PeerTransport {
 public:
  /// The service outlives this.
  explicit UtpTransport(UtpService& service) : service_(service) {}
  std::unique_ptr<Attempt> connect(const Endpoint& endpoint, Done done) override {
    return service_.dial(endpoint, std::move(done));
  }

 private:
  UtpService& service_;
};

}  // namespace swarmfs::net
