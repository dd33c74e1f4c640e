// Announces to trackers over HTTP, HTTPS and UDP. One thread: that of the executor.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"
#include "swarm/engine/address_policy.h"
#include "swarm/net/http_client.h"
#include "swarm/net/udp_tracker.h"
#include "swarm/wire/tracker.h"

namespace swarmfs::net {

class Task;

class TrackerClient {
 public:
  struct Options {
    HttpOptions http;
    UdpTrackerOptions udp;
    Duration timeout = std::chrono::seconds(40);  ///< of one announce, look-up included
  };
  struct Answer {
    /// Its peers may all be dialled: a public tracker's local addresses have been left out.
    wire::AnnounceResponse response;
    Endpoint tracker;  ///< the address that answered
    engine::Scope scope = engine::Scope::global;
  };
  /// Called once for each address family of the tracker's host, in the order they end; `last` with
  /// the final one. A host that cannot be reached at all gives one error. Errors hold no passkey.
  using OnAnswer = std::function<void(Result<Answer>, bool last)>;
  using OnScrape = std::function<void(Result<std::vector<wire::ScrapeEntry>>)>;

  TrackerClient(boost::asio::any_io_executor executor, RoutePtr route, Options options,
                std::shared_ptr<spdlog::logger> logger);
  /// Cancels everything; no callback comes afterwards.
  ~TrackerClient();
  TrackerClient(const TrackerClient&) = delete;
  TrackerClient& operator=(const TrackerClient&) = delete;

  /// Announces over every address family that the host has, with the request's one key (BEP 7); a
  /// name that a proxy looks up counts as one family.
  /// The callback is never called from inside. Returns an id for cancel().
  std::uint64_t announce(const std::string& url, wire::AnnounceRequest request, OnAnswer on_answer);
  /// Scrapes over the first family that the host has (BEP 15, BEP 48); at most kMaxScrapeHashes.
  std::uint64_t scrape(const std::string& url, std::vector<Sha1Hash> hashes, OnScrape on_scrape);
  /// Gives it up; its callback is not called any more. Unknown ids are ignored.
  void cancel(std::uint64_t id);

 private:
  struct Call;
  using Addresses = std::vector<IpAddress>;

  std::uint64_t add(std::shared_ptr<Call> call);
  void look_up(const std::shared_ptr<Call>& call, std::function<void(Result<Addresses>)> then);
  void announce_to(const std::shared_ptr<Call>& call, wire::Family family,
                   const Addresses& addresses);
  void finish_family(const std::shared_ptr<Call>& call, wire::Family family, Result<Answer> answer);

  boost::asio::any_io_executor executor_;
  RoutePtr route_;
  Options options_;
  std::shared_ptr<spdlog::logger> logger_;
  std::shared_ptr<HttpContext> http_;
  Rng random_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::shared_ptr<Call>> calls_;  ///< shared with their tasks' callbacks
};

}  // namespace swarmfs::net
