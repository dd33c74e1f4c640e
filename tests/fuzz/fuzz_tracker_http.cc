// What trackers answer and clients ask over HTTP, and the URLs in between.
#include <cstddef>
#include <cstdint>

#include "swarm/wire/tracker_http.h"
#include "swarm/wire/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmfs;
  const ByteView bytes(data, size);
  if (const auto response = wire::decode_announce_response(bytes)) {
    const Bytes again = wire::encode_announce_response(*response);
    if (!wire::decode_announce_response(again)) __builtin_trap();
  }
  (void)wire::decode_scrape_response(bytes);
  (void)wire::decode_scrape_query(as_text(bytes));
  if (const auto request = wire::decode_announce_query(as_text(bytes))) {
    const std::string target = wire::announce_target("/announce", *request);
    const auto back = wire::decode_announce_query(std::string_view(target).substr(10));
    if (!back || *back != *request) __builtin_trap();
  }
  if (const auto url = wire::Url::parse(as_text(bytes))) {
    for (const char c : url->target)
      if (c <= 0x20 || c >= 0x7f) __builtin_trap();
    const auto again = wire::Url::parse(url->to_string());
    if (!again || *again != *url) __builtin_trap();
    (void)url->resolve(as_text(bytes));
  }
  return 0;
}
