// Where the pieces of a torrent lie on disk: one sparse file per torrent file.
//
// The names are either numbers (the cache: never a name from a torrent) or paths that the caller
// gives (`get -o DIR`, `seed PATH`). Pads are stored nowhere and read as zeros. It neither knows
// nor checks which pieces are good; Store does.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "cache/disk.h"
#include "swarm/base/block.h"
#include "swarm/base/layout.h"

namespace swarmfs::cache {

/// Names the file of each FileIndex.
struct Place {
  fs::path root;
  /// Relative to root, parallel to Layout::files(), empty for pads and for what the caller makes.
  /// None at all: numbered files.
  std::vector<fs::path> files;
  bool read_only = false;

  bool numbered() const { return files.empty(); }
  fs::path path_of(FileIndex file) const;
};

/// All methods are thread-safe; no lock is held while the disk works.
class PieceFiles {
 public:
  /// Files open at once, and those of them that must stay open until they are synced. (An error
  /// of writing back is reported to who has the file open, so a file with unsynced writes is not
  /// closed; beyond the limit the whole filesystem is synced instead.)
  static constexpr std::size_t kMaxOpen = 96;
  static constexpr std::size_t kMaxDirty = 32;

  /// `disk` must outlive this.
  PieceFiles(Disk& disk, const Layout& layout, Place place);

  /// Makes the root (0700 for numbered files), and for given paths the empty files and folders
  /// that no piece would bring.
  Result<> prepare();

  /// Writes a whole piece from its blocks. After an error any part of it may be on disk.
  Result<> write(PieceIndex piece, std::span<const BlockPtr> blocks);

  /// Fills `out` from [begin, begin + out.size()) of the piece. mismatch if the disk no longer
  /// holds that: file missing, too short or unreadable; another kind if it could not be asked.
  Result<> read(PieceIndex piece, std::uint32_t begin, MutableByteView out);

  /// As read(), but false where the disk would have to be waited for.
  bool read_cached(PieceIndex piece, std::uint32_t begin, MutableByteView out);

  /// A descriptor of the file on disk that stands for a whole file of the torrent; invalid if it
  /// cannot be had or is not of the right length.
  Fd duplicate(FileIndex file);

  /// False if the piece was certainly never written in full.
  bool has_data(PieceIndex piece);

  /// Makes sync() include the files of this piece, which another run may have left unsynced.
  Result<> touch(PieceIndex piece);

  /// Makes every write that ended before this call survive a crash, names included. On failure
  /// nothing written since the last success may be relied on. One caller at a time.
  Result<> sync();

  /// Removes numbered files that are not of this layout.
  Result<> remove_all();

  Result<DiskSpace> space() { return disk_.space(place_.root); }
  std::size_t open_files() const;

 private:
  using FilePtr = std::shared_ptr<DiskFile>;  // a reader may still use what the LRU has dropped
  struct Open {
    FilePtr file;
    bool sized = false;  ///< has been checked for its length, as writing requires
    std::list<std::uint32_t>::iterator recent;
  };

  using DirtyFiles = std::map<std::uint32_t, FilePtr>;

  FilePtr find_open(FileIndex file, bool for_write);
  Result<FilePtr> open(FileIndex file, bool for_write);
  Result<FilePtr> open_for_write(FileIndex file, const fs::path& path);
  Result<> make_folders(const fs::path& folder);
  FilePtr keep_open(FileIndex file, FilePtr opened, bool sized);
  Result<> sync(const DirtyFiles& files, const std::set<fs::path>& folders, bool whole_filesystem);
  void mark_dirty(FileIndex file, const FilePtr& opened);

  Disk& disk_;
  const Layout& layout_;
  const Place place_;
  std::unique_ptr<DiskFile> root_;  // held from the start, for sync_filesystem's errors

  mutable std::mutex mutex_;
  std::unordered_map<std::uint32_t, Open> open_;
  std::list<std::uint32_t> recent_;  // most recently used first
  DirtyFiles dirty_;
  std::set<fs::path> dirty_folders_;
  std::set<fs::path> known_folders_;
  bool too_many_dirty_ = false;
};

}  // namespace swarmfs::cache
