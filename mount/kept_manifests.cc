#include "mount/kept_manifests.h"

#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include "swarm/metainfo/write_file.h"

namespace swarmfs::mount {

namespace stdfs = std::filesystem;

static constexpr std::string_view kRemoved = ".removed";
static constexpr std::string_view kManifest = ".torrent";
static constexpr const char* kOptionsFile = "for";

static std::string text_of(const stdfs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

KeptManifests::KeptManifests(stdfs::path folder, std::string options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  if (text_of(folder_ / kOptionsFile) != options_) {
    clear();
    return;
  }
  std::error_code ignored;
  for (const auto& entry : stdfs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kManifest)) names_.insert(name);
    if (name.ends_with(kRemoved)) removed_.insert(name.substr(0, name.size() - kRemoved.size()));
  }
}

Result<> KeptManifests::make_folder() const {
  if (::mkdir(folder_.c_str(), 0700) == 0) return write(kOptionsFile, as_bytes(options_));
  if (errno == EEXIST) return {};
  return Error::from_errno(errno, "cannot make " + folder_.string());
}

std::vector<stdfs::path> KeptManifests::added() const {
  std::vector<stdfs::path> paths;
  for (const std::string& name : names_) paths.push_back(folder_ / name);
  return paths;
}

Result<> KeptManifests::write(const std::string& name, ByteView bytes) const {
  return metainfo::write_file_atomically(folder_ / name, bytes);
}

void KeptManifests::drop_manifests(const std::string& hash) {
  const std::string suffix = "-" + hash + std::string(kManifest);
  std::erase_if(names_, [&](const std::string& name) {
    if (!name.ends_with(suffix)) return false;
    std::error_code ignored;
    stdfs::remove(folder_ / name, ignored);
    return true;
  });
}

Result<> KeptManifests::add(const std::string& hash, ByteView manifest) {
  if (auto made = make_folder(); !made) return made;
  forget_removal(hash);
  drop_manifests(hash);
  unsigned number = 0;
  if (!names_.empty()) {
    const std::string& last = *names_.rbegin();
    std::from_chars(last.data(), last.data() + last.size(), number);
  }
  char digits[16];
  std::snprintf(digits, sizeof digits, "%09u", number + 1);
  const std::string name = digits + ("-" + hash) + std::string(kManifest);
  if (auto written = write(name, manifest); !written) return written;
  names_.insert(name);
  return {};
}

Result<> KeptManifests::remove(const std::string& hash) {
  if (auto made = make_folder(); !made) return made;
  drop_manifests(hash);
  removed_.insert(hash);
  return write(hash + std::string(kRemoved), {});
}

void KeptManifests::forget_removal(const std::string& hash) {
  if (removed_.erase(hash) == 0) return;
  std::error_code ignored;
  stdfs::remove(folder_ / (hash + std::string(kRemoved)), ignored);
}

void KeptManifests::clear() {
  std::error_code ignored;
  stdfs::remove_all(folder_, ignored);  // never through a link
  names_.clear();
  removed_.clear();
}

}  // namespace swarmfs::mount
