#include "cache/piece_files.h"

#include <algorithm>
#include <string>
#include <utility>

namespace swarmfs::cache {
namespace {

constexpr unsigned kPrivate = 0700;
constexpr unsigned kByUmask = 0777;

/// The parts of consecutive blocks that cover [begin, begin + length) of their piece.
std::vector<ByteView> gather(std::span<const BlockPtr> blocks, std::uint32_t begin,
                             std::uint32_t length) {
  std::vector<ByteView> parts;
  parts.reserve(length / kBlockSize + 2);
  while (length > 0) {
    const std::uint32_t within = begin % kBlockSize;
    const ByteView block = blocks[begin / kBlockSize]->view();
    const std::uint32_t take = std::min(length, static_cast<std::uint32_t>(block.size()) - within);
    parts.push_back(block.subspan(within, take));
    begin += take;
    length -= take;
  }
  return parts;
}

/// The disk no longer holds what was written, for this reason.
Error gone(const Error& why) { return fail(ErrorKind::mismatch, why.message); }

/// So that the folder of a file at the root compares equal to the root.
Place normal(Place place) {
  place.root = place.root.empty() ? "." : place.root.lexically_normal();
  if (!place.root.has_filename() && place.root.has_relative_path())
    place.root = place.root.parent_path();
  return place;
}

}  // namespace

fs::path Place::path_of(FileIndex file) const {
  return root / (numbered() ? fs::path(std::to_string(file.value)) : files[file.value]);
}

PieceFiles::PieceFiles(Disk& disk, const Layout& layout, Place place)
    : disk_(disk), layout_(layout), place_(normal(std::move(place))) {}

Result<> PieceFiles::prepare() {
  if (place_.read_only) return {};
  if (const auto r =
          cache::make_folders(disk_, place_.root, place_.numbered() ? kPrivate : kByUmask);
      !r)
    return r.error();
  auto root = disk_.open(place_.root, OpenMode::folder);
  if (!root) return root.error();
  root_ = std::move(*root);
  for (std::size_t i = 0; i < place_.files.size(); ++i) {
    const LayoutFile& file = layout_.files()[i];
    if (file.pad || file.length > 0 || place_.files[i].empty()) continue;
    const auto r = open(FileIndex(static_cast<std::uint32_t>(i)), true);
    if (!r) return r.error();
  }
  return {};
}

Result<> PieceFiles::write(PieceIndex piece, std::span<const BlockPtr> blocks) {
  std::uint32_t begin = 0;
  for (const Layout::Slice& slice : layout_.slices(piece, 0, layout_.piece_size(piece))) {
    if (!slice.pad) {
      const auto file = open(slice.file, true);
      if (!file) return file.error();
      const auto r = (*file)->write(gather(blocks, begin, slice.length), slice.file_offset);
      mark_dirty(slice.file, *file);
      if (!r) return r.error();
    }
    begin += slice.length;
  }
  return {};
}

Result<> PieceFiles::read(PieceIndex piece, std::uint32_t begin, MutableByteView out) {
  for (const Layout::Slice& slice :
       layout_.slices(piece, begin, static_cast<std::uint32_t>(out.size()))) {
    const MutableByteView part = out.first(slice.length);
    out = out.subspan(slice.length);
    if (slice.pad) {
      std::fill(part.begin(), part.end(), std::uint8_t{0});
      continue;
    }
    const auto file = open(slice.file, false);
    if (!file) return file.error().kind == ErrorKind::not_found ? gone(file.error()) : file.error();
    const auto n = (*file)->read(part, slice.file_offset);
    if (!n) return gone(n.error());
    if (*n != part.size())
      return fail(ErrorKind::mismatch,
                  place_.path_of(slice.file).string() + " is shorter than it was");
  }
  return {};
}

bool PieceFiles::read_cached(PieceIndex piece, std::uint32_t begin, MutableByteView out) {
  for (const Layout::Slice& slice :
       layout_.slices(piece, begin, static_cast<std::uint32_t>(out.size()))) {
    const MutableByteView part = out.first(slice.length);
    out = out.subspan(slice.length);
    if (slice.pad) {
      std::fill(part.begin(), part.end(), std::uint8_t{0});
      continue;
    }
    const FilePtr file = find_open(slice.file, false);
    if (!file || !file->read_cached(part, slice.file_offset)) return false;
  }
  return true;
}

Fd PieceFiles::duplicate(FileIndex file) {
  const auto opened = open(file, false);
  if (!opened) return Fd();
  const auto size = (*opened)->size();
  if (!size || *size != layout_.files()[file.value].length) return Fd();
  return (*opened)->duplicate();
}

bool PieceFiles::has_data(PieceIndex piece) {
  for (const Layout::Slice& slice : layout_.slices(piece, 0, layout_.piece_size(piece))) {
    if (slice.pad) continue;
    const auto file = open(slice.file, false);
    if (!file || !(*file)->has_data(slice.file_offset, slice.length)) return false;
  }
  return true;
}

Result<> PieceFiles::touch(PieceIndex piece) {
  for (const Layout::Slice& slice : layout_.slices(piece, 0, layout_.piece_size(piece))) {
    if (slice.pad) continue;
    const auto file = open(slice.file, false);
    if (!file) return file.error();
    mark_dirty(slice.file, *file);
    const std::lock_guard lock(mutex_);
    dirty_folders_.insert(place_.path_of(slice.file).parent_path());
  }
  return {};
}

Result<> PieceFiles::sync() {
  DirtyFiles dirty;
  std::set<fs::path> folders;
  bool whole_filesystem = false;
  {
    // Taken before the syncs start: what is written from here on belongs to the next call.
    const std::lock_guard lock(mutex_);
    dirty.swap(dirty_);
    folders.swap(dirty_folders_);
    whole_filesystem = std::exchange(too_many_dirty_, false);
  }
  const auto done = sync(dirty, folders, whole_filesystem);
  if (!done) {
    // Lengths and names may be lost with the rest: files are opened and sized again, and names
    // synced again.
    const std::lock_guard lock(mutex_);
    open_.clear();
    recent_.clear();
    dirty_folders_.merge(folders);
    too_many_dirty_ = too_many_dirty_ || whole_filesystem;
  }
  return done;
}

Result<> PieceFiles::sync(const DirtyFiles& files, const std::set<fs::path>& folders,
                          bool whole_filesystem) {
  if (whole_filesystem) return root_->sync_filesystem();
  for (const auto& [index, file] : files)
    if (const auto r = file->sync(); !r) return r.error();
  for (const fs::path& folder : folders)
    if (const auto r = disk_.sync_folder(folder); !r) return r.error();
  return {};
}

Result<> PieceFiles::remove_all() {
  if (!place_.numbered() || place_.read_only) return {};
  {
    const std::lock_guard lock(mutex_);
    open_.clear();
    recent_.clear();
    dirty_.clear();
  }
  const auto names = disk_.list(place_.root);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (const auto r = disk_.remove(place_.root / name); !r) return r.error();
  }
  return {};
}

