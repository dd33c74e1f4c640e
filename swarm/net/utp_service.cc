#include "swarm/net/utp_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>

#include "swarm/base/now.h"
#include "swarm/net/utp_stream.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// When a socket that was full is tried again: its queue is that of a link that is busy.
static constexpr Duration kFullPause = 1ms;

static std::uint64_t secret() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

UtpService::UtpService(asio::any_io_executor executor, OnAccepted on_accepted)
    : executor_(std::move(executor)),
      on_accepted_(std::move(on_accepted)),
      mux_(
          *this,
          [this](utp::Socket& socket) {
            const Endpoint remote = socket.remote();
            on_accepted_(std::make_unique<UtpStream>(*this, socket), remote);
          },
          secret()),
      timer_(executor_) {}

UtpService::~UtpService() { stop(); }

void UtpService::add_port(UdpPort& port) {
  ports_.push_back(&port);
  port.set_handler(UdpPort::Kind::other, [this](const Endpoint& from, MutableByteView datagram) {
    mux_.on_datagram(from, datagram, now());
  });
  port.set_on_batch([this] { flush(); });
}

void UtpService::stop() {
  if (*self_ == nullptr) return;
  mux_.shutdown(now());
  *self_ = nullptr;
  for (UdpPort* const port : ports_) {
    port->set_handler(UdpPort::Kind::other, {});
    port->set_on_batch({});
  }
  ports_.clear();
  timer_.cancel();
}

/// A connection on its way, and its answer.
class UtpService::Dialling final : public PeerTransport::Attempt, private utp::Watcher {
 public:
  Dialling(UtpService& service, utp::Socket& socket, PeerTransport::Done done)
      : service_(service.self()), socket_(&socket), done_(std::move(done)), begun_(now()) {
    socket.watch(this);
  }
  ~Dialling() override {
    if (socket_ != nullptr && *service_ != nullptr) (*service_)->close(*socket_);
  }

 private:
  void changed() override {
    utp::Socket& socket = *socket_;
    const PeerTransport::Done done = std::exchange(done_, nullptr);
    if (!done) return;
    if (socket.state() == utp::Socket::State::connected) {
      socket_ = nullptr;
      return done(PeerTransport::Connected{std::make_unique<UtpStream>(**service_, socket),
                                           now() - begun_});
    }
    done(Error::from_errno(socket.error(), socket.remote().to_string() + " (uTP)"));
  }

  std::shared_ptr<UtpService*> service_;
  utp::Socket* socket_;  ///< nullptr once it is the stream's
  PeerTransport::Done done_;
  TimePoint begun_;
};

std::unique_ptr<PeerTransport::Attempt> UtpService::dial(const Endpoint& endpoint,
                                                         PeerTransport::Done done) {
  utp::Socket* const socket =
      port_for(endpoint) != nullptr ? mux_.connect(endpoint, now()) : nullptr;
  if (socket == nullptr) {
    asio::post(executor_, [done = std::move(done), endpoint] {
      done(fail(ErrorKind::network, endpoint.to_string() + ": no uTP to there"));
    });
    return nullptr;
  }
  auto dial = std::make_unique<Dialling>(*this, *socket, std::move(done));
  flush_soon();
  return dial;
}

void UtpService::touch(utp::Socket& socket) {
  mux_.touch(socket);
  flush_soon();
}

void UtpService::close(utp::Socket& socket) {
  socket.close(now());
  touch(socket);
}

/// Once for everything that a turn of the loop does; what is done in a flush, that flush sees.
void UtpService::flush_soon() {
  if (flushing_ || std::exchange(flush_posted_, true)) return;
  asio::post(executor_, [this, self = self_] {
    if (*self == nullptr) return;
    flush_posted_ = false;
    flush();
  });
}

void UtpService::flush() {
  const auto self = self_;
  flushing_ = true;
  mux_.flush(now());
  if (*self == nullptr) return;
  flushing_ = false;
  if (mux_.busy() && !mux_.blocked()) flush_soon();
  set_timer();
}

void UtpService::set_timer() {
  const auto due = mux_.blocked() ? now() + kFullPause : mux_.deadline();
  // One that comes too early costs less than setting it anew with each packet.
  if (!due || (timer_at_ && *timer_at_ <= *due)) return;
  timer_at_ = due;
  timer_.expires_at(*due);
  timer_.async_wait([this, self = self_](const boost::system::error_code& cancelled) {
    if (cancelled || *self == nullptr) return;
    timer_at_.reset();
    if (mux_.blocked()) send_held();
    mux_.on_timer(now());
    flush();
  });
}

UdpPort* UtpService::port_for(const Endpoint& to) const {
  const auto found = std::find_if(ports_.begin(), ports_.end(), [&](const UdpPort* port) {
    return port->local().address.is_v4() == to.address.is_v4();
  });
  return found == ports_.end() ? nullptr : *found;
}

bool UtpService::send(const Endpoint& to, std::span<const ByteView> datagrams) {
  UdpPort* const port = port_for(to);
  if (port == nullptr) return true;
  std::size_t sent = held_.empty() ? port->send(to, datagrams) : 0;
  if (sent == datagrams.size()) return true;
  for (; sent < datagrams.size(); ++sent)
    held_.emplace_back(to, Bytes(datagrams[sent].begin(), datagrams[sent].end()));
  return false;
}

void UtpService::send_held() {
  auto held = std::exchange(held_, {});
  std::size_t done = 0;
  for (; done < held.size(); ++done) {
    UdpPort* const port = port_for(held[done].first);
    const ByteView datagram = held[done].second;
    if (port != nullptr && port->send(held[done].first, std::span(&datagram, 1)) == 0) break;
  }
  held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(done));
  held_ = std::move(held);
  if (held_.empty()) mux_.on_writable();
}

}  // namespace swarmfs::net
