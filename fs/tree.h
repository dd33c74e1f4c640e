// The names and attributes that a mount shows: a folder per torrent, in one read-only tree.
//
// A torrent's part never changes while it is there, and no inode number is used twice: what a
// removed torrent had answers nothing ever after. Every question is answered from memory, whatever
// the network does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/info.h"
#include "swarm/base/content_source.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"

namespace swarmfs::fs {

/// Inode number: stable for the life of the tree, and the same in the next mount of the same
/// torrents in the same order.
using Ino = std::uint64_t;
inline constexpr Ino kRootIno = 1;
/// A torrent's inodes are its number << kPartBits and up. Below those of the first are the root's
/// and those of the hidden folder (fs/info.h).
inline constexpr unsigned kPartBits = 24;
constexpr bool is_info(Ino ino) { return ino > kRootIno && ino < (Ino{1} << kPartBits); }

enum class NodeKind : std::uint8_t { folder, file, symlink };

/// One entry of a torrent.
struct FileSpec {
  /// Components below the torrent's folder. Ignored for a single file, which bears the torrent's
  /// name.
  std::vector<std::string> path;
  NodeKind kind = NodeKind::file;
  std::uint64_t length = 0;          ///< bytes; files only
  bool executable = false;           ///< files only
  std::vector<std::string> symlink;  ///< target, as components below the torrent's folder
  FileIndex index;                   ///< what the content source calls it; files only
};

struct TorrentSpec {
  std::string name;
  /// The tree shows files[0] itself as /<name>, not as an entry of a folder.
  bool single_file = false;
  std::vector<FileSpec> files;
  std::optional<std::int64_t> mtime;  ///< seconds since the epoch; default: when it was mounted
  /// Attributes that never change: "infohash", "format", "piece_length" and the like, without the
  /// prefix "user.swarmfs.". Files and folders have them.
  std::vector<std::pair<std::string, std::string>> facts;
  /// It stands for a torrent that is not known yet: no content, and its files are texts that are
  /// made when they are opened (InfoKind::waiting).
  bool waiting = false;
  /// Shared: the session that brings the bytes owns it too.
  std::shared_ptr<ContentSource> source;
};

struct Attributes {
  Ino ino = 0;
  NodeKind kind = NodeKind::folder;
  std::uint32_t permissions = 0;  ///< 0444, 0555 or 0777
  std::uint32_t links = 1;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  ///< of 512 bytes: what is here now
  std::int64_t mtime = 0;
  bool final = true;  ///< nothing of this will change any more
};

/// What an open file reads from.
struct OpenTarget {
  std::shared_ptr<ContentSource> source;
  FileIndex index;
  std::uint64_t length = 0;
};

struct Totals {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

/// Thread-safe.
class Tree {
 public:
  /// `mount_time`: seconds since the epoch, shown for what has no date of its own.
  explicit Tree(std::int64_t mount_time);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  /// Adds a torrent under its name, or "name (2)" if that is taken, and returns the name. Folders
  /// are made as paths need them. bad_input for a name that no file system could show. The torrent
  /// shown as `instead_of`, if there is one, goes in the same moment.
  Result<std::string> add_torrent(TorrentSpec spec, std::string_view instead_of = {});
  /// Takes the torrent that is shown under this name away; false if there is none. Its source
  /// lives on in the targets that open_target() gave out.
  bool remove_torrent(std::string_view name);

  std::optional<Ino> lookup(Ino folder, std::string_view name) const;
  std::optional<Attributes> attributes(Ino ino) const;
  /// Below the root, with slashes between the names; empty for the root itself.
  std::optional<std::string> path(Ino ino) const;
  /// The text of a symlink; nothing for anything else.
  std::optional<std::string> link_target(Ino ino) const;
  /// Nothing unless `ino` is a file.
  std::optional<OpenTarget> open_target(Ino ino) const;

  /// Takes (name, inode, kind, offset of the next entry); false stops the listing.
  using Visit = std::function<bool(const char*, Ino, NodeKind, std::uint64_t)>;
  /// Lists a folder from `offset` (0 at first) on, "." and ".." included. False if `ino` is no
  /// folder. Offsets stay valid while the tree lives.
  bool list(Ino ino, std::uint64_t offset, const Visit& visit) const;

  /// Full names ("user.swarmfs.progress") of what attribute() answers.
  std::vector<std::string> attribute_names(Ino ino) const;
  std::optional<std::string> attribute(Ino ino, std::string_view name) const;

  /// A file of the hidden folder, or that of a torrent that is waited for; nothing for anything
  /// else.
  std::optional<InfoFile> info_file(Ino ino) const;

  Totals totals() const;
  /// Another number whenever attributes of any file have changed.
  std::uint64_t changes() const;

 private:
  class Part;
  struct Node;
  /// Shared: a question that is being answered outlives the removal of what it is about.
  using PartPtr = std::shared_ptr<const Part>;
  struct Place {
    PartPtr part;
    std::uint32_t index = 0;
  };
  std::optional<Place> find(Ino ino) const;
  PartPtr take_out(std::string_view name);
  bool list_root(std::uint64_t offset, const Visit& visit) const;

  // tree_info.cc: the hidden folder
  std::optional<std::uint64_t> info_torrent(Ino ino) const;
  bool info_exists(Ino ino) const;
  std::optional<Ino> info_lookup(Ino folder, std::string_view name) const;
  std::optional<Attributes> info_attributes(Ino ino) const;
  std::optional<std::string> info_path(Ino ino) const;
  bool info_list(Ino ino, std::uint64_t offset, const Visit& visit) const;

  const std::int64_t mount_time_;
  mutable std::shared_mutex mutex_;  ///< guards what follows; a Part is immutable
  std::uint64_t next_number_ = 1;
  std::map<std::uint64_t, PartPtr> parts_;                     ///< by number, never given again
  std::map<std::string, std::uint64_t, std::less<>> numbers_;  ///< by name
  Totals totals_;
};

}  // namespace swarmfs::fs
