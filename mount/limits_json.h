// Limits as the control socket and what is kept beside it have them: bytes a second, 0 for none.
#pragma once

#include <nlohmann/json.hpp>

#include "mount/limits.h"

namespace swarmfs::mount {

inline nlohmann::json limits_json(const Limits& limits) {
  return {{"down", limits.down_bps},
          {"up", limits.up_bps},
          {"reads_exempt", limits.reads_exempt},
          {"connections", limits.connections}};
}

/// `limits` with what the object names of them; throws nlohmann's type_error for another type.
inline Limits limits_from(const nlohmann::json& object, Limits limits) {
  limits.down_bps = object.value("down", limits.down_bps);
  limits.up_bps = object.value("up", limits.up_bps);
  limits.reads_exempt = object.value("reads_exempt", limits.reads_exempt);
  limits.connections = object.value("connections", limits.connections);
  return limits;
}

}  // namespace swarmfs::mount
