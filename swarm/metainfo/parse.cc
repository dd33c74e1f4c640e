// parse() and parse_info(): from bencode to a Metainfo whose parts agree with each other.
#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <utility>

#include "swarm/base/bencode.h"
#include "swarm/base/hex.h"
#include "swarm/metainfo/links.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/metainfo.h"
#include "swarm/metainfo/raw_files.h"
#include "swarm/metainfo/safe_path.h"

namespace swarmfs::metainfo {
namespace {

using bencode::Node;

constexpr std::int64_t kMaxPieceLength = 512 << 20;

Error bad(std::string_view field, std::string_view what) {
  return fail(ErrorKind::bad_input, std::string(field) + ": " + std::string(what));
}

/// The value of `key`, or of its older spelling in UTF-8 where a torrent has both.
std::string_view text_of(const Node& dict, const std::string& key) {
  const auto utf8 = dict.find(key + ".utf-8").string();
  return utf8 ? *utf8 : dict.find(key).string().value_or("");
}

Result<Format> format_of(const Node& info) {
  const Node version = info.find("meta version");
  if (version && !version.is_integer()) return bad("info.meta version", "not an integer");
  const std::int64_t number = version.integer().value_or(1);
  if (number == 1) return Format::v1;
  if (number != 2) {
    return fail(ErrorKind::unsupported,
                "info.meta version: " + std::to_string(number) + " is not 1 or 2");
  }
  return info.find("pieces") ? Format::hybrid : Format::v2;
}

Result<std::uint32_t> piece_length_of(const Node& info, Format format) {
  const auto length = info.find("piece length").integer();
  if (!length) return bad("info.piece length", "missing or not an integer");
  if (*length <= 0) return bad("info.piece length", "not positive");
  if (*length > kMaxPieceLength) {
    return fail(ErrorKind::unsupported, "info.piece length: more than 512 MiB");
  }
  const auto value = static_cast<std::uint32_t>(*length);
  if (format != Format::v1 && (!std::has_single_bit(value) || value < kBlockSize)) {
    return bad("info.piece length", "not a power of two of at least 16 KiB");
  }
  return value;
}

std::uint64_t align_up(std::uint64_t offset, std::uint64_t piece_length) {
  return (offset + piece_length - 1) / piece_length * piece_length;
}

/// BEP 52: a hybrid's two file lists must describe the same files at the same places. Gives the
/// v1 files their pieces roots.
Result<> merge_hybrid(std::vector<RawFile>& v1, const std::vector<RawFile>& v2,
                      std::string_view name, std::uint32_t piece_length) {
  std::uint64_t offset = 0;
  std::uint64_t end = 0;  // of the last file that is not a pad
  std::size_t next = 0;
  for (RawFile& file : v1) {
    const std::uint64_t start = std::exchange(offset, offset + file.length);
    if (file.pad) continue;
    if (next == v2.size()) return bad("info.files", "has files that the file tree has not");
    const RawFile& twin = v2[next++];
    const bool same_path =
        file.path.empty() ? twin.path.size() == 1 && twin.path[0] == name : file.path == twin.path;
    if (!same_path) return bad("info.files", "names differ from the file tree's");
    if (file.length != twin.length || file.is_symlink != twin.is_symlink ||
        file.symlink != twin.symlink) {
      return bad("info.files", "a file's length or link differs from the file tree's");
    }
    file.pieces_root = twin.pieces_root;
    if (file.length == 0) continue;
    if (start != align_up(end, piece_length)) {
      return bad("info.files", "a file does not start where the file tree puts it");
    }
    end = offset;
  }
  if (next != v2.size()) return bad("info.file tree", "has files that info.files has not");
  if (offset > align_up(end, piece_length)) return bad("info.files", "padding after the last file");
  return {};
}

Layout make_layout(const std::vector<RawFile>& raw, std::uint32_t piece_length, Format format) {
  const auto addressing =
      format == Format::v2 ? PieceAddressing::per_file : PieceAddressing::contiguous;
  std::vector<LayoutFile> files;
  files.reserve(raw.size());
  std::uint64_t offset = 0;
  for (const RawFile& file : raw) {
    files.push_back({offset, file.length, file.pad});
    offset += file.length;
    if (addressing == PieceAddressing::per_file) offset = align_up(offset, piece_length);
  }
  return Layout(piece_length, std::move(files), addressing);
}

Result<std::vector<File>> make_files(const std::vector<RawFile>& raw, const Metainfo& m) {
  std::vector<File> files;
  files.reserve(raw.size());
  UniquePaths unique;
  for (const RawFile& r : raw) {
    File& file = files.emplace_back();
    file.length = r.length;
    file.pad = r.pad;
    file.executable = r.executable;
    file.pieces_root = r.pieces_root;
    if (r.pad) continue;
    std::vector<std::string> path = safe_path(r.path);
    if (m.single_file) path = {m.name};
    if (path.empty()) path = {"_"};
    file.path = unique.add(std::move(path));
  }
  const Result<> links = resolve_links(raw, files);
  if (!links) return links.error();
  return files;
}

Result<> read_piece_hashes(const Node& info, Metainfo& m) {
  const auto pieces = info.find("pieces").string();
  if (!pieces) return bad("info.pieces", "missing or not a string");
  if (pieces->size() % 20 != 0) return bad("info.pieces", "length is no multiple of 20");
  if (pieces->size() / 20 != m.layout.piece_count()) {
    return bad("info.pieces", "has " + std::to_string(pieces->size() / 20) + " hashes for " +
                                  std::to_string(m.layout.piece_count()) + " pieces");
  }
  m.piece_hashes.resize(pieces->size() / 20);
  for (std::size_t i = 0; i < m.piece_hashes.size(); ++i) {
    std::copy_n(pieces->begin() + static_cast<std::ptrdiff_t>(i * 20), 20,
                m.piece_hashes[i].begin());
  }
  return {};
}

/// BEP 52's `piece layers`: roots to layers, each used by a file at least.
class PieceLayers {
 public:
  Result<> read(const Node& layers) {
    if (layers && !layers.is_dict()) return bad("piece layers", "not a dictionary");
    for (const auto& [key, value] : layers.entries()) {
      if (key.size() != 32) return bad("piece layers", "a key is not 32 bytes");
      if (!value.is_string()) return bad("piece layers", "a layer is not a string");
      if (!layers_.emplace(key, Layer{*value.string()}).second) {
        return bad("piece layers", "a key appears twice");
      }
    }
    return {};
  }

