#include "mount/cache_folder.h"

#include <cstdlib>

namespace swarmfs::mount {

namespace stdfs = std::filesystem;

Result<stdfs::path> default_cache_folder() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/')
    return stdfs::path(xdg) / "swarmfs";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return stdfs::path(home) / ".cache" / "swarmfs";
  return fail(ErrorKind::bad_input,
              "neither XDG_CACHE_HOME nor HOME says where the cache is; name it with --cache-dir");
}

}  // namespace swarmfs::mount
