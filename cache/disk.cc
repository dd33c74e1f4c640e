#include "cache/disk.h"

namespace swarmfs::cache {

Result<> make_folders(Disk& disk, const fs::path& path, unsigned permissions) {
  fs::path made_so_far;
  for (const fs::path& part : path) {
    made_so_far /= part;
    // An existing one may be a symbolic link: the user's own, above the folders that are ours.
    if (part.empty() || disk.exists(made_so_far)) continue;
    if (const auto made = disk.make_folder(made_so_far, permissions); !made) return made.error();
    const fs::path parent = made_so_far.parent_path();
    if (const auto r = disk.sync_folder(parent.empty() ? "." : parent); !r) return r.error();
  }
  return {};
}

}  // namespace swarmfs::cache
