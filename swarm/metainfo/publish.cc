#include "swarm/metainfo/publish.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <utility>

#include "swarm/base/bencode.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/scan.h"

namespace swarmfs::metainfo {
namespace {

using bencode::Writer;

/// A file or pad as it goes into the torrent; pads have no source.
struct Entry {
  const ScannedFile* source = nullptr;
  std::uint64_t length = 0;
  std::optional<Sha256Hash> pieces_root;
};

/// Entries in torrent order; hybrids get a pad after each file that does not fill its last piece
/// (the tail as well, unless there is only that file).
std::vector<Entry> make_entries(const Scan& scan, Format format, std::uint32_t piece_length) {
  std::vector<Entry> out;
  for (const ScannedFile& file : scan.files) {
    out.push_back({&file, file.length, std::nullopt});
    const std::uint64_t over = file.length % piece_length;
    if (format == Format::hybrid && !scan.single_file && over != 0) {
      out.push_back({nullptr, piece_length - over, std::nullopt});
    }
  }
  return out;
}

Layout make_layout(const std::vector<Entry>& entries, Format format, std::uint32_t piece_length) {
  std::vector<LayoutFile> files;
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {
    files.push_back({offset, entry.length, entry.source == nullptr});
    offset += entry.length;
    if (format == Format::v2) {
      offset = (offset + piece_length - 1) / piece_length * piece_length;
    }
  }
  return Layout(piece_length, std::move(files),
                format == Format::v2 ? PieceAddressing::per_file : PieceAddressing::contiguous);
}

struct Digests {
  Bytes v1;           ///< BEP 3's pieces
  merkle::Hashes v2;  ///< by piece
};

Result<Digests> hash_all(const Layout& layout, const std::vector<Entry>& entries,
                         const PublishOptions& options, const Progress& progress,
                         std::stop_token cancel) {
  std::vector<std::filesystem::path> paths;
  for (const Entry& entry : entries) {
    paths.push_back(entry.source ? entry.source->on_disk : std::filesystem::path());
  }
  const HashJob job{layout, paths, options.format != Format::v2, options.format != Format::v1,
                    options.threads};
  Digests out;
  if (job.v1) out.v1.resize(std::size_t{layout.piece_count()} * 20);
  if (job.v2) out.v2.resize(layout.piece_count());
  std::mutex mutex;
  std::optional<Error> failed;
  const PieceHashed on_piece = [&](PieceIndex piece, const Result<PieceDigests>& digests) {
    if (!digests) {
      const std::lock_guard lock(mutex);
      if (!failed) failed = digests.error();
      return false;
    }
    if (job.v1) std::copy_n(digests->v1.begin(), 20, out.v1.begin() + piece.value * 20L);
    if (job.v2) out.v2[piece.value] = digests->v2;
    return true;
  };
  const Result<> done = hash_pieces(job, on_piece, progress, std::move(cancel));
  if (failed) return *failed;
  if (!done) return done.error();
  return out;
}

/// BEP 52's piece layers by root; sets the entries' pieces roots on the way.
std::map<Sha256Hash, merkle::HashView> make_layers(const Layout& layout,
                                                   const merkle::Hashes& roots,
                                                   std::vector<Entry>& entries) {
  std::map<Sha256Hash, merkle::HashView> layers;
  const std::uint32_t piece_length = layout.piece_length();
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    Entry& entry = entries[i];
    if (entry.source == nullptr || entry.length == 0) continue;
    const Layout::PieceRange range = layout.pieces_of(FileIndex(i));
    const merkle::HashView layer =
        merkle::HashView(roots).subspan(range.first.value, range.end.value - range.first.value);
    if (entry.length <= piece_length) {
      entry.pieces_root = layer.front();
      continue;
    }
    entry.pieces_root =
        merkle::root(layer, merkle::piece_level(piece_length), merkle::height(entry.length));
    layers.emplace(*entry.pieces_root, layer);
  }
  return layers;
}

void write_strings(Writer& w, const std::vector<std::string>& strings) {
  w.begin_list();
  for (const std::string& s : strings) w.string(s);
  w.end();
}

/// The keys before and after `length` in a file's dictionary (BEP 47).
void write_attr(Writer& w, const ScannedFile& file) {
  if (!file.symlink.empty()) {
    w.key("attr").string("l");
  } else if (file.executable) {
    w.key("attr").string("x");
  }
}
void write_link(Writer& w, const ScannedFile& file) {
  if (file.symlink.empty()) return;
  w.key("symlink path");
  write_strings(w, file.symlink);
}

/// BEP 3's list of files.
void write_files(Writer& w, const std::vector<Entry>& entries) {
  std::map<std::uint64_t, unsigned> pads;  // seen so far, by length
  w.begin_list();
  for (const Entry& entry : entries) {
    w.begin_dict();
    if (entry.source) {
      write_attr(w, *entry.source);
    } else {
      w.key("attr").string("p");
    }
    w.key("length").integer(static_cast<std::int64_t>(entry.length)).key("path");
    if (entry.source) {
      write_strings(w, entry.source->path);
      write_link(w, *entry.source);
    } else {
      // BEP 47's name, made unique: rTorrent refuses two files of one name, pads or not.
      std::string name = std::to_string(entry.length);
      if (const unsigned seen = pads[entry.length]++; seen > 0) name += "." + std::to_string(seen);
      write_strings(w, {".pad", name});
    }
    w.end();
  }
  w.end();
}

/// BEP 52's file tree: entries are sorted by path, so folders open and close as the paths go.
void write_tree(Writer& w, const std::vector<Entry>& entries) {
  std::vector<std::string> open;
  w.begin_dict();
  for (const Entry& entry : entries) {
    if (entry.source == nullptr) continue;
    const std::vector<std::string>& path = entry.source->path;
    const auto shared = static_cast<std::size_t>(
        std::mismatch(open.begin(), open.end(), path.begin(), path.end() - 1).first - open.begin());
    for (; open.size() > shared; open.pop_back()) w.end();
    for (; open.size() + 1 < path.size(); open.push_back(path[open.size()])) {
      w.key(path[open.size()]).begin_dict();
    }
    w.key(path.back()).begin_dict().key("").begin_dict();
    write_attr(w, *entry.source);
    if (entry.source->symlink.empty()) {
      w.key("length").integer(static_cast<std::int64_t>(entry.length));
    }
    if (entry.pieces_root) w.key("pieces root").string(*entry.pieces_root);
    write_link(w, *entry.source);
    w.end().end();
  }
  for (; !open.empty(); open.pop_back()) w.end();
  w.end();
}

void write_info(Writer& w, const Scan& scan, const std::vector<Entry>& entries,
                const PublishOptions& options, std::uint32_t piece_length, const Bytes& pieces) {
  const bool v1 = options.format != Format::v2;
  const bool v2 = options.format != Format::v1;
  w.begin_dict();
  if (v1 && scan.single_file) write_attr(w, scan.files.front());
  if (v2) {
    w.key("file tree");
    write_tree(w, entries);
  }
  if (v1 && !scan.single_file) {
    w.key("files");
    write_files(w, entries);
  }
  if (v1 && scan.single_file) {
    w.key("length").integer(static_cast<std::int64_t>(scan.files.front().length));
  }
  if (v2) w.key("meta version").integer(2);
  w.key("name").string(scan.name).key("piece length").integer(piece_length);
  if (v1) w.key("pieces").string(pieces);
  if (options.is_private) w.key("private").integer(1);
  w.end();
}

void write_layers(Writer& w, const std::map<Sha256Hash, merkle::HashView>& layers) {
  w.begin_dict();
  for (const auto& [root, layer] : layers) {
    Bytes bytes;
    bytes.reserve(layer.size() * 32);
    for (const Sha256Hash& hash : layer) append(bytes, hash);
    w.key(as_text(root)).string(bytes);
  }
  w.end();
}

}  // namespace

