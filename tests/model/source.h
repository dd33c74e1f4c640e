// The model: what a mount must show, which is a folder of ordinary files.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace swarmfs::model {

struct Entry {
  enum class Kind { folder, file, link };
  Kind kind = Kind::file;
  std::string path;             ///< below the root, without a slash at either end
  std::string_view bytes;       ///< files; stays valid while the process lives
  bool executable = false;      ///< files
  std::string target;           ///< links
  std::set<std::string> names;  ///< folders: what is in them
};

/// Read once, before processes are forked that share it.
struct Source {
  std::vector<Entry> entries, files, folders, links, programs;
};

/// Everything below a folder. Throws std::exception for what cannot be read.
Source read_source(const std::string& root);

}  // namespace swarmfs::model
