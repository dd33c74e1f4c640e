#include "swarm/metainfo/links.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "swarm/metainfo/safe_path.h"

namespace swarmfs::metainfo {
namespace {

using Path = std::vector<std::string>;

/// `target` as seen from the folder `from`; nothing if it climbs above the root.
std::optional<Path> relative_to(const Path& from, std::span<const std::string_view> target) {
  Path out = from;
  for (const std::string_view component : target) {
    if (component == "..") {
      if (out.empty()) return std::nullopt;
      out.pop_back();
    } else if (std::string safe = safe_component(component); !safe.empty()) {
      out.push_back(std::move(safe));
    }
  }
  return out;
}

/// Every file and folder of the torrent.
std::set<Path> all_paths(std::span<const File> files) {
  std::set<Path> out;
  for (const File& file : files) {
    for (Path path = file.path; !path.empty() && out.insert(path).second;) path.pop_back();
  }
  return out;
}

}  // namespace

Result<> resolve_links(std::span<const RawFile> raw, std::span<File> files) {
  const auto is_link = [](const RawFile& file) { return file.is_symlink && !file.pad; };
  if (std::none_of(raw.begin(), raw.end(), is_link)) return {};
  const std::set<Path> known = all_paths(files);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (!is_link(raw[i])) continue;
    const Path from_root = safe_path(raw[i].symlink);
    const Path folder(files[i].path.begin(), files[i].path.end() - 1);
    const std::optional<Path> from_link = relative_to(folder, raw[i].symlink);
    files[i].symlink = !known.contains(from_root) && from_link && known.contains(*from_link)
                           ? *from_link
                           : from_root;
    if (files[i].symlink.empty()) {
      return fail(ErrorKind::bad_input, "symlink path: names nothing inside the torrent");
    }
  }
  return {};
}

}  // namespace swarmfs::metainfo
