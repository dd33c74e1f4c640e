// Commands that ask one mount, or all of this user's, for the same thing and print it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mount/commands.h"

namespace swarmfs::mount {

/// Adds a command of this name with the options MOUNTPOINT and --json. The control command and the
/// field of its reply have the name too; `text` puts the field's object in words.
void add_question(Command app, Context& context, const std::string& name, const std::string& help,
                  std::string (*text)(const nlohmann::json&));

}  // namespace swarmfs::mount
