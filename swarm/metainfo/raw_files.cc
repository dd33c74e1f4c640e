#include "swarm/metainfo/raw_files.h"

#include <algorithm>
#include <string>
#include <utility>

#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {
namespace {

using bencode::Node;

constexpr std::size_t kMaxPathDepth = 100;

Error bad(const std::string& field, std::string_view what) {
  return fail(ErrorKind::bad_input, field + ": " + std::string(what));
}

Result<std::vector<std::string_view>> read_path(const Node& list, const std::string& field) {
  if (!list.is_list()) return bad(field, "missing or not a list");
  if (list.size() > kMaxPathDepth) return bad(field, "deeper than 100 folders");
  std::vector<std::string_view> out;
  for (const Node& item : list.items()) {
    if (!item.is_string()) return bad(field, "holds something that is not a string");
    out.push_back(*item.string());
  }
  return out;
}

/// BEP 47's attr and symlink path, into `file`.
Result<> read_attributes(const Node& dict, const std::string& field, RawFile& file) {
  const std::string_view attr = dict.find("attr").string().value_or("");
  file.pad = attr.find('p') != std::string_view::npos;
  file.executable = attr.find('x') != std::string_view::npos;
  file.is_symlink = attr.find('l') != std::string_view::npos;
  if (!file.is_symlink) return {};
  Result<std::vector<std::string_view>> target =
      read_path(dict.find("symlink path"), field + ".symlink path");
  if (!target) return target.error();
  file.symlink = std::move(*target);
  return {};
}

/// A file's length, which with what precedes it must stay within `limit`.
Result<std::uint64_t> read_length(const Node& dict, const std::string& field, std::uint64_t limit) {
  const auto length = dict.find("length").integer();
  if (!length) return bad(field + ".length", "missing or not an integer");
  if (*length < 0) return bad(field + ".length", "negative");
  if (static_cast<std::uint64_t>(*length) > limit) {
    return bad(field + ".length", "makes the torrent larger than its pieces can be");
  }
  return static_cast<std::uint64_t>(*length);
}

class TreeReader {
 public:
  explicit TreeReader(std::uint32_t piece_length)
      : piece_length_(piece_length), left_(max_content(piece_length)) {}

  Result<> read(const Node& folder, const std::string& field) {
    if (!folder.keys_ordered()) return bad(field, "names out of order or repeated");
    for (const auto& [name, node] : folder.entries()) {
      const std::string here = field + "." + std::string(name);
      if (name.empty()) return bad(field, "a file and a folder at once");
      if (!node.is_dict()) return bad(here, "not a dictionary");
      path_.push_back(name);
      const Node file = node.find("");
      if (file && node.size() != 1) return bad(here, "a file and a folder at once");
      const Result<> done = file ? read_file(file, here) : read(node, here);
      if (!done) return done.error();
      path_.pop_back();
    }
    return {};
  }

  std::vector<RawFile> take() { return std::move(files_); }

 private:
  Result<> read_file(const Node& dict, const std::string& field) {
    if (!dict.is_dict()) return bad(field, "not a dictionary");
    RawFile file;
    file.path = path_;
    const Result<> attributes = read_attributes(dict, field, file);
    if (!attributes) return attributes.error();
    file.pad = false;  // v2 aligns by itself (BEP 52), so here it is a file like any other
    if (!file.is_symlink) {
      const Result<std::uint64_t> length = read_length(dict, field, left_);
      if (!length) return length.error();
      file.length = *length;
      left_ -= (file.length + piece_length_ - 1) / piece_length_ * piece_length_;
    }
    if (file.length > 0) {
      const auto root = dict.find("pieces root").string();
      if (!root || root->size() != 32) return bad(field + ".pieces root", "not 32 bytes");
      std::copy(root->begin(), root->end(), file.pieces_root.emplace().begin());
    }
    files_.push_back(std::move(file));
    return {};
  }

  const std::uint32_t piece_length_;
  std::uint64_t left_;
  std::vector<std::string_view> path_;
  std::vector<RawFile> files_;
};

}  // namespace

std::uint64_t max_content(std::uint32_t piece_length) {
  return std::uint64_t{kMaxPieces} * piece_length;
}

Result<std::vector<RawFile>> read_v1_files(const Node& info, std::uint32_t piece_length) {
  std::uint64_t left = max_content(piece_length);
  const Node list = info.find("files");
  std::vector<RawFile> files;
  if (!list) {
    RawFile file;
    const Result<std::uint64_t> length = read_length(info, "info", left);
    if (!length) return length.error();
    file.length = *length;
    file.executable = info.find("attr").string().value_or("").find('x') != std::string_view::npos;
    files.push_back(std::move(file));
    return files;
  }
  if (!list.is_list()) return bad("info.files", "not a list");
  for (const Node& dict : list.items()) {
    const std::string field = "info.files[" + std::to_string(files.size()) + "]";
    if (!dict.is_dict()) return bad(field, "not a dictionary");
    RawFile file;
    const Result<> attributes = read_attributes(dict, field, file);
    if (!attributes) return attributes.error();
    if (!file.is_symlink) {
      const Result<std::uint64_t> length = read_length(dict, field, left);
      if (!length) return length.error();
      file.length = *length;
      left -= file.length;
    }
    if (!file.pad) {
      const Node utf8 = dict.find("path.utf-8");
      Result<std::vector<std::string_view>> path =
          read_path(utf8.is_list() ? utf8 : dict.find("path"), field + ".path");
      if (!path) return path.error();
      file.path = std::move(*path);
    }
    files.push_back(std::move(file));
  }
  return files;
}

Result<std::vector<RawFile>> read_v2_files(const Node& info, std::uint32_t piece_length) {
  const Node tree = info.find("file tree");
  if (!tree.is_dict()) return bad("info.file tree", "missing or not a dictionary");
  TreeReader reader(piece_length);
  const Result<> done = reader.read(tree, "info.file tree");
  if (!done) return done.error();
  return reader.take();
}

}  // namespace swarmfs::metainfo
