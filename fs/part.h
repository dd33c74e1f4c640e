// One torrent's share of the tree. Immutable once built.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fs/tree.h"

namespace swarmfs::fs {

struct Tree::Node {
  std::string name;
  std::uint32_t parent = 0;
  FileIndex file;
  NodeKind kind = NodeKind::folder;
  bool executable = false;
  std::uint64_t length = 0;             ///< of a file's content or a link's text
  std::vector<std::uint32_t> children;  ///< folders only, in the torrent's order
  std::uint32_t subfolders = 0;
};

/// Node 0 is the torrent's folder, or its single file.
class Tree::Part {
 public:
  /// Builds the nodes; bad_input names the path that cannot be shown.
  static Result<std::unique_ptr<Part>> build(TorrentSpec spec, std::string shown_name, Ino first,
                                             std::int64_t mount_time);

  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }
  Ino ino(std::uint32_t index) const { return first_ + index; }
  const std::string& name() const { return nodes_.front().name; }
  std::optional<std::uint32_t> child(std::uint32_t folder, std::string_view name) const;
  Attributes attributes(std::uint32_t index) const;
  std::string link_target(std::uint32_t index) const { return links_.at(index); }
  const std::shared_ptr<ContentSource>& source() const { return source_; }
  const std::vector<std::pair<std::string, std::string>>& facts() const { return facts_; }
  std::uint64_t bytes() const { return bytes_; }
  bool waiting() const { return waiting_; }
  /// Share of a file's or folder's content that is here, 0 to 1; empty content counts as here.
  double progress(std::uint32_t index) const;
  /// Whether the file, or every file below the folder, is pinned.
  bool pinned(std::uint32_t index) const;

 private:
  struct Key {
    std::uint32_t parent;
    std::string_view name;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string_view>{}(key.name) ^
             (key.parent * std::size_t{0x9e3779b97f4a7c15});
    }
  };

  Result<> insert(const FileSpec& file);
  Result<std::uint32_t> folder_for(const FileSpec& file);
  std::uint32_t append(std::uint32_t parent, std::string name, NodeKind kind);
  /// `name`, or the first of "name (2)", "name (3)"... that is free or a folder, as asked.
  std::string free_name(std::uint32_t parent, const std::string& name, bool folder_will_do) const;
  std::uint64_t bytes_here(std::uint32_t index) const;

  Ino first_ = 0;
  std::int64_t mtime_ = 0;
  std::uint64_t bytes_ = 0;
  bool waiting_ = false;
  std::shared_ptr<ContentSource> source_;
  std::vector<std::pair<std::string, std::string>> facts_;
  std::deque<Node> nodes_;  ///< never moves a node: by_name_ views their names
  std::unordered_map<std::uint32_t, std::string> links_;
  std::unordered_map<Key, std::uint32_t, KeyHash> by_name_;
};

}  // namespace swarmfs::fs
