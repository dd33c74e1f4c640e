#include "swarm/metainfo/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <set>
#include <string>

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

/// What is left to check by the root of the whole file: pieces of v2 files without a layer.
class LackingLayers {
 public:
  explicit LackingLayers(PieceRoots& roots) : roots_(roots) {
    const Layout& layout = roots.metainfo()->layout;
    for (const FileIndex file : roots.incomplete()) {
      const auto range = layout.pieces_of(file);
      files_.push_back({file, range, merkle::Hashes(range.end.value - range.first.value)});
    }
  }

  /// Notes a piece's root. Different pieces from several threads at once.
  void note(PieceIndex piece, const Sha256Hash& root) {
    const auto after = std::upper_bound(
        files_.begin(), files_.end(), piece,
        [](PieceIndex p, const Lacking& lacking) { return p < lacking.range.first; });
    if (after == files_.begin()) return;
    Lacking& lacking = *std::prev(after);
    if (piece < lacking.range.end) lacking.layer[piece.value - lacking.range.first.value] = root;
  }

  /// Once every piece was reported: `good` has been set by the other hashes the manifest has.
  void finish(CheckReport& report, const std::vector<fs::path>& paths,
              const std::set<std::uint32_t>& named) {
    for (const Lacking& lacking : files_) {
      if (roots_.learn(lacking.file, lacking.layer)) continue;
      const auto first = report.good.begin() + lacking.range.first.value;
      const auto end = report.good.begin() + lacking.range.end.value;
      const bool named_by_v1 = std::find(first, end, false) != end && roots_.metainfo()->has_v1();
      if (named_by_v1) continue;
      std::fill(first, end, false);
      if (named.contains(lacking.file.value)) {
        for (FileProblem& problem : report.problems)
          if (problem.file == lacking.file) problem.pieces_unknown = true;
        continue;
      }
      const std::string path = paths[lacking.file.value].string();
      report.problems.push_back(
          {lacking.file,
           fail(ErrorKind::mismatch,
                roots_.metainfo()->has_v1()
                    ? path + ": the manifest contradicts itself: every piece matches its v1 hash, "
                             "and the whole does not match the v2 root"
                    : path + ": its bytes differ; the manifest has no piece layer for it, so it "
                             "cannot be said which pieces do"),
           true});
    }
  }

 private:
  struct Lacking {
    FileIndex file;
    Layout::PieceRange range;
    merkle::Hashes layer;
  };

  PieceRoots& roots_;
  std::vector<Lacking> files_;  ///< ascending, so by first piece as well
};

bool matches(const PieceRoots& roots, PieceIndex piece, const PieceDigests& digests) {
  const Metainfo& metainfo = *roots.metainfo();
  if (metainfo.has_v1() && digests.v1 != metainfo.piece_hashes[piece.value]) return false;
  const std::optional<Sha256Hash> root = roots.of(piece);
  return !root || digests.v2 == *root;  // without a root, its file's decides in the end
}

}  // namespace

std::uint32_t CheckReport::bad_pieces() const {
  return static_cast<std::uint32_t>(std::count(good.begin(), good.end(), false));
}

Result<CheckReport> check_pieces(PieceRoots& roots, const fs::path& base, const Progress& progress,
                                 std::stop_token cancel) {
  const Metainfo& metainfo = *roots.metainfo();
  CheckReport report;
  LackingLayers lacking(roots);
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
      good[piece.value] = matches(roots, piece, *digests) ? 1 : 0;
      if (metainfo.has_v2()) lacking.note(piece, digests->v2);
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
  lacking.finish(report, paths, named);
  return report;
}

}  // namespace swarmfs::metainfo
