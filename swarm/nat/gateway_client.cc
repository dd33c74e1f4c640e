#include "swarm/nat/gateway_client.h"

#include <algorithm>
#include <utility>

#include "swarm/base/hash.h"
#include "swarm/nat/nat_pmp.h"

namespace swarmfs::nat {

using namespace std::chrono_literals;

std::string_view to_string(Method method) {
  switch (method) {
    case Method::none:
      return "none";
    case Method::pcp:
      return "PCP";
    case Method::nat_pmp:
      return "NAT-PMP";
    case Method::upnp:
      return "UPnP";
  }
  return "";
}

bool Epoch::restarted(std::uint32_t epoch_s, TimePoint now) {
  const auto before = std::exchange(heard_, now);
  const std::int64_t last = std::exchange(server_s_, epoch_s);
  if (!before) return false;
  const std::int64_t server = std::int64_t{epoch_s} - last;
  const std::int64_t client =
      std::chrono::duration_cast<std::chrono::seconds>(now - *before).count();
  return server < -1 || client + 2 < server - server / 16 || server + 2 < client - client / 16;
}

/// Not to be guessed, and the same for the same port in each run with the same secret.
static pcp::Nonce make_nonce(const GatewayClient::Config& config, const Port& port) {
  Bytes text(config.secret.begin(), config.secret.end());
  append(text, config.client.bytes());
  text.push_back(static_cast<std::uint8_t>(port.protocol));
  append_be<std::uint16_t>(text, port.number);
  const Sha1Hash hash = sha1(text);
  pcp::Nonce nonce;
  std::copy_n(hash.begin(), nonce.size(), nonce.begin());
  return nonce;
}

GatewayClient::GatewayClient(Config config, Send send)
    : config_(std::move(config)), send_(std::move(send)) {
  for (const Port& port : config_.ports) {
    Mapping mapping;
    mapping.port = port;
    mapping.nonce = make_nonce(config_, port);
    mapping.wait = kFirstWait;
    mappings_.push_back(mapping);
  }
}

IpAddress GatewayClient::any() const {
  return config_.client.is_v4() ? IpAddress::v4({}) : IpAddress::v6({});
}

GatewayClient::Mapping* GatewayClient::find(const Port& port) {
  const auto found = std::find_if(mappings_.begin(), mappings_.end(),
                                  [&](const Mapping& m) { return m.port == port; });
  return found == mappings_.end() ? nullptr : &*found;
}

void GatewayClient::start(TimePoint now) { ask_all(now); }

/// As if nothing had been asked yet; what is mapped is taken to be so until its time is over.
void GatewayClient::ask_all(TimePoint now) {
  for (Mapping& mapping : mappings_) {
    mapping.tries = 0;
    mapping.wait = dialect_ == Method::nat_pmp ? kFirstNatPmpWait : kFirstWait;
    mapping.next = now + (&mapping == mappings_.data() ? 0s : Duration(kPatience));
  }
  on_timer(now);
}

void GatewayClient::ask(Mapping& mapping, TimePoint now) {
  const std::uint32_t lifetime_s = releasing_ ? 0 : kLifetime_s;
  // RFC 6887 15: of a deletion both suggestions are zero; RFC 6886 3.4 as well.
  std::uint16_t wish = 0;
  if (!releasing_) {
    const std::uint16_t first = mappings_.front().external;
    wish = mapping.external != 0 ? mapping.external : first != 0 ? first : mapping.port.number;
  }
  if (dialect_ != Method::nat_pmp) {
    const IpAddress outside = mapping.external != 0 && !releasing_ ? mapping.address : any();
    send_(pcp::encode({config_.client, mapping.nonce, mapping.port, lifetime_s, {outside, wish}}));
  }
  const bool silent = dialect_ == Method::none && mapping.tries > 0 && config_.client.is_v4();
  if (dialect_ == Method::nat_pmp || silent) {
    if (!address_ && !releasing_) send_(nat_pmp::encode_address_request());
    send_(nat_pmp::encode({mapping.port, wish, lifetime_s}));
  }
  ++mapping.tries;
  mapping.next = now + mapping.wait;
  mapping.wait = std::min(mapping.wait * 2, kLongestWait);
}

void GatewayClient::on_timer(TimePoint now) {
  for (Mapping& mapping : mappings_) {
    if (!releasing_ && mapping.external != 0 && mapping.expires <= now) mapping.external = 0;
    if (mapping.next && *mapping.next <= now) ask(mapping, now);
  }
}

std::optional<TimePoint> GatewayClient::deadline() const {
  std::optional<TimePoint> out;
  const auto sooner = [&](TimePoint at) {
    if (!out || at < *out) out = at;
  };
  for (const Mapping& mapping : mappings_) {
    if (mapping.next) sooner(*mapping.next);
    if (mapping.external != 0 && !releasing_) sooner(mapping.expires);
  }
  return out;
}

void GatewayClient::granted(Mapping& mapping, std::uint16_t external, std::uint32_t lifetime_s,
                            TimePoint now) {
  // RFC 6887 15: no longer than a day, whatever it says.
  const Duration lasts = std::min<Duration>(std::chrono::seconds(lifetime_s), 24h);
  mapping.external = external;
  mapping.expires = now + lasts;
  mapping.tries = 0;
  mapping.wait = dialect_ == Method::nat_pmp ? kFirstNatPmpWait : kFirstWait;
  // RFC 6887 11.2.1: halfway, and no sooner than in four seconds.
  mapping.next = now + std::max<Duration>(lasts / 2, 4s);
  ask_rest(mapping, now);
}

/// The others need not wait for it any longer.
void GatewayClient::ask_rest(const Mapping& first, TimePoint now) {
  if (&first != mappings_.data()) return;
  for (Mapping& mapping : mappings_)
    if (mapping.tries == 0 && mapping.external == 0 && &mapping != &first) ask(mapping, now);
}

void GatewayClient::refused(Mapping& mapping, Duration lasts, TimePoint now) {
  mapping.next = now + std::clamp<Duration>(lasts, kShortestError, kLongestError);
  ask_rest(mapping, now);
}

void GatewayClient::speak_nat_pmp(TimePoint now) {
  dialect_ = Method::nat_pmp;
  if (!releasing_) ask_all(now);
}

void GatewayClient::on_pcp(const pcp::Response& response, TimePoint now) {
  if (dialect_ == Method::nat_pmp) return;
  Mapping* const mapping = response.map ? find(response.map->port) : nullptr;
  const bool ours = mapping != nullptr && response.map->nonce == mapping->nonce;
  if (response.code == pcp::Code::unsupported_version ||
      (ours && response.code != pcp::Code::success)) {
    if (releasing_) {
      if (ours) mapping->next.reset();
      return;
    }
    const bool passes =
        response.code == pcp::Code::network_failure || response.code == pcp::Code::no_resources;
    const bool mapped = std::any_of(mappings_.begin(), mappings_.end(),
                                    [](const Mapping& m) { return m.external != 0; });
    if (config_.client.is_v4() && !passes && !mapped) return speak_nat_pmp(now);
    if (ours) refused(*mapping, std::chrono::seconds(response.lifetime_s), now);
    return;
  }
  if (!ours) return;
  if (releasing_) {
    if (response.lifetime_s == 0) mapping->next.reset();
    return;
  }
  if (response.lifetime_s == 0 || response.map->external.port == 0) return;
  dialect_ = Method::pcp;
  const bool restarted = epoch_.restarted(response.epoch_s, now);
  mapping->address = response.map->external.address;
  granted(*mapping, response.map->external.port, response.lifetime_s, now);
  if (!restarted) return;
  for (Mapping& other : mappings_)
    if (&other != mapping) ask(other, now);
}

void GatewayClient::on_datagram(ByteView datagram, TimePoint now) {
  if (const auto response = pcp::decode(datagram)) return on_pcp(*response, now);
  const auto response = nat_pmp::decode(datagram);
  if (!response || dialect_ == Method::pcp || !config_.client.is_v4()) return;
  if (dialect_ == Method::none) speak_nat_pmp(now);
  if (response->code == 0 && epoch_.restarted(response->epoch_s, now) && !releasing_) ask_all(now);
  if (const auto* address = std::get_if<IpAddress>(&response->what)) {
    if (response->code == 0) address_ = *address;
    return;
  }
  const auto* map = std::get_if<nat_pmp::Response::Map>(&response->what);
  Mapping* const mapping = map != nullptr ? find(map->port) : nullptr;
  if (mapping == nullptr) return;
  if (releasing_) {
    if (map->lifetime_s == 0 || response->code != 0) mapping->next.reset();
  } else if (response->code != 0) {
    refused(*mapping, kShortestError, now);
  } else if (map->lifetime_s != 0 && map->external != 0) {
    granted(*mapping, map->external, map->lifetime_s, now);
  }
}

void GatewayClient::on_announcement(ByteView datagram, TimePoint now) {
  static constexpr Duration kSeldom = 1s;  // a router says it ten times, ever more rarely
  if (releasing_ || (reminded_ && now - *reminded_ < kSeldom)) return;
  std::uint32_t epoch_s = 0;
  bool moved = false;
  if (const auto pcp = pcp::decode(datagram)) {
    epoch_s = pcp->epoch_s;
  } else if (const auto nat_pmp = nat_pmp::decode(datagram); nat_pmp && nat_pmp->code == 0) {
    epoch_s = nat_pmp->epoch_s;
    const auto* address = std::get_if<IpAddress>(&nat_pmp->what);
    moved = address != nullptr && address_ && *address_ != *address;
    if (moved) address_ = *address;
  } else {
    return;
  }
  // While nothing is mapped, that it is there is news enough.
  if (!epoch_.restarted(epoch_s, now) && !moved && mappings_.front().external != 0) return;
  reminded_ = now;
  ask_all(now);
}

void GatewayClient::release(TimePoint now) {
  if (std::exchange(releasing_, true)) return;
  for (Mapping& mapping : mappings_) {
    const bool asked = mapping.tries > 0 || mapping.external != 0;
    // A gateway that has never answered has nothing of ours.
    mapping.next = asked && dialect_ != Method::none ? std::optional(now) : std::nullopt;
    mapping.wait = kFirstNatPmpWait;
  }
  on_timer(now);
}

bool GatewayClient::released() const {
  return std::none_of(mappings_.begin(), mappings_.end(),
                      [](const Mapping& m) { return m.next.has_value(); });
}

std::optional<Endpoint> GatewayClient::external(std::size_t port) const {
  const Mapping& mapping = mappings_[port];
  if (mapping.external == 0) return std::nullopt;
  if (dialect_ == Method::pcp) return Endpoint{mapping.address, mapping.external};
  if (!address_) return std::nullopt;
  return Endpoint{*address_, mapping.external};
}

}  // namespace swarmfs::nat