std::size_t PieceFiles::open_files() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = open_.size();
  for (const auto& [index, file] : dirty_) count += open_.contains(index) ? 0 : 1;
  return count;
}

PieceFiles::FilePtr PieceFiles::find_open(FileIndex file, bool for_write) {
  const std::lock_guard lock(mutex_);
  const auto it = open_.find(file.value);
  if (it == open_.end() || (for_write && !it->second.sized)) return nullptr;
  recent_.splice(recent_.begin(), recent_, it->second.recent);
  return it->second.file;
}

Result<PieceFiles::FilePtr> PieceFiles::open(FileIndex file, bool for_write) {
  if (FilePtr found = find_open(file, for_write)) return found;
  const fs::path path = place_.path_of(file);
  if (for_write) {
    auto opened = open_for_write(file, path);
    if (!opened) return opened.error();
    return keep_open(file, std::move(*opened), true);
  }
  auto opened = disk_.open(path, place_.read_only ? OpenMode::read : OpenMode::update);
  if (!opened) return opened.error();
  return keep_open(file, std::move(*opened), false);
}

Result<PieceFiles::FilePtr> PieceFiles::open_for_write(FileIndex file, const fs::path& path) {
  if (place_.read_only)
    return fail(ErrorKind::permission, path.string() + " is only served, not written");
  // Refuses symbolic links below the root: a torrent that brings one must not write through it.
  if (const auto r = make_folders(path.parent_path()); !r) return r.error();
  auto opened = disk_.open(path, OpenMode::update);
  if (!opened && opened.error().kind == ErrorKind::not_found)
    opened = disk_.open(path, OpenMode::create);
  if (!opened) return opened.error();
  {
    // A file that was there may be of a killed run, and its name not synced yet.
    const std::lock_guard lock(mutex_);
    dirty_folders_.insert(path.parent_path());
  }

  const std::uint64_t length = layout_.files()[file.value].length;
  const auto size = (*opened)->size();
  if (!size) return size.error();
  if (*size > length && !place_.numbered())
    return fail(ErrorKind::exists, path.string() +
                                       " is longer than the torrent's file of that name: move it "
                                       "away or choose another folder");
  if (*size != length)
    if (const auto r = (*opened)->resize(length); !r) return r.error();
  return FilePtr(std::move(*opened));
}

Result<> PieceFiles::make_folders(const fs::path& folder) {
  {
    const std::lock_guard lock(mutex_);
    if (folder == place_.root || known_folders_.contains(folder)) return {};
  }
  const fs::path parent = folder.parent_path();
  if (parent == folder || parent.empty() || folder.filename() == "..")
    return fail(ErrorKind::bad_input, folder.string() + " is not below " + place_.root.string());
  if (const auto r = make_folders(parent); !r) return r.error();
  const auto made = disk_.make_folder(folder, kByUmask);
  if (!made) return made.error();
  const std::lock_guard lock(mutex_);
  known_folders_.insert(folder);
  dirty_folders_.insert(parent);
  return {};
}

PieceFiles::FilePtr PieceFiles::keep_open(FileIndex file, FilePtr opened, bool sized) {
  FilePtr dropped;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  if (const auto it = open_.find(file.value); it != open_.end()) {
    it->second.sized = it->second.sized || sized;  // another thread was first: use its handle
    recent_.splice(recent_.begin(), recent_, it->second.recent);
    return it->second.file;
  }
  recent_.push_front(file.value);
  open_[file.value] = {opened, sized, recent_.begin()};
  if (open_.size() > kMaxOpen) {
    const auto oldest = open_.find(recent_.back());
    dropped = std::move(oldest->second.file);
    open_.erase(oldest);
    recent_.pop_back();
  }
  return opened;
}

void PieceFiles::mark_dirty(FileIndex file, const FilePtr& opened) {
  const std::lock_guard lock(mutex_);
  if (dirty_.contains(file.value)) return;
  if (dirty_.size() < kMaxDirty)
    dirty_[file.value] = opened;
  else
    too_many_dirty_ = true;
}

}  // namespace swarmfs::cache
