#include "swarm/net/web_seeds.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "swarm/base/hash.h"
#include "swarm/base/hex.h"

namespace swarmfs::net {

using namespace std::chrono_literals;
using engine::WebSeedEnd;
using engine::WebSeedFiles;

namespace {

constexpr Duration kFirstRetry = 2s;
constexpr Duration kLongestRetry = 5min;
/// How often a seed that is not needed now looks whether it is.
constexpr Duration kLookAgain = 15s;

/// In Azureus style (BEP 20), and the same for the same URL.
wire::ClientId client_of(std::string_view url) {
  const std::string text = "-WS0001-" + to_hex(sha1(as_bytes(url)));
  wire::ClientId id{};
  std::copy_n(text.begin(), id.size(), id.begin());
  return id;
}

}  // namespace

struct WebSeeds::Seed {
  Seed(const boost::asio::any_io_executor& executor, Given g, WebSeedFiles f)
      : given(std::move(g)),
        files(std::make_shared<const WebSeedFiles>(std::move(f))),
        name("web seed " + files->base().redacted()),
        timer(executor) {}

  Given given;
  std::shared_ptr<const WebSeedFiles> files;
  std::string name;
  std::shared_ptr<engine::WebSeedMemory> memory = std::make_shared<engine::WebSeedMemory>();
  std::shared_ptr<WebSeedLink> link;
  boost::asio::steady_timer timer;
  unsigned failures = 0;      ///< in a row, nothing brought in between
  std::uint64_t brought = 0;  ///< when it failed last
  bool out = false;           ///< for good
  bool told_to_wait = false;  ///< by its server
  std::string words = "not asked yet";
};

std::vector<WebSeeds::Given> web_seeds_of(const metainfo::Metainfo& m) {
  std::vector<WebSeeds::Given> out;
  for (const std::string& url : m.webseeds) out.push_back({url, WebSeedFiles::Kind::files, false});
  for (const std::string& url : m.httpseeds)
    out.push_back({url, WebSeedFiles::Kind::script, false});
  return out;
}

WebSeeds::WebSeeds(boost::asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
                   const metainfo::Metainfo& metainfo, const std::vector<Given>& given, Ports ports,
                   std::shared_ptr<spdlog::logger> logger)
    : executor_(std::move(executor)),
      context_(std::move(context)),
      hashes_(metainfo.hashes),
      ports_(std::move(ports)),
      logger_(std::move(logger)),
      torrent_(metainfo.name) {
  for (const Given& one : given) {
    const auto same = [&](const auto& seed) { return seed->given.url == one.url; };
    if (seeds_.size() >= kMost || std::any_of(seeds_.begin(), seeds_.end(), same)) continue;
    auto files = WebSeedFiles::make(metainfo, one.url, one.kind);
    if (!files) {
      logger_->warn("{}: a web seed is left out: {}", torrent_, files.error().message);
      continue;
    }
    seeds_.push_back(std::make_unique<Seed>(executor_, one, std::move(*files)));
  }
}

WebSeeds::~WebSeeds() { stop(); }

void WebSeeds::start() {
  if (std::exchange(running_, true)) return;
  // Not from under the feet of who starts them: a pause ends only after we are told.
  for (const auto& seed : seeds_) begin_in(*seed, Duration::zero());
}

void WebSeeds::stop() {
  running_ = false;
  for (const auto& seed : seeds_) {
    seed->timer.cancel();
    if (const auto link = std::exchange(seed->link, nullptr)) link->stop();
  }
}

void WebSeeds::network_changed() {
  if (!running_) return;
  for (const auto& seed : seeds_) {
    if (seed->out || seed->link || seed->told_to_wait || seed->failures == 0) continue;
    seed->failures = 0;
    begin_in(*seed, Duration::zero());
  }
}

void WebSeeds::begin(Seed& seed) {
  if (seed.out || seed.link) return;
  if (!ports_.wanted()) return begin_in(seed, kLookAgain);
  seed.words = "being connected to";
  WebSeedLink::Events events;
  events.on_ready = [this, &seed](std::unique_ptr<PeerStream> stream, const Endpoint& server,
                                  Duration rtt) {
    seed.words = "serves";
    ports_.connected(std::move(stream), server,
                     engine::WebSeed::handshake(hashes_, client_of(seed.given.url)), rtt);
  };
  events.on_note = [this, &seed](const std::string& line) {
    logger_->info("{}: {}: {}", torrent_, seed.name, line);
  };
  events.on_ended = [this, &seed](const WebSeedEnd& end) { on_ended(seed, end); };
  const auto scope =
      seed.given.users ? engine::Scope::local : engine::scope_of_host(seed.files->base().host);
  seed.link = std::make_shared<WebSeedLink>(executor_, context_, seed.files, seed.memory, scope,
                                            seed.name, std::move(events));
  seed.link->start();
}

/// The timer holds nothing of ours that could be gone: it is cancelled with us, and a handler that
/// was due already finds that.
void WebSeeds::begin_in(Seed& seed, Duration wait) {
  seed.timer.expires_after(wait);
  seed.timer.async_wait([this, &seed, alive = std::weak_ptr(seed.memory)](const auto& cancelled) {
    if (!cancelled && !alive.expired() && running_) begin(seed);
  });
}

void WebSeeds::on_ended(Seed& seed, const WebSeedEnd& end) {
  seed.link = nullptr;
  if (end.why.empty()) {  // by the engine: complete, or paused
    seed.words = "not needed";
    return begin_in(seed, kLookAgain);
  }
  seed.words = end.why;
  if (end.for_good) {
    seed.out = true;
    logger_->warn("{}: {} is out: {}", torrent_, seed.name, end.why);
    return;
  }
  if (std::exchange(seed.brought, seed.memory->brought) != seed.memory->brought) seed.failures = 0;
  const Duration usual =
      std::min<Duration>(kLongestRetry, kFirstRetry * (1U << std::min(seed.failures, 10U)));
  ++seed.failures;
  seed.told_to_wait = end.retry_after.has_value();
  const Duration wait = end.retry_after ? std::max<Duration>(*end.retry_after, 1s) : usual;
  logger_->info("{}: {}: {}; again in {} s", torrent_, seed.name, end.why,
                std::chrono::ceil<std::chrono::seconds>(wait).count());
  begin_in(seed, wait);
}

std::vector<std::string> WebSeeds::words() const {
  std::vector<std::string> out;
  for (const auto& seed : seeds_) {
    std::string line = seed->name + ": " + seed->words;
    if (!seed->memory->missing.empty() && !seed->out)
      line += ", but " + std::to_string(seed->memory->missing.size()) + " files are not there";
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace swarmfs::net
