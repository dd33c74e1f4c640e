#include "swarm/wire/holepunch.h"

namespace swarmfs::wire {

Bytes encode(const HolepunchMessage& message) {
  Bytes out{static_cast<std::uint8_t>(message.type),
            static_cast<std::uint8_t>(message.endpoint.address.is_v4() ? 0 : 1)};
  append(out, message.endpoint.to_compact());
  append_be<std::uint32_t>(out, static_cast<std::uint32_t>(message.code));
  return out;
}

Result<HolepunchMessage> parse_holepunch(ByteView payload) {
  const auto bad = [](const char* why) { return fail(ErrorKind::protocol, why); };
  if (payload.size() < 2) return bad("ut_holepunch is too short");
  if (payload[0] > 2) return bad("ut_holepunch of an unknown type");
  if (payload[1] > 1) return bad("ut_holepunch with an unknown kind of address");
  const std::size_t size = payload[1] == 0 ? 6 : 18;
  ByteView rest = payload.subspan(2);
  if (rest.size() < size) return bad("ut_holepunch is too short");
  HolepunchMessage out;
  out.type = HolepunchMessage::Type{payload[0]};
  out.endpoint = *Endpoint::from_compact(rest.first(size));
  rest = rest.subspan(size);
  if (out.type != HolepunchMessage::Type::error) return out;
  if (rest.size() < 4) return bad("ut_holepunch is too short");
  out.code = HolepunchMessage::Code{load_be<std::uint32_t>(rest.data())};
  return out;
}

}  // namespace swarmfs::wire
