#include "swarm/metainfo/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <set>

#include "swarm/metainfo/content_path.h"

namespace swarmfs::metainfo {
namespace {

namespace fs = std::filesystem;

/// What is wrong with a file before any of it is read.
std::optional<Error> inspect(const File& file, const fs::path& path) {
  const std::string name = path.string();
  if (!file.symlink.empty()) {
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error == std::errc::invalid_argument) {
      return fail(ErrorKind::mismatch, name + ": is not a symbolic link");
    }
    if (error) return Error::from_errno(error.value(), name);
    if (target == link_text(file)) return std::nullopt;
    return fail(ErrorKind::mismatch,
                name + ": links to " + target.string() + " instead of " + link_text(file));
  }
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return Error::from_errno(errno, name);
  if (!S_ISREG(st.st_mode)) return fail(ErrorKind::mismatch, name + ": is not a regular file");
  if (::access(path.c_str(), R_OK) != 0) return Error::from_errno(errno, name);
  if (static_cast<std::uint64_t>(st.st_size) == file.length) return std::nullopt;
  return fail(ErrorKind::mismatch, name + ": has " + std::to_string(st.st_size) +
                                       " bytes instead of " + std::to_string(file.length));
}

bool matches(const Metainfo& metainfo, PieceIndex piece, const PieceDigests& digests) {
  if (metainfo.has_v1() && digests.v1 != metainfo.piece_hashes[piece.value]) return false;
  if (!metainfo.has_v2()) return true;
  const std::optional<Sha256Hash>& root = metainfo.piece_roots[piece.value];
  return root ? digests.v2 == *root : metainfo.has_v1();
}

}  // namespace

std::uint32_t CheckReport::bad_pieces() const {
  return static_cast<std::uint32_t>(std::count(good.begin(), good.end(), false));
}

Result<CheckReport> check_pieces(const Metainfo& metainfo, const fs::path& base,
                                 const Progress& progress, std::stop_token cancel) {
  CheckReport report;
  const std::vector<fs::path> paths = content_paths(metainfo, base);
  std::set<std::uint32_t> named;
  for (std::uint32_t i = 0; i < paths.size(); ++i) {
    if (metainfo.files[i].pad) continue;
    if (auto error = inspect(metainfo.files[i], paths[i])) {
      report.problems.push_back({FileIndex(i), std::move(*error)});
      named.insert(i);
    }
  }

  std::vector<char> good(metainfo.layout.piece_count());  // bytes: threads write neighbours
  std::mutex mutex;
  const PieceHashed on_piece = [&](PieceIndex piece, const Result<PieceDigests>& digests) {
    if (digests) {
      good[piece.value] = matches(metainfo, piece, *digests) ? 1 : 0;
      return true;
    }
    const std::lock_guard lock(mutex);
    const std::uint32_t size = metainfo.layout.piece_size(piece);
    const auto slices = metainfo.layout.slices(piece, 0, size);
    const bool known = std::any_of(slices.begin(), slices.end(),
                                   [&](const auto& s) { return named.contains(s.file.value); });
    // A disk error shows up only here; one line a file is enough.
    if (!known && named.insert(slices.front().file.value).second) {
      report.problems.push_back({slices.front().file, digests.error()});
    }
    return true;
  };
  const HashJob job{metainfo.layout, paths, metainfo.has_v1(), metainfo.has_v2()};
  const Result<> done = hash_pieces(job, on_piece, progress, std::move(cancel));
  if (!done) return done.error();
  report.good.assign(good.begin(), good.end());
  return report;
}

}  // namespace swarmfs::metainfo
