#include "swarm/metainfo/scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "swarm/metainfo/safe_path.h"

namespace swarmfs::metainfo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxDepth = 90;  // below the limit on nesting that readers have

void fill(ScannedFile& file, const struct stat& st) {
  file.length = static_cast<std::uint64_t>(st.st_size);
  file.modified_ns = std::int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  file.executable = (st.st_mode & S_IXUSR) != 0;
}

Error bad(const fs::path& path, std::string_view what) {
  return fail(ErrorKind::bad_input, path.string() + ": " + std::string(what));
}

/// A name that a reader would change could not be found again under its published one.
Result<> check_name(const std::string& name, const fs::path& path) {
  if (safe_component(name) == name) return {};
  return bad(path, "the name has a backslash or is not UTF-8; rename it to publish it");
}

class FolderScan {
 public:
  FolderScan(fs::path root, Scan& out) : root_(std::move(root)), out_(out) {}

  Result<> folder(const fs::path& path) {
    if (components_.size() > kMaxDepth) return bad(path, "more than 90 folders deep");
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      names.push_back(it->path().filename().string());
    }
    if (error) return Error::from_errno(error.value(), path.string());
    std::sort(names.begin(), names.end());
    if (names.empty()) out_.notes.push_back(path.string() + ": empty folder, left out");
    for (std::string& name : names) {
      const fs::path child = path / name;
      const Result<> valid = check_name(name, child);
      if (!valid) return valid.error();
      components_.push_back(std::move(name));
      const Result<> done = entry(child);
      if (!done) return done.error();
      components_.pop_back();
    }
    return {};
  }

 private:
  Result<> entry(const fs::path& path) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return Error::from_errno(errno, path.string());
    if (S_ISDIR(st.st_mode)) return folder(path);
    ScannedFile file;
    file.path = components_;
    file.on_disk = path;
    if (S_ISLNK(st.st_mode)) {
      const Result<std::vector<std::string>> target = link_target(path);
      if (!target) return target.error();
      file.symlink = *target;
    } else if (S_ISREG(st.st_mode)) {
      fill(file, st);
    } else {
      return bad(path, "neither file, folder nor link; move it away to publish the rest");
    }
    out_.files.push_back(std::move(file));
    return {};
  }

  /// The link's target as components from the root on.
  Result<std::vector<std::string>> link_target(const fs::path& link) const {
    std::error_code error;
    const fs::path text = fs::read_symlink(link, error);
    if (error) return Error::from_errno(error.value(), link.string());
    fs::path here;
    for (std::size_t i = 0; i + 1 < components_.size(); ++i) here /= components_[i];
    fs::path target = (here / text).lexically_normal();
    if (!target.has_filename()) target = target.parent_path();
    const bool outside =
        text.is_absolute() || target.empty() || target == "." || *target.begin() == "..";
    // Through another link, ".." may mean a different place than it seems to.
    const bool same = fs::weakly_canonical(link.parent_path() / text, error) ==
                      fs::weakly_canonical(root_ / target, error);
    if (outside || (!same && !error)) {
      return bad(link, "links to " + text.string() +
                           ", which is not below the folder; remove the link or publish a copy");
    }
    std::vector<std::string> components;
    for (const fs::path& part : target) {
      components.push_back(part.string());
      const Result<> valid = check_name(components.back(), link);
      if (!valid) return valid.error();
    }
    return components;
  }

  const fs::path root_;
  Scan& out_;
  std::vector<std::string> components_;
};

}  // namespace

Result<Scan> scan(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  if (error) return Error::from_errno(error.value(), path.string());
  struct stat st {};
  if (::stat(whole.c_str(), &st) != 0) return Error::from_errno(errno, path.string());
  Scan out;
  // A link is published under its own name, not under that of what it leads to.
  const fs::path named = fs::is_symlink(path, error) ? fs::absolute(path) : whole;
  out.name = named.filename().string();
  if (out.name.empty()) return bad(path, "the root folder has no name to publish it under");
  const Result<> valid = check_name(out.name, path);
  if (!valid) return valid.error();
  if (S_ISDIR(st.st_mode)) {
    const Result<> done = FolderScan(whole, out).folder(whole);
    if (!done) return done.error();
  } else if (S_ISREG(st.st_mode)) {
    out.single_file = true;
    ScannedFile& file = out.files.emplace_back();
    file.path = {out.name};
    file.on_disk = whole;
    fill(file, st);
  } else {
    return bad(path, "neither a file nor a folder");
  }
  const bool content = std::any_of(out.files.begin(), out.files.end(),
                                   [](const ScannedFile& file) { return file.length > 0; });
  if (!content) return bad(path, "nothing to publish: there is no file with any content");
  return out;
}

Result<> check_unchanged(const Scan& scan) {
  for (const ScannedFile& file : scan.files) {
    if (!file.symlink.empty()) continue;
    struct stat st {};
    if (::stat(file.on_disk.c_str(), &st) != 0) {
      return Error::from_errno(errno, file.on_disk.string());
    }
    ScannedFile now;
    fill(now, st);
    if (now.length != file.length || now.modified_ns != file.modified_ns) {
      return fail(ErrorKind::mismatch, file.on_disk.string() +
                                           ": changed while it was hashed; publish again when "
                                           "nothing writes to it");
    }
  }
  return {};
}

}  // namespace swarmfs::metainfo
