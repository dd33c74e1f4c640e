#include "swarm/net/utp_stream.h"

#include <cerrno>
#include <utility>

#include "swarm/net/utp_service.h"

namespace swarmfs::net {

/// Bytes within which the key exchange and the handshakes are over.
static constexpr std::size_t kFirstWords = 2048;

UtpStream::UtpStream(UtpService& service, utp::Socket& socket)
    : service_(service.self()), socket_(&socket) {
  socket.watch(this);
}

UtpStream::~UtpStream() { close(); }

/// The sockets end with the service.
utp::Socket* UtpStream::open_socket() const { return *service_ != nullptr ? socket_ : nullptr; }

void UtpStream::wait_readable(std::function<void()> ready) {
  utp::Socket* const socket = open_socket();
  if (socket == nullptr) return;
  readable_ = std::move(ready);
  if (!socket->readable()) return;
  socket->poke();
  (*service_)->touch(*socket);
}

void UtpStream::wait_writable(std::function<void()> ready) {
  utp::Socket* const socket = open_socket();
  if (socket == nullptr) return;
  writable_ = std::move(ready);
  if (!socket->writable()) return;
  socket->poke();
  (*service_)->touch(*socket);
}

void UtpStream::changed() {
  const std::weak_ptr<char> alive = alive_;
  for (const bool read : {true, false}) {
    const utp::Socket* const socket = open_socket();
    if (socket == nullptr || (read ? !socket->readable() : !socket->writable())) continue;
    const auto ready = std::exchange(read ? readable_ : writable_, nullptr);
    if (ready) ready();
    if (alive.expired()) return;
  }
}

ssize_t UtpStream::read(MutableByteView into) {
  utp::Socket* const socket = open_socket();
  errno = ECONNABORTED;
  if (socket == nullptr) return -1;
  const ssize_t n = socket->read(into, errno);
  if (n > 0) (*service_)->touch(*socket);
  return n;
}

ssize_t UtpStream::write(std::span<const iovec> parts) {
  utp::Socket* const socket = open_socket();
  errno = ECONNABORTED;
  if (socket == nullptr) return -1;
  ssize_t taken = 0;
  for (const iovec& part : parts) {
    const ByteView bytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    if (first_words_ < kFirstWords) socket->cut();
    const ssize_t n = socket->write(bytes, errno);
    if (n < 0 && taken == 0) return -1;
    taken += std::max<ssize_t>(n, 0);
    if (first_words_ < kFirstWords)
      first_words_ += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    if (n < static_cast<ssize_t>(bytes.size())) break;
  }
  (*service_)->touch(*socket);
  return taken;
}

/// Its congestion control keeps the queue short by itself.
std::optional<PathRtt> UtpStream::path_rtt() {
  const utp::Socket* const socket = open_socket();
  const auto shortest = socket != nullptr ? socket->shortest_rtt() : std::nullopt;
  if (!shortest) return std::nullopt;
  return PathRtt{*shortest, *shortest};
}

void UtpStream::close() {
  if (utp::Socket* const socket = open_socket()) (*service_)->close(*socket);
  socket_ = nullptr;
  readable_ = writable_ = nullptr;
}

}  // namespace swarmfs::net
