// Cuts what a server sends on one connection into the answers to requests made one after another
// (RFC 9112 9.3.2): pure, bytes in and calls out.
#pragma once

#include <functional>
#include <memory>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"
#include "swarm/wire/http_head.h"

namespace swarmfs::net {

class HttpResponses {
 public:
  /// Called from inside feed() and ended(). After any of them returned false nothing more is
  /// called.
  struct Events {
    std::function<bool(const wire::HttpHead&)> on_head;
    std::function<bool(ByteView)> on_body;  ///< a part of it, as it stood in what was fed
    std::function<bool(bool kept)> on_end;  ///< `kept`: more answers may follow
  };
  static constexpr std::uint32_t kMaxHeader = 16 * 1024;

  explicit HttpResponses(Events events);
  ~HttpResponses();

  /// Error: protocol, if it is no HTTP or a header is too long.
  Result<> feed(ByteView bytes);
  /// The server has ended the connection, which ends a body of unknown length. Error: network, in
  /// the middle of an answer.
  Result<> ended();

 private:
  class Parser;
  void end_answer();

  Events events_;
  std::unique_ptr<Parser> parser_;
  Bytes pending_;  ///< of a header that is not whole yet
  bool stopped_ = false;
};

}  // namespace swarmfs::net
