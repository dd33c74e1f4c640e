// Makes names from a manifest safe to use as paths below a folder of ours.
//
// Names are repaired rather than refused; what comes out never leaves the folder, whatever went in.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swarmfs::metainfo {

/// Longest path component that comes out, in bytes (NAME_MAX).
inline constexpr std::size_t kMaxComponent = 255;

/// `text` with every invalid UTF-8 sequence (surrogates and overlong forms included) replaced by
/// U+FFFD.
std::string valid_utf8(std::string_view text);

/// One path component: slash, backslash and NUL become '_', invalid UTF-8 is replaced, names over
/// 255 bytes are shortened before their extension. Empty for "", "." and "..": drop those.
std::string safe_component(std::string_view raw);

/// Every component made safe, the droppable ones dropped. May be empty.
std::vector<std::string> safe_path(std::span<const std::string_view> raw);

/// Gives every file of a torrent a path of its own that also agrees with the folders of the
/// others: a second "a", or an "a/b" next to a file "a", becomes "a.1", "a.1/b".
class UniquePaths {
 public:
  UniquePaths();
  ~UniquePaths();
  UniquePaths(UniquePaths&&) noexcept;
  UniquePaths& operator=(UniquePaths&&) noexcept;

  /// Takes a safe, non-empty path and returns it changed as little as uniqueness needs.
  std::vector<std::string> add(std::vector<std::string> path);

 private:
  struct Folder;
  std::unique_ptr<Folder> root_;
};

}  // namespace swarmfs::metainfo
