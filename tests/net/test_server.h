// A small HTTP(S) server for tests: says what it is told to say, and counts who asked.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net::test {

struct Said {
  std::string bytes;                      ///< the whole answer, status line included
  std::chrono::milliseconds per_byte{0};  ///< a trickle
};

inline std::string http_answer(const std::string& body, const std::string& status = "200 OK",
                               const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class TestServer {
 public:
  using Speak = std::function<Said(const std::string& request)>;

  TestServer(asio::io_context& loop, const std::string& address, Speak speak,
             std::shared_ptr<asio::ssl::context> tls = nullptr)
      : acceptor_(loop, {asio::ip::make_address(address), 0}),
        speak_(std::move(speak)),
        tls_(std::move(tls)) {
    asio::co_spawn(loop, accept(), asio::detached);
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string authority() const { return from_asio(acceptor_.local_endpoint()).to_string(); }
  /// The request heads that came in.
  const std::vector<std::string>& requests() const { return requests_; }
  void close() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kAwait);
      if (error) co_return;
      if (tls_) {
        auto work = secure(std::move(socket));
        asio::co_spawn(acceptor_.get_executor(), std::move(work), asio::detached);
      } else {
        auto work = plain(std::move(socket));
        asio::co_spawn(acceptor_.get_executor(), std::move(work), asio::detached);
      }
    }
  }
  asio::awaitable<void> plain(asio::ip::tcp::socket socket) { co_await talk(socket); }
  asio::awaitable<void> secure(asio::ip::tcp::socket socket) {
    asio::ssl::stream<asio::ip::tcp::socket> stream(std::move(socket), *tls_);
    const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
    if (error) co_return;
    co_await talk(stream);
  }
  template <class Stream>
  asio::awaitable<void> talk(Stream& stream) {
    asio::streambuf buffer;
    const auto [error, size] = co_await asio::async_read_until(stream, buffer, "\r\n\r\n", kAwait);
    if (error) co_return;
    const std::string head(asio::buffers_begin(buffer.data()), asio::buffers_end(buffer.data()));
    requests_.push_back(head);
    const Said said = speak_(head);
    const std::size_t step = said.per_byte.count() > 0 ? 1 : said.bytes.size();
    asio::steady_timer pause(acceptor_.get_executor());
    for (std::size_t at = 0; at < said.bytes.size(); at += step) {
      const auto part = asio::buffer(said.bytes.data() + at, step);
      const auto [failed, sent] = co_await asio::async_write(stream, part, kAwait);
      if (failed || sent == 0) co_return;
      if (said.per_byte.count() == 0) continue;
      pause.expires_after(said.per_byte);
      co_await pause.async_wait(kAwait);
    }
  }

  asio::ip::tcp::acceptor acceptor_;
  Speak speak_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::vector<std::string> requests_;
};

}  // namespace swarmfs::net::test
