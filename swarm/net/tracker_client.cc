#include "swarm/net/tracker_client.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/http_stream.h"
#include "swarm/net/task.h"
#include "swarm/wire/tracker_http.h"

namespace swarmfs::net {

using engine::Scope;
using wire::Family;

struct TrackerClient::Call {
  std::uint64_t id = 0;
  Result<wire::Url> url;
  Scope scope = Scope::global;
  wire::AnnounceRequest request;
  std::vector<Sha1Hash> hashes;  ///< a scrape
  OnAnswer on_answer;
  OnScrape on_scrape;
  std::vector<std::shared_ptr<Task>> tasks;
  int pending = 0;  ///< families that have not ended
};

namespace {

const char* name(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

void drop_forbidden_peers(TrackerClient::Answer& answer) {
  std::erase_if(answer.response.peers, [&](const Endpoint& peer) {
    return !engine::may_connect(answer.scope, peer.address);
  });
}

asio::awaitable<Result<TrackerClient::Answer>> announce_http(std::shared_ptr<HttpContext> context,
                                                             HttpRequest http) {
  const auto reply = co_await http_get(std::move(context), std::move(http));
  if (!reply) co_return reply.error();
  auto response = wire::decode_announce_response(reply->body);
  if (!response) co_return response.error();
  TrackerClient::Answer answer{std::move(*response), reply->from, reply->scope};
  drop_forbidden_peers(answer);
  co_return answer;
}

asio::awaitable<Result<std::vector<wire::ScrapeEntry>>> scrape_http(
    std::shared_ptr<HttpContext> context, HttpRequest http) {
  const auto reply = co_await http_get(std::move(context), std::move(http));
  if (!reply) co_return reply.error();
  co_return wire::decode_scrape_response(reply->body);
}

/// The first of the addresses that answers or refuses with reason; unreachable ones are passed by.
asio::awaitable<Result<TrackerClient::Answer>> announce_udp(
    RoutePtr route, wire::Url url, Scope scope, std::vector<IpAddress> addresses,
    wire::AnnounceRequest request, std::uint64_t seed, UdpTrackerOptions options) {
  Error last = fail(ErrorKind::network, url.redacted() + " has no address");
  const bool named = !route->direct() && !IpAddress::parse(url.host);
  for (const IpAddress& address : addresses) {
    if (!engine::may_connect(scope, address)) {
      last = fail(ErrorKind::permission,
                  url.redacted() + " leads from the public network to a local address: refused");
      continue;
    }
    const Endpoint tracker{address, url.port};
    const wire::ProxyTarget target =
        named ? wire::ProxyTarget(url.host, url.port) : wire::ProxyTarget(tracker);
    auto asking = udp_announce(route, target, request, url.target, seed, options);
    auto response = co_await std::move(asking);
    if (!response) {
      last = response.error();
      if (last.kind == ErrorKind::network) continue;
      break;
    }
    TrackerClient::Answer answer{std::move(*response), tracker,
                                 named ? scope : engine::scope_after(scope, address)};
    drop_forbidden_peers(answer);
    co_return answer;
  }
  co_return last;
}

}  // namespace

TrackerClient::TrackerClient(asio::any_io_executor executor, RoutePtr route, Options options,
                             std::shared_ptr<spdlog::logger> logger)
    : executor_(std::move(executor)),
      route_(std::move(route)),
      options_(std::move(options)),
      logger_(std::move(logger)),
      http_(make_http_context(route_, options_.http)),
      random_(std::random_device{}()) {
  // Transaction ids have to be hard to guess: the generator's whole start comes from the system.
  std::random_device device;
  std::array<std::uint32_t, 16> words;
  std::generate(words.begin(), words.end(), std::ref(device));
  std::seed_seq sequence(words.begin(), words.end());
  random_.seed(sequence);
}

TrackerClient::~TrackerClient() {
  while (!calls_.empty()) cancel(calls_.begin()->first);
}

std::uint64_t TrackerClient::add(std::shared_ptr<Call> call) {
  call->id = next_id_++;
  if (call->url) call->scope = engine::scope_of_host(call->url->host);
  return calls_.emplace(call->id, std::move(call)).first->first;
}

/// Resolves the call's host under the call's deadline, or reports that its URL is bad. With a
/// proxy, which looks names up, an address stands for a name.
void TrackerClient::look_up(const std::shared_ptr<Call>& call,
                            std::function<void(Result<Addresses>)> then) {
  const auto body = [](RoutePtr route, Result<wire::Url> url,
                       HttpOptions http) -> asio::awaitable<Result<Addresses>> {
    if (!url) co_return url.error();
    if (!route->direct() && !IpAddress::parse(url->host)) co_return Addresses{stand_in(url->host)};
    auto found = co_await resolve(route, url->host, http.hosts, http.lookup_timeout);
    co_return found;
  };
  auto work = body(route_, call->url, options_.http);
  const std::string what = call->url ? call->url->redacted() : "tracker";
  call->tasks.push_back(
      Task::start<Addresses>(executor_, options_.timeout, what, std::move(work), std::move(then)));
}

std::uint64_t TrackerClient::announce(const std::string& url, wire::AnnounceRequest request,
                                      OnAnswer on_answer) {
  auto call = std::make_shared<Call>();
  call->url = wire::Url::parse(url);
  call->request = std::move(request);
  call->on_answer = std::move(on_answer);
  const std::uint64_t id = add(call);
  look_up(call, [this, call](Result<Addresses> found) {
    if (!found) {
      call->pending = 1;
      finish_family(call, Family::v4, found.error());
      return;
    }
    Addresses v4;
    Addresses v6;
    for (const IpAddress& address : *found) (address.is_v4() ? v4 : v6).push_back(address);
    call->pending = (v4.empty() ? 0 : 1) + (v6.empty() ? 0 : 1);
    if (!v4.empty()) announce_to(call, Family::v4, v4);
    if (!v6.empty()) announce_to(call, Family::v6, v6);
  });
  return id;
}

void TrackerClient::announce_to(const std::shared_ptr<Call>& call, Family family,
                                const Addresses& addresses) {
  const wire::Url& url = *call->url;
  const auto work = [&]() -> asio::awaitable<Result<Answer>> {
    if (url.scheme == "udp")
      return announce_udp(route_, url, call->scope, addresses, call->request, random_(),
                          options_.udp);
    wire::Url full = url;
    full.target = wire::announce_target(url.target, call->request);
    // By which family a proxy goes on is its own business.
    const auto asked = route_->direct() ? std::optional(family) : std::nullopt;
    return announce_http(http_, HttpRequest{std::move(full), call->scope, asked, addresses});
  };
  call->tasks.push_back(Task::start<Answer>(executor_, options_.timeout, url.redacted(), work(),
                                            [this, call, family](Result<Answer> answer) {
                                              finish_family(call, family, std::move(answer));
                                            }));
}

void TrackerClient::finish_family(const std::shared_ptr<Call>& call, Family family,
                                  Result<Answer> answer) {
  if (!answer) {
    logger_->debug("tracker: {}", answer.error().message);
  } else {
    logger_->debug("tracker {} ({}): {} peers", call->url->redacted(), name(family),
                   answer->response.peers.size());
  }
  const bool last = --call->pending == 0;
  if (last) calls_.erase(call->id);
  call->on_answer(std::move(answer), last);
}

std::uint64_t TrackerClient::scrape(const std::string& url, std::vector<Sha1Hash> hashes,
                                    OnScrape on_scrape) {
  auto call = std::make_shared<Call>();
  call->url = wire::Url::parse(url);
  call->hashes = std::move(hashes);
  call->hashes.resize(std::min(call->hashes.size(), wire::kMaxScrapeHashes));
  call->on_scrape = std::move(on_scrape);
  const std::uint64_t id = add(call);
  const auto finish = [this, call](Result<std::vector<wire::ScrapeEntry>> entries) {
    calls_.erase(call->id);
    call->on_scrape(std::move(entries));
  };
  look_up(call, [this, call, finish](Result<Addresses> found) {
    if (!found) return finish(found.error());
    wire::Url full = *call->url;
    const Endpoint first{found->front(), full.port};
    using Entries = std::vector<wire::ScrapeEntry>;
    const auto start = [&](asio::awaitable<Result<Entries>> work) {
      call->tasks.push_back(Task::start<Entries>(executor_, options_.timeout, full.redacted(),
                                                 std::move(work), finish));
    };
    if (full.scheme == "udp") {
      if (!engine::may_connect(call->scope, first.address))
        return finish(fail(ErrorKind::permission, full.redacted() + " is local: refused"));
      const bool named = !route_->direct() && !IpAddress::parse(full.host);
      const wire::ProxyTarget target =
          named ? wire::ProxyTarget(full.host, full.port) : wire::ProxyTarget(first);
      return start(udp_scrape(route_, target, call->hashes, random_(), options_.udp));
    }
    const auto target = wire::scrape_target(full.target, call->hashes);
    if (!target) return finish(fail(ErrorKind::unsupported, full.redacted() + " has no scrape"));
    full.target = *target;
    start(scrape_http(http_, HttpRequest{full, call->scope, std::nullopt, *found}));
  });
  return id;
}

void TrackerClient::cancel(std::uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Call> call = found->second;
  calls_.erase(found);
  for (const auto& task : call->tasks) task->cancel();
}

}  // namespace swarmfs::net
