#include "swarm/wire/tracker_http.h"

#include <algorithm>
#include <charconv>

#include "swarm/base/bencode.h"
#include "swarm/wire/url.h"

namespace swarmfs::wire {
namespace {

constexpr std::chrono::seconds kDefaultInterval{1800};
constexpr std::int64_t kLongestInterval = 7 * 24 * 3600;

std::string_view event_name(TrackerEvent event) {
  switch (event) {
    case TrackerEvent::none:
      return "";
    case TrackerEvent::completed:
      return "completed";
    case TrackerEvent::started:
      return "started";
    case TrackerEvent::stopped:
      return "stopped";
  }
  return "";
}

TrackerEvent event_from(std::string_view name) {
  for (const auto event : {TrackerEvent::completed, TrackerEvent::started, TrackerEvent::stopped}) {
    if (event_name(event) == name) return event;
  }
  return TrackerEvent::none;
}

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Sha1Hash> twenty_bytes(std::string_view text) {
  Sha1Hash out;
  if (text.size() != out.size()) return std::nullopt;
  std::copy_n(as_bytes(text).begin(), out.size(), out.begin());
  return out;
}

/// Calls `take(name, value)` for each parameter, the value decoded.
template <class Take>
void each_parameter(std::string_view query, Take take) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos)
      take(pair.substr(0, equals), percent_decode(pair.substr(equals + 1)));
  }
}

void add_peer(std::vector<Endpoint>& peers, const std::optional<Endpoint>& peer) {
  if (peer && peer->port != 0 && !peer->address.is_unspecified() && peers.size() < kMaxTrackerPeers)
    peers.push_back(*peer);
}

void read_compact(std::string_view text, std::size_t stride, std::vector<Endpoint>& peers) {
  const ByteView bytes = as_bytes(text);
  for (std::size_t at = 0; at + stride <= bytes.size(); at += stride)
    add_peer(peers, Endpoint::from_compact(bytes.subspan(at, stride)));
}

void read_peers(bencode::Node node, std::size_t stride, std::vector<Endpoint>& peers) {
  if (const auto text = node.string()) return read_compact(*text, stride, peers);
  for (const bencode::Node item : node.items()) {
    const auto address = IpAddress::parse(item.find("ip").string().value_or(""));
    const auto port = item.find("port").integer().value_or(0);
    if (address && port > 0 && port <= 0xffff)
      add_peer(peers, Endpoint{*address, static_cast<std::uint16_t>(port)});
  }
}

std::optional<std::uint32_t> count(bencode::Node node) {
  const auto value = node.integer();
  if (!value || *value < 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(*value, 0xffffffff));
}

std::optional<std::chrono::seconds> seconds(bencode::Node node) {
  const auto value = node.integer();
  if (!value) return std::nullopt;
  return std::chrono::seconds(std::clamp<std::int64_t>(*value, 0, kLongestInterval));
}

std::optional<IpAddress> raw_address(std::string_view text) {
  // BEP 24: the address alone; a port of zero makes it a compact endpoint.
  const std::string with_port = std::string(text) + std::string(2, '\0');
  const auto endpoint = Endpoint::from_compact(as_bytes(with_port));
  if (!endpoint) return std::nullopt;
  return endpoint->address;
}

/// The reply's dict, or what the tracker said instead.
Result<bencode::Document> open_reply(ByteView body) {
  // Some trackers end a reply with a newline: bytes behind the value are let pass.
  std::size_t consumed = 0;
  auto document = bencode::Document::parse(body, {}, &consumed);
  if (!document || !document->root().is_dict())
    return fail(ErrorKind::protocol, "tracker's reply is not a bencoded dictionary");
  if (const auto reason = document->root().find("failure reason").string())
    return fail(ErrorKind::protocol, "tracker refused: " + printable(*reason));
  return document;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) c = '?';
  }
  return out;
}

