#include "fs/tree.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <utility>

#include "fs/part.h"

namespace swarmfs::fs {

namespace {

constexpr std::uint32_t kMaxPartSize = (1U << kPartBits) - 1;
constexpr std::string_view kPrefix = "user.swarmfs.";

// Rounded down, so that only what is complete says 1.
std::string progress_text(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.4f", std::floor(share * 10000) / 10000);
  return text;
}

}  // namespace

Tree::Tree(std::int64_t mount_time) : mount_time_(mount_time) {}
Tree::~Tree() = default;

Result<std::string> Tree::add_torrent(TorrentSpec spec, std::string_view instead_of) {
  PartPtr gone;  // destroyed after the lock is released: it may be large
  const std::unique_lock lock(mutex_);
  std::string name = spec.name;
  for (int n = 2; name == kInfoFolder || (name != instead_of && numbers_.contains(name)); ++n)
    name = spec.name + " (" + std::to_string(n) + ")";

  const Ino first = Ino{next_number_} << kPartBits;
  auto part = Part::build(std::move(spec), name, first, mount_time_);
  if (!part) return part.error();
  if ((*part)->size() > kMaxPartSize)
    return fail(ErrorKind::unsupported, "the torrent \"" + name + "\" has too many files");
  if (!instead_of.empty()) gone = take_out(instead_of);
  totals_.bytes += (*part)->bytes();
  totals_.entries += (*part)->size();
  parts_.emplace(next_number_, std::move(*part));
  numbers_.emplace(name, next_number_++);
  return name;
}

bool Tree::remove_torrent(std::string_view name) {
  PartPtr gone;  // destroyed after the lock is released: it may be large
  const std::unique_lock lock(mutex_);
  gone = take_out(name);
  return gone != nullptr;
}

/// Under the lock.
Tree::PartPtr Tree::take_out(std::string_view name) {
  const auto number = numbers_.find(name);
  if (number == numbers_.end()) return nullptr;
  const auto part = parts_.find(number->second);
  PartPtr gone = std::move(part->second);
  totals_.bytes -= gone->bytes();
  totals_.entries -= gone->size();
  parts_.erase(part);
  numbers_.erase(number);
  return gone;
}

std::optional<Tree::Place> Tree::find(Ino ino) const {
  const auto index = static_cast<std::uint32_t>(ino & kMaxPartSize);
  const std::shared_lock lock(mutex_);
  const auto part = parts_.find(ino >> kPartBits);
  if (part == parts_.end() || index >= part->second->size()) return std::nullopt;
  return Place{part->second, index};
}

std::optional<Ino> Tree::lookup(Ino folder, std::string_view name) const {
  if (is_info(folder) || name == kInfoFolder)
    if (const auto info = info_lookup(folder, name)) return info;
  if (folder == kRootIno) {
    const std::shared_lock lock(mutex_);
    const auto number = numbers_.find(name);
    if (number == numbers_.end()) return std::nullopt;
    return parts_.at(number->second)->ino(0);
  }
  const auto place = find(folder);
  if (!place) return std::nullopt;
  const auto child = place->part->child(place->index, name);
  if (!child) return std::nullopt;
  return place->part->ino(*child);
}

std::optional<Attributes> Tree::attributes(Ino ino) const {
  if (is_info(ino)) return info_attributes(ino);
  if (ino != kRootIno) {
    const auto place = find(ino);
    if (!place) return std::nullopt;
    return place->part->attributes(place->index);
  }
  Attributes a;
  a.ino = kRootIno;
  a.permissions = 0555;
  a.links = 2;
  a.mtime = mount_time_;
  a.final = false;
  const std::shared_lock lock(mutex_);
  for (const auto& [number, part] : parts_)
    if (part->node(0).kind == NodeKind::folder) ++a.links;
  return a;
}

std::optional<std::string> Tree::path(Ino ino) const {
  if (ino == kRootIno) return std::string();
  if (is_info(ino)) return info_path(ino);
  const auto place = find(ino);
  if (!place) return std::nullopt;
  std::string path = place->part->node(place->index).name;
  for (std::uint32_t i = place->index; i != 0;) {
    i = place->part->node(i).parent;
    path = place->part->node(i).name + "/" + path;
  }
  return path;
}

std::optional<std::string> Tree::link_target(Ino ino) const {
  const auto place = find(ino);
  if (!place || place->part->node(place->index).kind != NodeKind::symlink) return std::nullopt;
  return place->part->link_target(place->index);
}

std::optional<OpenTarget> Tree::open_target(Ino ino) const {
  const auto place = find(ino);
  if (!place) return std::nullopt;
  const Node& node = place->part->node(place->index);
  if (node.kind != NodeKind::file) return std::nullopt;
  return OpenTarget{place->part->source(), node.file, node.length};
}

bool Tree::list(Ino ino, std::uint64_t offset, const Visit& visit) const {
  if (ino == kRootIno) return list_root(offset, visit);
  if (is_info(ino)) return info_list(ino, offset, visit);
  const auto place = find(ino);
  if (!place) return false;
  const Part& part = *place->part;
  const Node& node = part.node(place->index);
  if (node.kind != NodeKind::folder) return false;
  const Ino parent = place->index == 0 ? kRootIno : part.ino(node.parent);
  if (offset == 0 && !visit(".", ino, NodeKind::folder, 1)) return true;
  if (offset <= 1 && !visit("..", parent, NodeKind::folder, 2)) return true;
  for (std::uint64_t i = std::max<std::uint64_t>(offset, 2) - 2; i < node.children.size(); ++i) {
    const std::uint32_t child = node.children[i];
    if (!visit(part.node(child).name.c_str(), part.ino(child), part.node(child).kind, i + 3)) break;
  }
  return true;
}

bool Tree::list_root(std::uint64_t offset, const Visit& visit) const {
  // Copied, so that a visitor may ask the tree. The offset after a torrent is its number + 2,
  // whatever comes and goes meanwhile.
  std::vector<std::pair<std::uint64_t, PartPtr>> parts;
  {
    const std::shared_lock lock(mutex_);
    const auto first = offset <= 2 ? parts_.begin() : parts_.upper_bound(offset - 2);
    parts.assign(first, parts_.end());
  }
  if (offset == 0 && !visit(".", kRootIno, NodeKind::folder, 1)) return true;
  if (offset <= 1 && !visit("..", kRootIno, NodeKind::folder, 2)) return true;
  for (const auto& [number, part] : parts)
    if (!visit(part->name().c_str(), part->ino(0), part->node(0).kind, number + 2)) break;
  return true;
}

std::vector<std::string> Tree::attribute_names(Ino ino) const {
  std::vector<std::string> names;
  const auto place = find(ino);
  if (!place) return names;
  const NodeKind kind = place->part->node(place->index).kind;
  if (kind == NodeKind::symlink) return names;
  for (const auto& [name, value] : place->part->facts())
    names.push_back(std::string(kPrefix) + name);
  for (const char* name : {"progress", "pinned", "state", "peers"})
    names.push_back(std::string(kPrefix) + name);
  if (kind == NodeKind::file) names.push_back(std::string(kPrefix) + "pieces");
  return names;
}

std::optional<std::string> Tree::attribute(Ino ino, std::string_view name) const {
  const auto place = find(ino);
  if (!place || !name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const Part& part = *place->part;
  const Node& node = part.node(place->index);
  if (node.kind == NodeKind::symlink) return std::nullopt;
  if (name == "pinned") return part.pinned(place->index) ? "1" : "0";
  if (part.waiting() && name == "progress") return progress_text(0);
  if (name == "progress") return progress_text(part.progress(place->index));
  if (part.waiting() && name == "state") return "metadata";
  if (name == "state") return part.source() ? part.source()->state_text() : std::string();
  if (name == "peers") return std::to_string(part.source() ? part.source()->peers() : 0);
  if (name == "pieces" && node.kind == NodeKind::file)
    return part.source() ? part.source()->piece_map(node.file) : std::string();
  for (const auto& [fact, value] : part.facts())
    if (fact == name) return value;
  return std::nullopt;
}

Totals Tree::totals() const {
  const std::shared_lock lock(mutex_);
  return totals_;
}

std::uint64_t Tree::changes() const {
  const std::shared_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [at, part] : parts_)
    if (part->source()) sum += part->source()->changes();
  return sum;
}

}  // namespace swarmfs::fs
