#include "swarm/net/upnp.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>

#include <array>
#include <memory>

#include "swarm/wire/url.h"

namespace swarmfs::net {
namespace {

constexpr int kDiscovery_ms = 2000;
constexpr unsigned char kHops = 2;  // what the library recommends
constexpr const char* kLease_s = "3600";
constexpr const char* kForEver = "0";
constexpr int kOthersPort = 718;     // ConflictInMappingEntry
constexpr int kOnlyPermanent = 725;  // OnlyPermanentLeasesSupported
constexpr std::uint16_t kTries = 5;  // of numbers outside

struct FreeDevices {
  void operator()(UPNPDev* list) const { freeUPNPDevlist(list); }
};
using Devices = std::unique_ptr<UPNPDev, FreeDevices>;

/// Anybody on the network may answer and name any URL: those that lead out of it are not asked.
bool is_local(const char* text) {
  const auto url = wire::Url::parse(text != nullptr ? text : "");
  const auto address = url ? IpAddress::parse(url->host) : std::nullopt;
  return address && address->is_local() && !address->is_loopback();
}

/// Takes out of a list who is not local; both have to be freed.
Devices strangers_of(UPNPDev*& list) {
  Devices strangers;
  for (UPNPDev** at = &list; *at != nullptr;) {
    UPNPDev* const device = *at;
    if (is_local(device->descURL)) {
      at = &device->pNext;
      continue;
    }
    *at = device->pNext;
    device->pNext = strangers.release();
    strangers.reset(device);
  }
  return strangers;
}

/// The router's answers, freed with it.
struct Igd {
  UPNPUrls urls{};
  IGDdatas data{};
  std::array<char, 64> lan{};  ///< our own address, as the router sees it
  int found = 0;
  Igd() = default;
  Igd(const Igd&) = delete;
  Igd& operator=(const Igd&) = delete;
  ~Igd() {
    if (found != 0) FreeUPNPUrls(&urls);
  }
};

const char* name_of(nat::Protocol protocol) {
  return protocol == nat::Protocol::tcp ? "TCP" : "UDP";
}

int add(const UpnpMapping& at, const nat::Port& port, std::uint16_t external, const char* client) {
  const auto outside = std::to_string(external), inside = std::to_string(port.number);
  const auto ask = [&](const char* lease) {
    return UPNP_AddPortMapping(at.control_url.c_str(), at.service.c_str(), outside.c_str(),
                               inside.c_str(), client, "swarmfs", name_of(port.protocol), nullptr,
                               lease);
  };
  const int error = ask(kLease_s);
  return error == kOnlyPermanent ? ask(kForEver) : error;
}

}  // namespace

void upnp_unmap(const UpnpMapping& mapping) {
  const auto outside = std::to_string(mapping.external.port);
  for (const nat::Port& port : mapping.ports)
    UPNP_DeletePortMapping(mapping.control_url.c_str(), mapping.service.c_str(), outside.c_str(),
                           name_of(port.protocol), nullptr);
}

Result<UpnpMapping> upnp_map(const std::vector<nat::Port>& ports, const IpAddress& listen,
                             const std::atomic<bool>& given_up) {
  int error = UPNPDISCOVER_SUCCESS;
  UPNPDev* list =
      upnpDiscover(kDiscovery_ms, nullptr, nullptr, UPNP_LOCAL_PORT_ANY, 0, kHops, &error);
  const Devices strangers = strangers_of(list);
  const Devices devices(list);
  const auto none = [] { return fail(ErrorKind::not_found, "UPnP: no router answers"); };
  if (!devices || given_up) return none();
  Igd igd;
  igd.found = UPNP_GetValidIGD(devices.get(), &igd.urls, &igd.data, igd.lan.data(),
                               static_cast<int>(igd.lan.size()));
  // 1 is a router that is connected; others lead nowhere.
  if (igd.found != 1 || !is_local(igd.urls.controlURL)) return none();
  const auto client = IpAddress::parse(igd.lan.data());
  if (!client || (!listen.is_unspecified() && listen != *client))
    return fail(ErrorKind::not_found, "UPnP: the router does not see the address we listen at");

  UpnpMapping out;
  out.control_url = igd.urls.controlURL;
  out.service = igd.data.first.servicetype;
  std::array<char, 64> address{};
  error = UPNP_GetExternalIPAddress(out.control_url.c_str(), out.service.c_str(), address.data());
  if (const auto outside = IpAddress::parse(address.data()); error == 0 && outside)
    out.external.address = *outside;
  for (std::uint16_t i = 0; i < kTries; ++i) {
    out.external.port = static_cast<std::uint16_t>(ports.front().number + i);
    if (out.external.port == 0) break;
    error = 0;
    for (const nat::Port& port : ports) {
      error = given_up ? kOthersPort : add(out, port, out.external.port, igd.lan.data());
      if (error != 0) break;
      out.ports.push_back(port);
    }
    if (error == 0 && !given_up) return out;
    upnp_unmap(out);
    out.ports.clear();
    if (error != kOthersPort || given_up) break;
  }
  const char* const why = strupnperror(error);
  return fail(ErrorKind::network, std::string("UPnP: the router maps no port: ") +
                                      (why != nullptr ? why : std::to_string(error)));
}

}  // namespace swarmfs::net
