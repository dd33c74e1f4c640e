// Tree: the hidden folder. Its inodes lie below those of the first torrent.
#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "fs/part.h"
#include "fs/tree.h"

namespace swarmfs::fs {

namespace {

constexpr Ino kFolder = kRootIno + 1;
constexpr Ino kTorrents = kFolder + 1;
struct Plain {
  const char* name;
  InfoKind kind;
};
constexpr std::array kPlain = {Plain{"README", InfoKind::readme}, Plain{"status", InfoKind::status},
                               Plain{"peers", InfoKind::peers}};
constexpr Ino kFirstPlain = kTorrents + 1;
constexpr const char* kTorrentsName = "torrents";
constexpr const char* kStatusName = "status";

// Torrent number n has a folder and in it a file. Torrents beyond what fits have none.
constexpr Ino kFirstTorrent = 256;
constexpr Ino folder_of(std::uint64_t number) { return kFirstTorrent + 2 * number; }
constexpr bool is_file(Ino ino) { return ino >= kFirstTorrent ? ino % 2 == 1 : ino >= kFirstPlain; }
constexpr std::uint64_t number_of(Ino ino) { return (ino - kFirstTorrent) / 2; }

}  // namespace

/// The number of the torrent that an inode of ours is about, if that torrent is there.
std::optional<std::uint64_t> Tree::info_torrent(Ino ino) const {
  if (ino < kFirstTorrent) return std::nullopt;
  const std::shared_lock lock(mutex_);
  return parts_.contains(number_of(ino)) ? std::optional(number_of(ino)) : std::nullopt;
}

bool Tree::info_exists(Ino ino) const {
  if (ino >= kFirstTorrent) return info_torrent(ino).has_value();
  return ino >= kFolder && ino < kFirstPlain + kPlain.size();
}

std::optional<Ino> Tree::info_lookup(Ino folder, std::string_view name) const {
  if (folder == kRootIno && name == kInfoFolder) return kFolder;
  if (folder == kFolder) {
    if (name == kTorrentsName) return kTorrents;
    for (std::size_t i = 0; i < kPlain.size(); ++i)
      if (name == kPlain[i].name) return kFirstPlain + i;
  } else if (folder == kTorrents) {
    const std::shared_lock lock(mutex_);
    const auto number = numbers_.find(name);
    if (number != numbers_.end() && is_info(folder_of(number->second) + 1))
      return folder_of(number->second);
  } else if (!is_file(folder) && info_torrent(folder) && name == kStatusName) {
    return folder + 1;
  }
  return std::nullopt;
}

std::optional<Attributes> Tree::info_attributes(Ino ino) const {
  if (!info_exists(ino)) return std::nullopt;
  Attributes a;
  a.ino = ino;
  a.mtime = mount_time_;
  a.kind = is_file(ino) ? NodeKind::file : NodeKind::folder;
  // Addresses of peers are for who mounted it.
  a.permissions = is_file(ino) ? 0400 : 0500;
  a.links = is_file(ino) ? 1 : 2;
  a.final = false;
  return a;
}

std::optional<std::string> Tree::info_path(Ino ino) const {
  if (!info_exists(ino)) return std::nullopt;
  const std::string top = kInfoFolder;
  if (ino == kFolder) return top;
  if (ino == kTorrents) return top + "/" + kTorrentsName;
  if (ino < kFirstTorrent) return top + "/" + kPlain[ino - kFirstPlain].name;
  const std::shared_lock lock(mutex_);
  const auto part = parts_.find(number_of(ino));
  if (part == parts_.end()) return std::nullopt;
  const std::string folder = top + "/" + kTorrentsName + "/" + part->second->name();
  return is_file(ino) ? folder + "/" + kStatusName : folder;
}

bool Tree::info_list(Ino ino, std::uint64_t offset, const Visit& visit) const {
  struct Entry {
    std::string name;
    Ino ino;
    std::uint64_t next;
  };
  if (is_file(ino) || !info_exists(ino)) return false;
  std::vector<Entry> entries = {{".", ino, 1}, {"..", ino == kFolder ? kRootIno : kFolder, 2}};
  if (ino == kFolder) {
    for (std::size_t i = 0; i < kPlain.size(); ++i)
      entries.push_back({kPlain[i].name, kFirstPlain + i, i + 3});
    entries.push_back({kTorrentsName, kTorrents, kPlain.size() + 3});
  } else if (ino == kTorrents) {
    const std::shared_lock lock(mutex_);
    for (const auto& [number, part] : parts_)
      if (is_info(folder_of(number) + 1))
        entries.push_back({part->name(), folder_of(number), number + 2});
  } else {
    entries[1].ino = kTorrents;
    entries.push_back({kStatusName, ino + 1, 3});
  }
  for (const Entry& entry : entries) {
    if (entry.next <= offset) continue;
    const NodeKind kind =
        is_info(entry.ino) && is_file(entry.ino) ? NodeKind::file : NodeKind::folder;
    if (!visit(entry.name.c_str(), entry.ino, kind, entry.next)) break;
  }
  return true;
}

std::optional<InfoFile> Tree::info_file(Ino ino) const {
  if (!is_info(ino)) {
    const auto place = find(ino);
    if (!place || !place->part->waiting() || place->part->node(place->index).kind != NodeKind::file)
      return std::nullopt;
    return InfoFile{InfoKind::waiting, place->part->name()};
  }
  if (!is_file(ino) || !info_exists(ino)) return std::nullopt;
  if (ino < kFirstTorrent) return InfoFile{kPlain[ino - kFirstPlain].kind, ""};
  const std::shared_lock lock(mutex_);
  const auto part = parts_.find(number_of(ino));
  if (part == parts_.end()) return std::nullopt;
  return InfoFile{InfoKind::torrent_status, part->second->name()};
}

}  // namespace swarmfs::fs
