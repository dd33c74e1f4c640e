// What a stranger may send instead of an MSE handshake, to both sides of it: raw, cut anywhere, and
// with whole true parts in between, so that it gets beyond the keys.
#include <cstdint>
#include <cstdlib>

#include "swarm/wire/mse.h"

namespace {

using namespace swarmfs;
using namespace swarmfs::wire::mse;

Chance chance(std::uint8_t first, std::uint8_t pads) {
  Chance out;
  for (std::uint8_t& byte : out.exponent) byte = first++;
  out.first_pad.resize(pads);
  out.second_pad.resize(pads);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::uint8_t flags = data[0];
  const Sha1Hash hash{};
  Initiator a(hash, (flags & 3) == 0 ? kRc4 : flags & 3U, chance(1, data[1]));
  Responder b((flags >> 2 & 3) == 0 ? kPlain : flags >> 2 & 3U, chance(60, data[1]),
              [&](const Sha1Hash& key) {
                return torrent_key(hash) == key ? std::optional(hash) : std::nullopt;
              });
  std::size_t given = 0, kept = 0;
  // Records: a byte of what to do, a byte of length, then so many bytes of input.
  for (std::size_t at = 2; at + 2 <= size;) {
    const std::uint8_t what = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    const ByteView bytes(data + at + 2, length);
    at += 2 + length;
    Exchange& from = (what & 1) != 0 ? static_cast<Exchange&>(a) : b;
    Exchange& to = (what & 1) != 0 ? static_cast<Exchange&>(b) : a;
    if ((what & 2) != 0) {
      to.receive(bytes);
      given += length;
    } else {
      Bytes said = from.take_output();
      // A byte of it may be wrong.
      if ((what & 4) != 0 && !said.empty() && length > 1) said[bytes[0] % said.size()] ^= bytes[1];
      to.receive(said);
      given += said.size();
    }
    if ((what & 8) != 0) a.add_initial_payload(bytes);
    kept += to.take_payload().size();
  }
  if (kept > given) std::abort();
  return 0;
}
