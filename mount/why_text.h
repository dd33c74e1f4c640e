// What reads wait for, as a person reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace swarmfs::mount {

/// One mount's answer to "why": for each waiting read the range, who waits, a sentence and the
/// pieces; or, if none waits, the last ones that did. The object is {"version":1,"mountpoint",
/// "waiting_reads","waiting":[...],"recent":[...],"torrents":[{"name","swarm"}]}, the elements as
/// mount/why_report.h has them; waiting_reads counts all, `waiting` has 64 at most. Nothing in a
/// name drives the terminal.
std::string why_text(const nlohmann::json& why);

}  // namespace swarmfs::mount
