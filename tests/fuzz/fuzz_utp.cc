// Datagrams from strangers, and from the other side of a uTP connection: codec, connections and
// mux.
#include <cstdint>
#include <cstdlib>

#include "swarm/utp/mux.h"
#include "swarm/utp/packet.h"

namespace {

using namespace swarmfs;
using namespace std::chrono_literals;

class Sink final : public utp::PacketSink {
 public:
  std::size_t bytes = 0;
  bool send(const Endpoint&, std::span<const ByteView> datagrams) override {
    for (const ByteView datagram : datagrams) {
      if (!utp::parse_packet(datagram)) std::abort();
      bytes += datagram.size();
    }
    return true;
  }
};

/// Reads what there is, and writes a little.
class User final : public utp::Watcher {
 public:
  explicit User(utp::Socket& s) : socket(s) { s.watch(this); }
  void changed() override {
    std::uint8_t buffer[4096];
    int error = 0;
    if (socket.read(buffer, error) > 0) (void)socket.write(ByteView(buffer, 100), error);
  }
  utp::Socket& socket;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Sink sink;
  std::vector<std::unique_ptr<User>> users;
  utp::Mux mux(
      sink, [&](utp::Socket& socket) { users.push_back(std::make_unique<User>(socket)); }, 7);
  TimePoint now = TimePoint{} + 1h;
  const Endpoint peer{IpAddress::v4({20, 0, 0, 1}), 7000};
  if (utp::Socket* const socket = mux.connect(peer, now))
    users.push_back(std::make_unique<User>(*socket));
  const std::uint16_t ours = users[0]->socket.receive_id();
  mux.flush(now);
  // Records: what to do, how long, and so many bytes.
  for (std::size_t at = 0; at + 2 <= size;) {
    const std::uint8_t what = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    Bytes bytes(data + at + 2, data + at + 2 + length);
    at += 2 + length;
    now += std::chrono::milliseconds(what & 0x3f);
    // Half of them to the connection there is.
    if ((what & 0x40) != 0 && bytes.size() >= 4) store_be<std::uint16_t>(&bytes[2], ours);
    if ((what & 0x80) != 0) now += 1s;
    mux.on_datagram(peer, bytes, now);
    if (mux.deadline() && *mux.deadline() <= now) mux.on_timer(now);
    mux.flush(now);
    if (mux.budget().used > mux.budget().limit) std::abort();
  }
  for (const auto& user : users) {
    user->socket.close(now);
    mux.touch(user->socket);
  }
  for (int i = 0; i < 20; ++i) {
    mux.on_timer(now += 1s);
    mux.flush(now);
  }
  if (mux.size() != 0 && mux.size() > utp::Mux::kMaxHalfOpen) std::abort();
  return 0;
}
