// A scratch folder that goes away with the test, and the fixtures' files in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "fixtures.h"

namespace swarmfs::metainfo::fixtures {

class TempFolder {
 public:
  TempFolder() {
    std::string name = testing::TempDir() + "/swarmfs.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder " << name;
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Writes single.bin and tree/..., as the fixtures' torrents describe them.
inline void write_contents(const std::filesystem::path& root) {
  for (const auto& [name, bytes] : contents()) {
    write_file(root / (name == "single.bin" ? "" : "tree") / name, bytes);
  }
}

}  // namespace swarmfs::metainfo::fixtures
