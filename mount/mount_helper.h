// Called by mount(8) and fstab: their arguments as a command line of swarmfs.
//
// mount(8) runs "mount.fuse.swarmfs SOURCE FOLDER [-sfnv] [-o OPTIONS]" if it is there, else
// mount.fuse3, which runs "swarmfs SOURCE FOLDER [-o OPTIONS]".
#pragma once

#include <string>
#include <vector>

#include "swarm/base/result.h"

namespace swarmfs::mount {

/// True if these arguments (program name first) come from mount(8) and not from a person.
bool is_mount_helper_call(const std::vector<std::string>& argv);

/// The same as "swarmfs mount ...". Options of ours become flags; those that mount(8) and fstab
/// have for every filesystem are dropped. Empty if there is nothing to do (-f). bad_input names an
/// option that nobody knows. Several manifests: SOURCE and an option `manifest=` for each other.
Result<std::vector<std::string>> translate_mount_call(const std::vector<std::string>& argv);

}  // namespace swarmfs::mount
