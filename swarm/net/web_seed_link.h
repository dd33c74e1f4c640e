// A web seed at work: engine::WebSeed between a PeerStream, which the engine's driver has, and
// connections to web servers.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "swarm/engine/web_seed.h"
#include "swarm/net/http_line.h"
#include "swarm/net/peer_stream.h"

namespace swarmfs::net {

/// Lives on the session's thread, and as long as its stream and its connections need it.
class WebSeedLink final : public engine::WebSeedHost,
                          public std::enable_shared_from_this<WebSeedLink> {
 public:
  /// Called on turns of the loop of their own, and never after stop().
  struct Events {
    /// A server took the connection: from now on the stream is a peer's.
    std::function<void(std::unique_ptr<PeerStream>, const Endpoint&, Duration rtt)> on_ready;
    std::function<void(std::string)> on_note;
    /// The last call. `why` is empty if the engine closed the stream.
    std::function<void(const engine::WebSeedEnd&)> on_ended;
  };
  /// Bytes for the engine that it has not taken yet, above which no more are received.
  static constexpr std::size_t kMaxUnread = 1 << 20;

  WebSeedLink(boost::asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
              std::shared_ptr<const engine::WebSeedFiles> files,
              std::shared_ptr<engine::WebSeedMemory> memory, engine::Scope scope, std::string name,
              Events events);

  void start();
  void stop();

  // --- engine::WebSeedHost
  void open(engine::WebLine line, const wire::Url& url, engine::Scope scope) override;
  void get(engine::WebLine line, const wire::Url& url,
           std::optional<std::pair<std::uint64_t, std::uint64_t>> range) override;
  void close(engine::WebLine line) override;
  void ready(const Endpoint& server, Duration rtt) override;
  void say(Bytes bytes) override;
  void note(std::string line) override;
  void ended(const engine::WebSeedEnd& end) override;

 private:
  class Stream;
  template <class Event>
  void step(Event&& event);
  template <class Call>
  void later(Call call);
  bool congested() const { return unread_ > kMaxUnread; }
  void notify();
  ssize_t read(MutableByteView into);
  void arm();

  boost::asio::any_io_executor executor_;
  std::shared_ptr<HttpContext> context_;
  Events events_;
  engine::WebSeed seed_;
  std::map<engine::WebLine, std::shared_ptr<HttpLine>> lines_;
  boost::asio::steady_timer timer_;
  std::deque<Bytes> outbox_;  ///< for the engine
  std::size_t taken_ = 0;     ///< of the first
  std::size_t unread_ = 0;
  std::function<void()> reader_;  ///< waits for something in it
  bool notified_ = false;
  bool stopped_ = false;
};

}  // namespace swarmfs::net
