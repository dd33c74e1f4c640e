#include "swarm/wire/tracker_udp.h"

#include <algorithm>
#include <limits>

namespace swarmfs::wire {
namespace {

constexpr std::uint64_t kProtocol = 0x41727101980;  // BEP 15's magic constant
enum Action : std::uint32_t { kConnect = 0, kAnnounce = 1, kScrape = 2, kError = 3 };
constexpr std::size_t kAnnounceSize = 98;
constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kNop = 1;
constexpr std::uint8_t kUrlData = 2;
constexpr std::size_t kMaxUrlData = 1024;

/// Reads big-endian fields in order; the caller has checked the packet's size.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  template <class T>
  T take() {
    const T value = load_be<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  Sha1Hash take20() {
    Sha1Hash out;
    std::copy_n(bytes_.begin(), out.size(), out.begin());
    bytes_ = bytes_.subspan(out.size());
    return out;
  }
  ByteView rest() const { return bytes_; }

 private:
  ByteView bytes_;
};

Bytes header(std::uint64_t connection, std::uint32_t action, std::uint32_t transaction) {
  Bytes out;
  append_be<std::uint64_t>(out, connection);
  append_be<std::uint32_t>(out, action);
  append_be<std::uint32_t>(out, transaction);
  return out;
}

Bytes reply_header(std::uint32_t action, std::uint32_t transaction) {
  Bytes out;
  append_be<std::uint32_t>(out, action);
  append_be<std::uint32_t>(out, transaction);
  return out;
}

/// BEP 41: the URL data of an announce's options, pieces joined; what is malformed ends it.
std::string read_url_data(ByteView options) {
  std::string out;
  while (!options.empty() && options[0] != kEndOfOptions && out.size() < kMaxUrlData) {
    if (options[0] == kNop) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options.size() < 2U + options[1]) break;
    const ByteView data = options.subspan(2, options[1]);
    if (options[0] == kUrlData) out += as_text(data);
    options = options.subspan(2 + data.size());
  }
  return out;
}

UdpAnnounceRequest read_announce(std::uint64_t connection, std::uint32_t transaction, Reader in) {
  UdpAnnounceRequest out{connection, transaction, {}, {}};
  AnnounceRequest& announce = out.announce;
  announce.info_hash = in.take20();
  announce.peer_id = in.take20();
  announce.downloaded = in.take<std::uint64_t>();
  announce.left = in.take<std::uint64_t>();
  announce.uploaded = in.take<std::uint64_t>();
  const auto event = in.take<std::uint32_t>();
  if (event <= 3) announce.event = static_cast<TrackerEvent>(event);
  const auto ip = in.take<std::uint32_t>();
  if (ip != 0) {
    std::array<std::uint8_t, 4> four;
    store_be<std::uint32_t>(four.data(), ip);
    announce.ip = IpAddress::v4(four);
  }
  announce.key = in.take<std::uint32_t>();
  const auto numwant = in.take<std::uint32_t>();
  if (numwant <= std::numeric_limits<std::int32_t>::max()) announce.numwant = numwant;
  announce.port = in.take<std::uint16_t>();
  out.url_data = read_url_data(in.rest());
  return out;
}

}  // namespace

Bytes encode(const UdpConnectRequest& request) {
  return header(kProtocol, kConnect, request.transaction);
}

Bytes encode(const UdpAnnounceRequest& request) {
  const AnnounceRequest& announce = request.announce;
  Bytes out = header(request.connection, kAnnounce, request.transaction);
  append(out, announce.info_hash);
  append(out, announce.peer_id);
  append_be<std::uint64_t>(out, announce.downloaded);
  append_be<std::uint64_t>(out, announce.left);
  append_be<std::uint64_t>(out, announce.uploaded);
  append_be<std::uint32_t>(out, static_cast<std::uint32_t>(announce.event));
  // The field has room for IPv4 only; 0 means the packet's source.
  const bool named = announce.ip && announce.ip->is_v4();
  append_be<std::uint32_t>(out, named ? load_be<std::uint32_t>(announce.ip->bytes().data()) : 0);
  append_be<std::uint32_t>(out, announce.key);
  append_be<std::uint32_t>(out, announce.numwant.value_or(0xffffffff));  // -1: as many as usual
  append_be<std::uint16_t>(out, announce.port);
  ByteView url = as_bytes(request.url_data).first(std::min(request.url_data.size(), kMaxUrlData));
  while (!url.empty()) {
    const ByteView part = url.first(std::min<std::size_t>(url.size(), 255));
    out.push_back(kUrlData);
    out.push_back(static_cast<std::uint8_t>(part.size()));
    append(out, part);
    url = url.subspan(part.size());
  }
  return out;
}

