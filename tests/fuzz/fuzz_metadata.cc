// What peers may send while only a torrent's hash is known: several of them, with whole messages
// cut out of the input, pieces with their right bytes, and raw bytes. Magnet links besides.
#include <cstdint>
#include <cstdlib>

#include "swarm/engine/metadata_fetch.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"
#include "swarm/wire/magnet.h"

namespace {

using namespace swarmfs;
using namespace std::chrono_literals;

constexpr std::uint32_t kSize = 3 * wire::kMetadataPiece + 100;

const Bytes& info() {
  static const Bytes bytes = [] {
    Bytes b(kSize);
    for (std::uint32_t i = 0; i < kSize; ++i) b[i] = static_cast<std::uint8_t>(i * 7 >> 3);
    return b;
  }();
  return bytes;
}

class Host final : public engine::MetadataHost {
 public:
  std::size_t sent = 0;
  void send(PeerId, Bytes bytes) override { sent += bytes.size(); }
  void disconnect(PeerId, std::string_view) override {}
  void dial(const Endpoint& endpoint) override { dials.push_back(endpoint); }
  void need_peers() override {}
  void log(int, std::string_view) override {}
  std::vector<Endpoint> dials;
};

struct Run {
  Run() : fetch(config(), host, 3) {}
  static engine::MetadataConfig config() {
    engine::MetadataConfig c;
    c.hashes.v1 = sha1(info());
    c.client_id[0] = 'W';
    return c;
  }
  PeerId join(std::uint8_t n) {
    wire::Handshake h;
    h.info_hash = *config().hashes.v1;
    h.peer_id.fill(n);
    h.fast = h.extended = true;
    const Endpoint from{IpAddress::v4({20, 0, 0, n}), 7000};
    const auto id = fetch.add_peer(from, (n & 1) != 0 ? std::optional(h) : std::nullopt, 5ms, now);
    if (!id) return PeerId(0);
    Bytes hello;
    if ((n & 1) == 0) wire::append_handshake(hello, h);
    wire::ExtensionHandshake e;
    e.ids.ut_metadata = 3;
    e.metadata_size = kSize + (n > 128 ? n : 0U);
    wire::append_extended(hello, 0, wire::encode(e));
    fetch.on_received(*id, hello, now);
    return *id;
  }
  Host host;
  TimePoint now = TimePoint{} + 1h;
  engine::MetadataFetch fetch;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  if (data[0] == 'm' && data[1] == 'a') {
    const auto magnet = wire::parse_magnet(as_text(swarmfs::ByteView(data, size)));
    if (magnet && !wire::parse_magnet(wire::to_string(*magnet))) std::abort();
    return 0;
  }
  Run run;
  PeerId peers[] = {run.join(1), run.join(2), run.join(data[0])};
  for (std::size_t at = 1; at + 2 <= size;) {
    const std::uint8_t what = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    const swarmfs::ByteView bytes(data + at + 2, length);
    at += 2 + length;
    PeerId& peer = peers[what % 3];
    run.now += std::chrono::milliseconds(what);
    Bytes out;
    switch (what / 3 % 7) {
      case 0:
        run.fetch.on_received(peer, bytes, run.now);
        break;
      case 1:
        run.fetch.on_closed(peer, run.now);
        peer = run.join(what);
        break;
      case 2:
        run.now += 3s;
        run.fetch.on_timer(run.now);
        break;
      case 3: {
        const std::uint32_t piece = length > 0 ? bytes[0] % 4U : 0U;
        const std::uint32_t begin = piece * wire::kMetadataPiece;
        Bytes part(info().begin() + begin,
                   info().begin() + std::min(begin + wire::kMetadataPiece, kSize));
        if (length > 1 && bytes[1] == 1) part[0] ^= 1;
        wire::append_extended(
            out, engine::limits::kMetadataId,
            wire::encode({wire::MetadataMessage::Kind::data, piece, kSize, part}));
        run.fetch.on_received(peer, out, run.now);
        break;
      }
      case 4:
        wire::append_extended(out, engine::limits::kMetadataId, bytes);
        run.fetch.on_received(peer, out, run.now);
        break;
      case 5:
        (void)run.fetch.release(peer);
        break;
      default:
        append_be(out, static_cast<std::uint32_t>(length));
        append(out, bytes);
        run.fetch.on_received(peer, out, run.now);
    }
    if (run.host.sent > 64u << 20) std::abort();
    if (run.fetch.metadata() && *run.fetch.metadata() != info()) std::abort();
  }
  (void)run.fetch.stats();
  return 0;
}
