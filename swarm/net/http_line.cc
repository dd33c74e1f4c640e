#include "swarm/net/http_line.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/http_stream.h"
#include "swarm/net/path_rtt.h"
#include "swarm/net/task.h"

namespace swarmfs::net {

using boost::system::error_code;

HttpLine::HttpLine(asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
                   Events events)
    : executor_(std::move(executor)),
      context_(std::move(context)),
      events_(std::move(events)),
      responses_({[this](const wire::HttpHead& head) {
                    events_.on_head(head);
                    return !closed_;
                  },
                  [this](ByteView bytes) {
                    events_.on_body(bytes);
                    return !closed_;
                  },
                  [this](bool kept) {
                    events_.on_end(kept);
                    return !closed_;
                  }}) {}

HttpLine::~HttpLine() { close(); }

void HttpLine::open(HttpRequest request) {
  const std::string what = "connecting to " + request.url.redacted();
  auto work = http_open(context_, std::move(request));
  opening_ = Task::start<std::unique_ptr<HttpOpened>>(
      executor_, kOpenTime, what, std::move(work),
      [weak = weak_from_this()](Result<std::unique_ptr<HttpOpened>> result) {
        const auto self = weak.lock();
        if (!self || self->closed_) return;
        if (!result) return self->lose(result.error().message);
        self->opened(std::move(*result));
      });
}

void HttpLine::opened(std::unique_ptr<HttpOpened> stream) {
  opening_.reset();
  stream_ = std::move(stream);
  error_code ignored;
  tcp_under(stream_->stream).socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  const auto self = shared_from_this();
  events_.on_open(stream_->server, stream_->rtt);
  read();
}

void HttpLine::get(const wire::Url& url,
                   std::optional<std::pair<std::uint64_t, std::uint64_t>> range) {
  if (closed_) return;
  unsent_ += "GET " + url.target + " HTTP/1.1\r\nHost: " + url.authority() +
             "\r\nUser-Agent: " + http_options(*context_).user_agent +
             "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n";
  if (range)
    unsent_ += "Range: bytes=" + std::to_string(range->first) + "-" +
               std::to_string(range->second) + "\r\n";
  unsent_ += "\r\n";
  write();
}

void HttpLine::write() {
  if (closed_ || !sending_.empty() || unsent_.empty()) return;
  sending_ = std::exchange(unsent_, {});
  auto done = [self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->closed_) return;
    self->sending_.clear();
    // What a server that closes had to say before is still to be read.
    if (!error) self->write();
  };
  std::visit([&](auto& stream) { asio::async_write(stream, asio::buffer(sending_), done); },
             stream_->stream);
}

void HttpLine::read() {
  if (closed_ || reading_ || !stream_ || events_.congested()) return;
  reading_ = true;
  auto done = [self = shared_from_this()](const error_code& error, std::size_t n) {
    self->reading_ = false;
    if (!self->closed_) self->on_read(error ? error.message() : "", n);
  };
  std::visit([&](auto& stream) { stream.async_read_some(asio::buffer(buffer_), done); },
             stream_->stream);
}

void HttpLine::on_read(const std::string& error, std::size_t n) {
  const auto fed = responses_.feed(ByteView(buffer_.data(), n));
  if (closed_) return;
  if (!fed) return lose(fed.error().message);
  if (error.empty()) return read();
  const auto ended = responses_.ended();
  if (!closed_) lose(ended ? "the server closed the connection" : ended.error().message);
}

void HttpLine::resume() { read(); }

void HttpLine::lose(const std::string& why) {
  const auto self = shared_from_this();
  const auto on_lost = events_.on_lost;
  close();
  on_lost(why);
}

void HttpLine::close() {
  if (std::exchange(closed_, true)) return;
  if (opening_) opening_->cancel();
  if (stream_) tcp_under(stream_->stream).close();
}

std::optional<PathRtt> HttpLine::path_rtt() {
  if (!stream_ || closed_ || stream_->proxied) return std::nullopt;
  return net::path_rtt(tcp_under(stream_->stream).socket().native_handle());
}

}  // namespace swarmfs::net