Bytes encode(const UdpScrapeRequest& request) {
  Bytes out = header(request.connection, kScrape, request.transaction);
  const std::size_t count = std::min(request.hashes.size(), kMaxScrapeHashes);
  for (std::size_t i = 0; i < count; ++i) append(out, request.hashes[i]);
  return out;
}

Result<UdpTrackerRequest> decode_udp_request(ByteView packet) {
  if (packet.size() < 16) return fail(ErrorKind::protocol, "UDP tracker request under 16 bytes");
  Reader in(packet);
  const auto connection = in.take<std::uint64_t>();
  const auto action = in.take<std::uint32_t>();
  const auto transaction = in.take<std::uint32_t>();
  if (action == kConnect && connection == kProtocol)
    return UdpTrackerRequest{UdpConnectRequest{transaction}};
  if (action == kAnnounce && packet.size() >= kAnnounceSize)
    return UdpTrackerRequest{read_announce(connection, transaction, in)};
  if (action == kScrape && in.rest().size() >= 20) {
    UdpScrapeRequest scrape{connection, transaction, {}};
    while (in.rest().size() >= 20 && scrape.hashes.size() < kMaxScrapeHashes)
      scrape.hashes.push_back(in.take20());
    return UdpTrackerRequest{std::move(scrape)};
  }
  return fail(ErrorKind::protocol, "UDP tracker request that is no connect, announce or scrape");
}

Bytes encode(const UdpConnectResponse& response) {
  Bytes out = reply_header(kConnect, response.transaction);
  append_be<std::uint64_t>(out, response.connection);
  return out;
}

Bytes encode(const UdpAnnounceResponse& response, Family family) {
  const AnnounceResponse& announce = response.announce;
  Bytes out = reply_header(kAnnounce, response.transaction);
  append_be<std::uint32_t>(out, static_cast<std::uint32_t>(announce.interval.count()));
  append_be<std::uint32_t>(out, announce.leechers.value_or(0));
  append_be<std::uint32_t>(out, announce.seeders.value_or(0));
  for (const Endpoint& peer : announce.peers)
    if (peer.address.is_v4() == (family == Family::v4)) append(out, peer.to_compact());
  return out;
}

Bytes encode(const UdpScrapeResponse& response) {
  Bytes out = reply_header(kScrape, response.transaction);
  for (const ScrapeEntry& entry : response.entries) {
    append_be<std::uint32_t>(out, entry.seeders);
    append_be<std::uint32_t>(out, entry.downloads);
    append_be<std::uint32_t>(out, entry.leechers);
  }
  return out;
}

Bytes encode(const UdpErrorResponse& response) {
  Bytes out = reply_header(kError, response.transaction);
  append(out, as_bytes(response.message));
  return out;
}

static AnnounceResponse read_announce_response(Reader in, Family family) {
  AnnounceResponse out;
  out.interval = std::chrono::seconds(in.take<std::uint32_t>());
  out.leechers = in.take<std::uint32_t>();
  out.seeders = in.take<std::uint32_t>();
  const std::size_t stride = family == Family::v4 ? 6 : 18;
  for (ByteView rest = in.rest(); rest.size() >= stride; rest = rest.subspan(stride)) {
    const auto peer = Endpoint::from_compact(rest.first(stride));
    if (peer->port != 0 && !peer->address.is_unspecified() && out.peers.size() < kMaxTrackerPeers)
      out.peers.push_back(*peer);
  }
  return out;
}

Result<UdpTrackerResponse> decode_udp_response(ByteView packet, Family family) {
  if (packet.size() < 8) return fail(ErrorKind::protocol, "UDP tracker reply under 8 bytes");
  Reader in(packet);
  const auto action = in.take<std::uint32_t>();
  const auto transaction = in.take<std::uint32_t>();
  const std::size_t size = in.rest().size();
  if (action == kConnect && size >= 8)
    return UdpTrackerResponse{UdpConnectResponse{transaction, in.take<std::uint64_t>()}};
  if (action == kAnnounce && size >= 12)
    return UdpTrackerResponse{UdpAnnounceResponse{transaction, read_announce_response(in, family)}};
  if (action == kError)
    return UdpTrackerResponse{UdpErrorResponse{transaction, printable(as_text(in.rest()))}};
  if (action == kScrape && size % 12 == 0) {
    UdpScrapeResponse scrape{transaction, {}};
    while (in.rest().size() >= 12 && scrape.entries.size() < kMaxScrapeHashes) {
      ScrapeEntry entry;
      entry.seeders = in.take<std::uint32_t>();
      entry.downloads = in.take<std::uint32_t>();
      entry.leechers = in.take<std::uint32_t>();
      scrape.entries.push_back(entry);
    }
    return UdpTrackerResponse{std::move(scrape)};
  }
  return fail(ErrorKind::protocol, "UDP tracker reply of unknown kind or length");
}

}  // namespace swarmfs::wire