  /// The piece roots of a file longer than a piece; empty if the manifest lacks them.
  Result<merkle::Hashes> take(const Sha256Hash& root, std::uint64_t length,
                              std::uint32_t piece_length) {
    const auto found = layers_.find(as_text(root));
    if (found == layers_.end()) return merkle::Hashes{};
    const std::string_view layer = found->second.bytes;
    found->second.used = true;
    const std::string field = "piece layers." + to_hex(root);
    merkle::Hashes hashes((length + piece_length - 1) / piece_length);
    if (layer.size() != hashes.size() * 32) return bad(field, "size does not fit its file");
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      std::copy_n(layer.begin() + static_cast<std::ptrdiff_t>(i * 32), 32, hashes[i].begin());
    }
    const unsigned level = merkle::piece_level(piece_length);
    if (merkle::root(hashes, level, merkle::height(length)) != root) {
      return bad(field, "does not hash to the file's pieces root");
    }
    return hashes;
  }

  Result<> all_used() const {
    for (const auto& [key, layer] : layers_) {
      if (!layer.used) return bad("piece layers." + to_hex(as_bytes(key)), "belongs to no file");
    }
    return {};
  }

 private:
  struct Layer {
    std::string_view bytes;
    bool used = false;
  };
  std::map<std::string_view, Layer> layers_;
};

Result<> read_piece_roots(const Node& layers_node, Metainfo& m) {
  PieceLayers layers;
  const Result<> form = layers.read(layers_node);
  if (!form) return form.error();
  m.piece_roots.resize(m.layout.piece_count());
  for (std::uint32_t i = 0; i < m.files.size(); ++i) {
    const File& file = m.files[i];
    if (!file.pieces_root) continue;
    const std::uint32_t first = m.layout.pieces_of(FileIndex(i)).first.value;
    if (file.length <= m.layout.piece_length()) {
      m.piece_roots[first] = file.pieces_root;
      continue;
    }
    const Result<merkle::Hashes> hashes =
        layers.take(*file.pieces_root, file.length, m.layout.piece_length());
    if (!hashes) return hashes.error();
    std::copy(hashes->begin(), hashes->end(), m.piece_roots.begin() + first);
  }
  return layers.all_used();
}

Result<> read_name(const Node& info, Metainfo& m) {
  const std::string_view raw = text_of(info, "name");
  if (raw.empty()) return bad("info.name", "missing or empty");
  m.name = safe_component(raw);
  if (m.name.empty()) m.name = to_hex(m.hashes.primary());  // "." and ".." name nothing
  return {};
}

/// The files in torrent order, v1 and v2 already reconciled.
Result<std::vector<RawFile>> read_files(const Node& info, std::uint32_t piece_length, Metainfo& m) {
  const std::string_view name = info.find("name").string().value_or("");
  std::vector<RawFile> v2;
  if (m.has_v2()) {
    Result<std::vector<RawFile>> read = read_v2_files(info, piece_length);
    if (!read) return read.error();
    v2 = std::move(*read);
  }
  m.single_file = m.has_v1() ? !info.find("files")
                             : v2.size() == 1 && v2[0].path.size() == 1 && v2[0].path[0] == name;
  if (!m.has_v1()) return v2;
  Result<std::vector<RawFile>> v1 = read_v1_files(info, piece_length);
  if (!v1 || m.format == Format::v1) return v1;
  const Result<> merged = merge_hybrid(*v1, v2, name, piece_length);
  if (!merged) return merged.error();
  return v1;
}

Result<Metainfo> read_info(const Node& info, const Node& layers) {
  if (!info.is_dict()) return bad("info", "missing or not a dictionary");
  Metainfo m;
  m.info.assign(info.raw().begin(), info.raw().end());
  const Result<Format> format = format_of(info);
  if (!format) return format.error();
  m.format = *format;
  if (m.has_v1()) m.hashes.v1 = sha1(m.info);
  if (m.has_v2()) m.hashes.v2 = sha256(m.info);
  const Result<> name = read_name(info, m);
  if (!name) return name.error();
  const Result<std::uint32_t> piece_length = piece_length_of(info, m.format);
  if (!piece_length) return piece_length.error();
  const Result<std::vector<RawFile>> raw = read_files(info, *piece_length, m);
  if (!raw) return raw.error();

  m.layout = make_layout(*raw, *piece_length, m.format);
  if (m.layout.content_size() == 0) return bad("info", "no file has any content");
  Result<std::vector<File>> files = make_files(*raw, m);
  if (!files) return files.error();
  m.files = std::move(*files);
  if (m.has_v1()) {
    const Result<> hashes = read_piece_hashes(info, m);
    if (!hashes) return hashes.error();
  }
  if (m.has_v2()) {
    const Result<> roots = read_piece_roots(layers, m);
    if (!roots) return roots.error();
  }
  m.is_private = info.find("private").integer() == 1;
  return m;
}

std::vector<std::string> strings_of(const Node& list) {
  std::vector<std::string> out;
  for (const Node& item : list.items()) {
    if (const auto text = item.string(); text && !text->empty()) out.emplace_back(*text);
  }
  return out;
}

void read_sources(const Node& root, Metainfo& m) {
  for (const Node& tier : root.find("announce-list").items()) {
    std::vector<std::string> urls = strings_of(tier);
    if (!urls.empty()) m.trackers.push_back(std::move(urls));
  }
  const auto announce = root.find("announce").string();
  if (m.trackers.empty() && announce && !announce->empty()) {
    m.trackers.push_back({std::string(*announce)});
  }
  const Node seeds = root.find("url-list");
  m.webseeds = strings_of(seeds);
  if (const auto one = seeds.string(); one && !one->empty()) m.webseeds.emplace_back(*one);
  m.httpseeds = strings_of(root.find("httpseeds"));
}

}  // namespace

Result<Metainfo> parse(ByteView torrent) {
  if (torrent.size() > kMaxTorrentSize) {
    return fail(ErrorKind::unsupported, "larger than 100 MB, which no torrent should be");
  }
  const Result<bencode::Document> doc = bencode::Document::parse(torrent);
  if (!doc) return doc.error();
  const Node root = doc->root();
  if (!root.is_dict()) return bad("torrent", "not a dictionary");
  Result<Metainfo> m = read_info(root.find("info"), root.find("piece layers"));
  if (!m) return m;
  read_sources(root, *m);
  m->comment = valid_utf8(text_of(root, "comment"));
  m->created_by = valid_utf8(text_of(root, "created by"));
  m->creation_date = root.find("creation date").integer();
  return m;
}

Result<Metainfo> parse_info(ByteView info) {
  const Result<bencode::Document> doc = bencode::Document::parse(info);
  if (!doc) return doc.error();
  return read_info(doc->root(), {});
}

}  // namespace swarmfs::metainfo
