#include "fs/part.h"

#include <algorithm>
#include <utility>

namespace swarmfs::fs {

namespace {

constexpr std::size_t kMaxName = 255;

bool showable(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const auto& component : path) text += (text.empty() ? "" : "/") + component;
  return text;
}

Error bad_path(const FileSpec& file) {
  return fail(ErrorKind::bad_input,
              "the torrent has a path that no folder can hold: \"" + joined(file.path) + "\"");
}

}  // namespace

Result<std::unique_ptr<Tree::Part>> Tree::Part::build(TorrentSpec spec, std::string shown_name,
                                                      Ino first, std::int64_t mount_time) {
  if (!showable(shown_name)) {
    return fail(ErrorKind::bad_input,
                "the torrent's name cannot be a file's: \"" + shown_name + "\"");
  }
  if (spec.single_file && spec.files.size() != 1)
    return fail(ErrorKind::bad_input, "a single-file torrent must have exactly one file");

  auto part = std::make_unique<Part>();
  part->first_ = first;
  part->mtime_ = spec.mtime.value_or(mount_time);
  part->waiting_ = spec.waiting;
  part->source_ = std::move(spec.source);
  part->facts_ = std::move(spec.facts);
  Node root;
  root.name = std::move(shown_name);
  if (spec.single_file) {
    root.kind = NodeKind::file;
    root.file = spec.files[0].index;
    root.executable = spec.files[0].executable;
    root.length = part->bytes_ = spec.files[0].length;
    part->nodes_.push_back(std::move(root));
    return part;
  }
  part->nodes_.push_back(std::move(root));
  for (const auto& file : spec.files) {
    const auto inserted = part->insert(file);
    if (!inserted) return inserted.error();
  }
  return part;
}

Result<> Tree::Part::insert(const FileSpec& file) {
  if (file.path.empty() || !std::all_of(file.path.begin(), file.path.end(), showable) ||
      !std::all_of(file.symlink.begin(), file.symlink.end(), showable)) {
    return bad_path(file);
  }
  const auto folder = folder_for(file);
  if (!folder) return folder.error();
  const bool is_folder = file.kind == NodeKind::folder;
  std::string name = free_name(*folder, file.path.back(), is_folder);
  if (!showable(name)) return bad_path(file);
  if (is_folder && child(*folder, name)) return {};

  const std::uint32_t index = append(*folder, std::move(name), file.kind);
  Node& node = nodes_[index];
  if (file.kind == NodeKind::file) {
    node.file = file.index;
    node.executable = file.executable;
    node.length = file.length;
    bytes_ += file.length;
  } else if (file.kind == NodeKind::symlink) {
    // BEP 47 counts from the torrent's folder, a link from its own.
    std::string text;
    for (std::size_t i = 1; i < file.path.size(); ++i) text += "../";
    text += joined(file.symlink);
    if (text.empty()) text = ".";
    node.length = text.size();
    links_.emplace(index, std::move(text));
  }
  return {};
}

Result<std::uint32_t> Tree::Part::folder_for(const FileSpec& file) {
  std::uint32_t at = 0;
  for (std::size_t i = 0; i + 1 < file.path.size(); ++i) {
    std::string name = free_name(at, file.path[i], true);
    if (!showable(name)) return bad_path(file);
    const auto existing = child(at, name);
    at = existing ? *existing : append(at, std::move(name), NodeKind::folder);
  }
  return at;
}

std::uint32_t Tree::Part::append(std::uint32_t parent, std::string name, NodeKind kind) {
  const auto index = static_cast<std::uint32_t>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.name = std::move(name);
  node.parent = parent;
  node.kind = kind;
  nodes_[parent].children.push_back(index);
  if (kind == NodeKind::folder) ++nodes_[parent].subfolders;
  by_name_.emplace(Key{parent, node.name}, index);
  return index;
}

std::string Tree::Part::free_name(std::uint32_t parent, const std::string& name,
                                  bool folder_will_do) const {
  std::string candidate = name;
  for (int n = 2;; ++n) {
    const auto taken = child(parent, candidate);
    if (!taken) return candidate;
    if (folder_will_do && nodes_[*taken].kind == NodeKind::folder) return candidate;
    candidate = name + " (" + std::to_string(n) + ")";
  }
}

std::optional<std::uint32_t> Tree::Part::child(std::uint32_t folder, std::string_view name) const {
  const auto it = by_name_.find(Key{folder, name});
  if (it == by_name_.end()) return std::nullopt;
  return it->second;
}

Attributes Tree::Part::attributes(std::uint32_t index) const {
  const Node& node = nodes_[index];
  Attributes a;
  a.ino = ino(index);
  a.kind = node.kind;
  a.mtime = mtime_;
  a.size = node.length;
  switch (node.kind) {
    case NodeKind::folder:
      a.permissions = 0555;
      a.links = 2 + node.subfolders;
      break;
    case NodeKind::symlink:
      a.permissions = 0777;
      break;
    case NodeKind::file: {
      const std::uint64_t here = bytes_here(index);
      a.permissions = node.executable ? 0555 : 0444;
      a.blocks = (here + 511) / 512;
      a.final = here == node.length;
      break;
    }
  }
  return a;
}

std::uint64_t Tree::Part::bytes_here(std::uint32_t index) const {
  const Node& node = nodes_[index];
  if (node.kind != NodeKind::file || node.length == 0 || !source_) return 0;
  return std::min(source_->bytes_here(node.file), node.length);
}

bool Tree::Part::pinned(std::uint32_t index) const {
  bool any = false;
  std::vector<std::uint32_t> todo{index};
  while (!todo.empty()) {
    const Node& node = nodes_[todo.back()];
    todo.pop_back();
    if (node.kind == NodeKind::file) {
      if (!source_ || !source_->is_pinned(node.file)) return false;
      any = true;
    }
    todo.insert(todo.end(), node.children.begin(), node.children.end());
  }
  return any;
}

double Tree::Part::progress(std::uint32_t index) const {
  std::uint64_t here = 0;
  std::uint64_t total = 0;
  std::vector<std::uint32_t> todo{index};
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    const Node& node = nodes_[at];
    todo.pop_back();
    if (node.kind == NodeKind::file) {
      total += node.length;
      here += bytes_here(at);
    }
    todo.insert(todo.end(), node.children.begin(), node.children.end());
  }
  return total == 0 ? 1.0 : static_cast<double>(here) / static_cast<double>(total);
}

}  // namespace swarmfs::fs
