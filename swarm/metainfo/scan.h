// Lists what a path on disk would publish, in the order BEP 52 wants.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "swarm/base/result.h"

namespace swarmfs::metainfo {

struct ScannedFile {
  std::vector<std::string> path;  ///< below the root; {name} for a single file
  std::filesystem::path on_disk;
  std::uint64_t length = 0;
  std::int64_t modified_ns = 0;
  bool executable = false;
  std::vector<std::string> symlink;  ///< target from the root on (BEP 47); empty: not a link
};

struct Scan {
  std::string name;
  bool single_file = false;
  std::vector<ScannedFile> files;  ///< ordered by path, component by component, as bytes
  std::vector<std::string> notes;  ///< what was left out, a line each
};

/// Lists a file, or a folder with all below it. A symlink given as `path` is followed; those below
/// stay links and must point inside. Errors name the file: unreadable, neither file nor folder nor
/// link, a name that a torrent cannot carry, a link that leads out, nothing to publish.
Result<Scan> scan(const std::filesystem::path& path);

/// Error (mismatch) if a file's size or time of change is not what the scan saw.
Result<> check_unchanged(const Scan& scan);

}  // namespace swarmfs::metainfo
