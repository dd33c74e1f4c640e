// Hexadecimal, lower case out, either case in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "swarm/base/bytes.h"

namespace swarmfs {

std::string to_hex(ByteView bytes);
/// Nothing if `text` has odd length or a character that is not a hex digit.
std::optional<Bytes> from_hex(std::string_view text);

}  // namespace swarmfs
