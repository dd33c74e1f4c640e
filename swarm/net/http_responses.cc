#include "swarm/net/http_responses.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <utility>

namespace swarmfs::net {

namespace http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

/// One answer. Beast splits it; what we want of the header goes into a HttpHead.
class HttpResponses::Parser : public http::basic_parser<false> {
 public:
  explicit Parser(HttpResponses& owner) : owner_(owner) {
    eager(true);
    header_limit(kMaxHeader);
    body_limit(boost::none);
  }
  bool interim() const { return head_.status >= 100 && head_.status < 200; }

 private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override {
    head_.status = static_cast<unsigned>(code);
  }
  void on_field_impl(http::field name, string_view, string_view value, error_code&) override {
    switch (name) {
      case http::field::content_range:
        head_.content_range = std::string(value);
        break;
      case http::field::content_encoding:
        head_.content_encoding = std::string(value);
        break;
      case http::field::location:
        head_.location = std::string(value);
        break;
      case http::field::retry_after:
        head_.retry_after = std::string(value);
        break;
      default:
        break;
    }
  }
  void on_header_impl(error_code& error) override {
    if (interim()) return;
    if (const auto length = content_length()) head_.content_length = *length;
    head_.keep_alive = keep_alive();
    stop_unless(owner_.events_.on_head(head_), error);
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code& error) override {
    give(body, error);
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& error) override {
    give(body, error);
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  void give(string_view body, error_code& error) {
    if (body.empty()) return;
    stop_unless(owner_.events_.on_body(
                    ByteView(reinterpret_cast<const std::uint8_t*>(body.data()), body.size())),
                error);
  }
  void stop_unless(bool go_on, error_code& error) {
    if (go_on) return;
    owner_.stopped_ = true;
    error = http::error::end_of_stream;
  }

  HttpResponses& owner_;
  wire::HttpHead head_;
};

HttpResponses::HttpResponses(Events events) : events_(std::move(events)) {}
HttpResponses::~HttpResponses() = default;

Result<> HttpResponses::feed(ByteView bytes) {
  Bytes joined;
  if (!pending_.empty()) {
    joined = std::exchange(pending_, {});
    append(joined, bytes);
    bytes = joined;
  }
  while (!stopped_ && !bytes.empty()) {
    if (!parser_) parser_ = std::make_unique<Parser>(*this);
    error_code error;
    const std::size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (stopped_) return {};
    if (error && error != http::error::need_more)
      return fail(ErrorKind::protocol, "it does not speak HTTP: " + error.message());
    bytes = bytes.subspan(used);
    if (parser_->is_done()) {
      end_answer();
    } else if (used == 0) {  // a line of the header that is not whole yet
      if (bytes.size() > kMaxHeader)
        return fail(ErrorKind::protocol, "the header of its answer is too long");
      pending_.assign(bytes.begin(), bytes.end());
      return {};
    }
  }
  return {};
}

void HttpResponses::end_answer() {
  const bool interim = parser_->interim();
  const bool kept = parser_->keep_alive();
  parser_.reset();
  if (!interim && !events_.on_end(kept)) stopped_ = true;
}

Result<> HttpResponses::ended() {
  if (stopped_ || (!parser_ && pending_.empty())) return {};
  error_code error;
  if (parser_) parser_->put_eof(error);
  if (!parser_ || error || !parser_->is_done())
    return fail(ErrorKind::network, "the connection ended within an answer");
  end_answer();
  return {};
}

}  // namespace swarmfs::net
