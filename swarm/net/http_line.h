// One kept connection to a web server: GETs out, and their answers in, in the same order.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "swarm/base/path_rtt.h"
#include "swarm/net/http_client.h"
#include "swarm/net/http_responses.h"
#include "swarm/wire/http_head.h"

namespace swarmfs::net {

struct HttpOpened;
class Task;

/// Lives on the session's thread. Owned by shared_ptr because pending operations may outlast the
/// interest in it.
class HttpLine : public std::enable_shared_from_this<HttpLine> {
 public:
  /// Never called from inside open(), get() or resume(), nor after close().
  struct Events {
    std::function<void(const Endpoint& server, Duration rtt)> on_open;
    std::function<void(const wire::HttpHead&)> on_head;
    std::function<void(ByteView)> on_body;
    std::function<void(bool kept)> on_end;
    /// It could not be opened, or has ended, by whomever; the last call.
    std::function<void(const std::string& why)> on_lost;
    /// True while the receiver cannot take more; resume() starts reading again.
    std::function<bool()> congested;
  };
  /// Names, addresses and TLS together.
  static constexpr Duration kOpenTime = std::chrono::seconds(15);

  HttpLine(boost::asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
           Events events);
  ~HttpLine();

  /// Connects to the request's host. Call once.
  void open(HttpRequest request);
  /// Sends a GET, after on_open. `range`: first and last byte, both inclusive.
  void get(const wire::Url& url, std::optional<std::pair<std::uint64_t, std::uint64_t>> range);
  void resume();
  void close();
  /// The shortest round trip of the path of late, if it is known.
  std::optional<PathRtt> path_rtt();

 private:
  void opened(std::unique_ptr<HttpOpened> stream);
  void read();
  void on_read(const std::string& error, std::size_t n);
  void write();
  void lose(const std::string& why);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<HttpContext> context_;
  Events events_;
  HttpResponses responses_;
  std::shared_ptr<Task> opening_;
  std::unique_ptr<HttpOpened> stream_;
  std::string unsent_, sending_;
  std::array<std::uint8_t, 128 * 1024> buffer_;
  bool reading_ = false;
  bool closed_ = false;
};

}  // namespace swarmfs::net
