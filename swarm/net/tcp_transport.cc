#include "swarm/net/tcp_transport.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "swarm/net/addresses.h"
#include "swarm/net/tcp_stream.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// What the pending operations share; `done` is empty once the answer was given or is not wanted.
struct TcpDial {
  TcpDial(const asio::any_io_executor& executor, PeerTransport::Done d)
      : socket(executor), timeout(executor, TcpTransport::kTimeout), done(std::move(d)) {}

  void end(Result<PeerTransport::Connected> result) {
    timeout.cancel();
    if (auto told = std::exchange(done, nullptr)) told(std::move(result));
  }
  void drop() {
    done = nullptr;
    timeout.cancel();
    error_code ignored;
    socket.close(ignored);
  }

  tcp::socket socket;
  asio::steady_timer timeout;
  PeerTransport::Done done;
};

class Handle final : public PeerTransport::Attempt {
 public:
  explicit Handle(std::shared_ptr<TcpDial> dial) : dial_(std::move(dial)) {}
  ~Handle() override { dial_->drop(); }

 private:
  std::shared_ptr<TcpDial> dial_;
};

}  // namespace

std::unique_ptr<PeerTransport::Attempt> TcpTransport::connect(const Endpoint& endpoint, Done done) {
  auto dial = std::make_shared<TcpDial>(executor_, std::move(done));
  dial->timeout.async_wait([dial](const error_code& cancelled) {
    error_code ignored;
    if (!cancelled) dial->socket.close(ignored);
  });
  const auto begun = std::chrono::steady_clock::now();
  dial->socket.async_connect(to_asio(endpoint), [dial, begun, endpoint](const error_code& ec) {
    if (ec) return dial->end(Error::from_errno(ec.value(), endpoint.to_string()));
    dial->end(Connected{std::make_unique<TcpStream>(std::move(dial->socket)),
                        std::chrono::steady_clock::now() - begun});
  });
  return std::make_unique<Handle>(std::move(dial));
}

}  // namespace swarmfs::net
