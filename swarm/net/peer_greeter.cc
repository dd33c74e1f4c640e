#include "swarm/net/peer_greeter.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <utility>

#include "swarm/net/mse_stream.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using boost::system::error_code;

struct PeerGreeter::Guest {
  Guest(const asio::any_io_executor& executor, std::unique_ptr<PeerStream> s, const Endpoint& f)
      : stream(std::move(s)), from(f), timeout(executor) {}

  std::unique_ptr<PeerStream> stream;
  Endpoint from;
  asio::steady_timer timeout;
  std::array<std::uint8_t, wire::kHandshakeSize> bytes{};
  std::size_t filled = 0;
  bool recognised = false;  ///< it is known whether this is MSE
  bool gone = false;
};

PeerGreeter::PeerGreeter(asio::any_io_executor executor, Encryption encryption, Host host)
    : executor_(std::move(executor)), encryption_(encryption), host_(std::move(host)) {}

PeerGreeter::~PeerGreeter() { close(); }

void PeerGreeter::accept(std::unique_ptr<PeerStream> stream, const Endpoint& from) {
  if (guests_.size() >= kMaxUnidentified) dismiss(guests_.front());
  auto guest = std::make_shared<Guest>(executor_, std::move(stream), from);
  guests_.push_back(guest);
  guest->timeout.expires_after(kTimeout);
  guest->timeout.async_wait([this, weak = std::weak_ptr(guest)](const error_code& cancelled) {
    const auto late = weak.lock();
    if (!cancelled && late && !late->gone) dismiss(late);
  });
  listen_to(guest);
}

void PeerGreeter::close() {
  while (!guests_.empty()) dismiss(guests_.front());
}

void PeerGreeter::dismiss(const std::shared_ptr<Guest>& guest) {
  const auto leaving = guest;
  std::erase(guests_, leaving);
  leaving->gone = true;
  leaving->timeout.cancel();
  if (leaving->stream) leaving->stream->close();
}

void PeerGreeter::listen_to(const std::shared_ptr<Guest>& guest) {
  guest->stream->wait_readable([this, guest] {
    if (!guest->gone) hear(guest);
  });
}

void PeerGreeter::hear(const std::shared_ptr<Guest>& guest) {
  Guest& g = *guest;
  const ssize_t n = g.stream->read(MutableByteView(g.bytes).subspan(g.filled));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return listen_to(guest);
  if (n <= 0) return dismiss(guest);
  g.filled += static_cast<std::size_t>(n);
  if (!g.recognised && !recognise(g)) return dismiss(guest);
  if (g.filled < g.bytes.size()) return listen_to(guest);
  const auto theirs = wire::parse_handshake(g.bytes);
  if (!theirs) return dismiss(guest);
  auto stream = std::move(g.stream);
  const Endpoint from = g.from;
  dismiss(guest);
  host_.greeted(std::move(stream), from, *theirs);
}

/// False if what it speaks is not allowed. A public key that begins like BitTorrent's handshake is
/// one of 2^160.
bool PeerGreeter::recognise(Guest& guest) {
  const ByteView name = wire::protocol_name();
  const ByteView said = ByteView(guest.bytes).first(std::min(guest.filled, name.size()));
  if (std::ranges::equal(said, name.first(said.size()))) {
    if (said.size() < name.size()) return true;
    guest.recognised = true;
    return encryption_ != Encryption::require;
  }
  guest.recognised = true;
  if (encryption_ == Encryption::forbid) return false;
  encrypt(guest);
  return true;
}

/// The handshake is now read from the stream inside.
void PeerGreeter::encrypt(Guest& guest) {
  const std::uint32_t allowed =
      encryption_ == Encryption::require ? wire::mse::kRc4 : wire::mse::kRc4 | wire::mse::kPlain;
  guest.stream = MseStream::respond(executor_, std::move(guest.stream),
                                    ByteView(guest.bytes).first(std::exchange(guest.filled, 0)),
                                    allowed, host_.find_torrent);
}

}  // namespace swarmfs::net
