#include "cache/disk.h"

namespace swarmfs::cache {

Result<> make_folders(Disk& disk, const fs::path& path, unsigned permissions) {
  fs::path made_so_far;
  for (const fs::path& part : path) {
    made_so_far /= part;
    // An existing one may be a symbolic link: the user's own, above the folders that are ours.
    // The last one is synced in any case: the run that made it may have been killed before.
    const bool there = disk.exists(made_so_far);
    if (part.empty() || (there && made_so_far != path)) continue;
    if (!there)
      if (const auto made = disk.make_folder(made_so_far, permissions); !made) return made.error();
    const fs::path parent = made_so_far.parent_path();
    const auto synced = disk.sync_folder(parent.empty() ? "." : parent);
    if (!synced && !(there && synced.error().kind == ErrorKind::permission)) return synced.error();
  }
  return {};
}

}  // namespace swarmfs::cache
