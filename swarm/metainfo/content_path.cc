#include "swarm/metainfo/content_path.h"

#include <algorithm>

namespace swarmfs::metainfo {
namespace {

namespace fs = std::filesystem;

/// How many of the torrent's first files are below `root`.
std::size_t files_below(const Metainfo& metainfo, const fs::path& root) {
  static constexpr std::size_t kEnough = 100;
  const std::vector<fs::path> paths = content_paths(metainfo, root);
  std::error_code ignored;
  return static_cast<std::size_t>(std::count_if(
      paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(std::min(paths.size(), kEnough)),
      [&](const fs::path& p) { return !p.empty() && fs::exists(fs::symlink_status(p, ignored)); }));
}

}  // namespace

Result<fs::path> find_content(const Metainfo& metainfo, const fs::path& given) {
  std::error_code error;
  const fs::file_status status = fs::status(given, error);
  if (error) return Error::from_errno(error.value(), given.string());
  if (metainfo.single_file) return fs::is_directory(status) ? given / metainfo.name : given;
  if (!fs::is_directory(status)) {
    return fail(ErrorKind::bad_input, given.string() + ": is a file, but the torrent is a folder");
  }
  const fs::path inside = given / metainfo.name;
  if (!fs::is_directory(inside, error)) return given;
  return files_below(metainfo, given) > files_below(metainfo, inside) ? given : inside;
}

std::vector<fs::path> content_paths(const Metainfo& metainfo, const fs::path& base) {
  std::vector<fs::path> out;
  out.reserve(metainfo.files.size());
  for (const File& file : metainfo.files) {
    fs::path& path = out.emplace_back();
    if (file.pad) continue;
    path = base;
    if (metainfo.single_file) continue;
    for (const std::string& component : file.path) path /= component;
  }
  return out;
}

std::string link_text(const File& link) {
  fs::path folder;
  for (std::size_t i = 0; i + 1 < link.path.size(); ++i) folder /= link.path[i];
  fs::path target;
  for (const std::string& component : link.symlink) target /= component;
  return folder.empty() ? target.string() : target.lexically_relative(folder).string();
}

}  // namespace swarmfs::metainfo