std::string announce_target(std::string_view target, const AnnounceRequest& request) {
  std::string out(target);
  out += target.find('?') == std::string_view::npos ? '?' : '&';
  out += "info_hash=" + percent_encode(request.info_hash);
  out += "&peer_id=" + percent_encode(request.peer_id);
  out += "&port=" + std::to_string(request.port);
  out += "&uploaded=" + std::to_string(request.uploaded);
  out += "&downloaded=" + std::to_string(request.downloaded);
  out += "&left=" + std::to_string(request.left);
  out += request.compact ? "&compact=1" : "&compact=0";
  Bytes key;
  append_be<std::uint32_t>(key, request.key);
  out += "&key=";
  static constexpr char kHex[] = "0123456789abcdef";
  for (const std::uint8_t b : key) {
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
  if (request.event != TrackerEvent::none) {
    out += "&event=";
    out += event_name(request.event);
  }
  if (request.numwant) out += "&numwant=" + std::to_string(*request.numwant);
  if (!request.tracker_id.empty())
    out += "&trackerid=" + percent_encode(as_bytes(request.tracker_id));
  if (request.ip) out += "&ip=" + percent_encode(as_bytes(request.ip->to_string()));
  return out;
}

std::optional<std::string> scrape_target(std::string_view announce_target,
                                         std::span<const Sha1Hash> hashes) {
  static constexpr std::string_view kAnnounce = "announce";
  const auto question = announce_target.find('?');
  const auto slash = announce_target.substr(0, question).rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  if (announce_target.substr(slash + 1, kAnnounce.size()) != kAnnounce) return std::nullopt;
  std::string out(announce_target.substr(0, slash + 1));
  out += "scrape";
  out += announce_target.substr(slash + 1 + kAnnounce.size());
  char joint = question == std::string_view::npos ? '?' : '&';
  for (const Sha1Hash& hash : hashes) {
    out += joint;
    out += "info_hash=" + percent_encode(hash);
    joint = '&';
  }
  return out;
}

Result<AnnounceRequest> decode_announce_query(std::string_view query) {
  AnnounceRequest request;
  request.left = UINT64_MAX;  // a sender that does not say is no seed
  request.compact = true;
  std::optional<Sha1Hash> info_hash;
  std::optional<Sha1Hash> peer_id;
  std::optional<std::uint16_t> port;
  each_parameter(query, [&](std::string_view name, const std::string& value) {
    if (name == "info_hash") info_hash = twenty_bytes(value);
    if (name == "peer_id") peer_id = twenty_bytes(value);
    if (name == "port") port = number<std::uint16_t>(value);
    if (name == "uploaded") request.uploaded = number<std::uint64_t>(value).value_or(0);
    if (name == "downloaded") request.downloaded = number<std::uint64_t>(value).value_or(0);
    if (name == "left") request.left = number<std::uint64_t>(value).value_or(UINT64_MAX);
    if (name == "event") request.event = event_from(value);
    if (name == "compact") request.compact = value != "0";
    if (name == "key") request.key = number<std::uint32_t>(value, 16).value_or(0);
    if (name == "numwant") request.numwant = number<std::uint32_t>(value);
    if (name == "trackerid") request.tracker_id = value;
    if (name == "ip") request.ip = IpAddress::parse(value);
  });
  if (!info_hash) return fail(ErrorKind::bad_input, "info_hash is missing or not 20 bytes");
  if (!peer_id) return fail(ErrorKind::bad_input, "peer_id is missing or not 20 bytes");
  if (!port) return fail(ErrorKind::bad_input, "port is missing or not a port number");
  request.info_hash = *info_hash;
  request.peer_id = *peer_id;
  request.port = *port;
  return request;
}

Result<std::vector<Sha1Hash>> decode_scrape_query(std::string_view query) {
  std::vector<Sha1Hash> hashes;
  bool malformed = false;
  each_parameter(query, [&](std::string_view name, const std::string& value) {
    if (name != "info_hash") return;
    const auto hash = twenty_bytes(value);
    if (!hash) malformed = true;
    if (hash && hashes.size() < kMaxScrapeHashes) hashes.push_back(*hash);
  });
  if (malformed) return fail(ErrorKind::bad_input, "info_hash is not 20 bytes");
  return hashes;
}

Bytes encode_announce_response(const AnnounceResponse& response, bool compact) {
  bencode::Writer out;
  out.begin_dict();
  if (response.seeders) out.key("complete").integer(*response.seeders);
  if (response.external_ip) out.key("external ip").string(response.external_ip->bytes());
  if (response.leechers) out.key("incomplete").integer(*response.leechers);
  out.key("interval").integer(response.interval.count());
  if (response.min_interval) out.key("min interval").integer(response.min_interval->count());
  if (compact) {
    Bytes v4;
    Bytes v6;
    for (const Endpoint& peer : response.peers)
      append(peer.address.is_v4() ? v4 : v6, peer.to_compact());
    out.key("peers").string(v4);
    if (!v6.empty()) out.key("peers6").string(v6);
  } else {
    out.key("peers").begin_list();
    for (const Endpoint& peer : response.peers) {
      out.begin_dict().key("ip").string(peer.address.to_string());
      out.key("port").integer(peer.port).end();
    }
    out.end();
  }
  if (!response.tracker_id.empty()) out.key("tracker id").string(response.tracker_id);
  if (!response.warning.empty()) out.key("warning message").string(response.warning);
  out.end();
  return out.take();
}

Bytes encode_scrape_response(std::span<const ScrapeEntry> entries) {
  std::vector<ScrapeEntry> sorted(entries.begin(), entries.end());
  const auto by_hash = [](const auto& a, const auto& b) { return a.info_hash < b.info_hash; };
  const auto same = [](const auto& a, const auto& b) { return a.info_hash == b.info_hash; };
  std::sort(sorted.begin(), sorted.end(), by_hash);
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
  bencode::Writer out;
  out.begin_dict().key("files").begin_dict();
  for (const ScrapeEntry& entry : sorted) {
    out.key(as_text(entry.info_hash)).begin_dict();
    out.key("complete").integer(entry.seeders);
    out.key("downloaded").integer(entry.downloads);
    out.key("incomplete").integer(entry.leechers).end();
  }
  out.end().end();
  return out.take();
}

Bytes encode_tracker_failure(std::string_view reason) {
  bencode::Writer out;
  out.begin_dict().key("failure reason").string(reason).end();
  return out.take();
}

Result<AnnounceResponse> decode_announce_response(ByteView body) {
  const auto document = open_reply(body);
  if (!document) return document.error();
  const bencode::Node root = document->root();
  AnnounceResponse response;
  response.interval = seconds(root.find("interval")).value_or(kDefaultInterval);
  response.min_interval = seconds(root.find("min interval"));
  response.seeders = count(root.find("complete"));
  response.leechers = count(root.find("incomplete"));
  read_peers(root.find("peers"), 6, response.peers);
  read_peers(root.find("peers6"), 18, response.peers);
  response.tracker_id = root.find("tracker id").string().value_or("");
  response.warning = printable(root.find("warning message").string().value_or(""));
  response.external_ip = raw_address(root.find("external ip").string().value_or(""));
  return response;
}

Result<std::vector<ScrapeEntry>> decode_scrape_response(ByteView body) {
  const auto document = open_reply(body);
  if (!document) return document.error();
  std::vector<ScrapeEntry> entries;
  for (const auto& [key, value] : document->root().find("files").entries()) {
    const auto hash = twenty_bytes(key);
    if (!hash || entries.size() == kMaxScrapeHashes) continue;
    entries.push_back({*hash, count(value.find("complete")).value_or(0),
                       count(value.find("downloaded")).value_or(0),
                       count(value.find("incomplete")).value_or(0)});
  }
  return entries;
}

}  // namespace swarmfs::wire
