#include "fs/likely_first.h"

#include <algorithm>
#include <array>
#include <string>

namespace swarmfs::fs {

static constexpr std::uint64_t kEnd = 64 << 10;

static bool opened_at_both_ends(std::string_view name) {
  static constexpr std::array<std::string_view, 24> kKinds{
      "3gp", "7z",  "avi", "cbz", "epub", "flac", "flv", "jar", "m4a", "m4v",  "mkv", "mov",
      "mp3", "mp4", "ogg", "ogm", "ogv",  "opus", "pdf", "rar", "wav", "webm", "wmv", "zip"};
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string kind(name.substr(dot + 1));
  for (char& c : kind)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

std::vector<FileRange> likely_first(std::span<const NamedFile> files, std::size_t most) {
  std::vector<NamedFile> chosen;
  for (const NamedFile& file : files)
    if (file.length > 0 && opened_at_both_ends(file.name)) chosen.push_back(file);
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const auto& a, const auto& b) { return a.length > b.length; });
  chosen.resize(std::min(chosen.size(), most));
  std::vector<FileRange> ranges;
  for (const NamedFile& file : chosen) {
    ranges.push_back({file.index, 0, std::min(file.length, kEnd)});
    if (file.length > kEnd)
      ranges.push_back({file.index, std::max(kEnd, file.length - kEnd), file.length});
  }
  return ranges;
}

}  // namespace swarmfs::fs