std::uint32_t choose_piece_length(std::uint64_t total_size) {
  const std::uint64_t ideal = std::bit_ceil(total_size / 2000 + 1);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(ideal, 64 << 10, 16 << 20));
}

Result<Published> publish(const std::filesystem::path& path, const PublishOptions& options,
                          const Progress& progress, std::stop_token cancel) {
  Result<Scan> scanned = scan(path);
  if (!scanned) return scanned.error();
  std::uint64_t total = 0;
  for (const ScannedFile& file : scanned->files) total += file.length;
  const std::uint32_t piece_length =
      options.piece_length ? options.piece_length : choose_piece_length(total);
  std::vector<Entry> entries = make_entries(*scanned, options.format, piece_length);
  const Layout layout = make_layout(entries, options.format, piece_length);
  if (layout.total_size() > std::uint64_t{kMaxPieces} * piece_length) {
    return fail(ErrorKind::bad_input,
                path.string() + ": more than 2^21 pieces; choose a larger piece size");
  }
  const Result<Digests> digests = hash_all(layout, entries, options, progress, std::move(cancel));
  if (!digests) return digests.error();
  const Result<> unchanged = check_unchanged(*scanned);
  if (!unchanged) return unchanged.error();
  const auto layers = options.format == Format::v1 ? std::map<Sha256Hash, merkle::HashView>()
                                                   : make_layers(layout, digests->v2, entries);

  Writer w;
  w.begin_dict();
  if (!options.trackers.empty()) {
    w.key("announce").string(options.trackers.front()).key("announce-list").begin_list();
    for (const std::string& url : options.trackers) write_strings(w, {url});
    w.end();
  }
  if (!options.comment.empty()) w.key("comment").string(options.comment);
  w.key("created by").string("swarmfs");
  if (options.creation_date) w.key("creation date").integer(*options.creation_date);
  w.key("info");
  write_info(w, *scanned, entries, options, piece_length, digests->v1);
  if (options.format != Format::v1) {
    w.key("piece layers");
    write_layers(w, layers);
  }
  if (!options.webseeds.empty()) {
    w.key("url-list");
    write_strings(w, options.webseeds);
  }
  w.end();
  return Published{w.take(), std::move(scanned->notes)};
}

}  // namespace swarmfs::metainfo
