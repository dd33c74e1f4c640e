#include "mount/torrent_spec.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fs/likely_first.h"
#include "mount/describe.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

fs::TorrentSpec spec_of(const metainfo::Metainfo& m, std::shared_ptr<ContentSource> source) {
  fs::TorrentSpec spec;
  spec.name = m.name;
  spec.single_file = m.single_file;
  spec.mtime = m.creation_date;
  spec.source = std::move(source);
  if (m.hashes.v1) spec.facts.emplace_back("infohash", to_hex(*m.hashes.v1));
  if (m.hashes.v2) spec.facts.emplace_back("infohash_v2", to_hex(*m.hashes.v2));
  spec.facts.emplace_back("format", format_name(m.format));
  spec.facts.emplace_back("piece_length", std::to_string(m.layout.piece_length()));
  for (std::size_t i = 0; i < m.files.size(); ++i) {
    const metainfo::File& file = m.files[i];
    if (file.pad) continue;
    fs::FileSpec entry;
    entry.path = file.path;
    entry.kind = file.symlink.empty() ? fs::NodeKind::file : fs::NodeKind::symlink;
    entry.length = file.length;
    entry.executable = file.executable;
    entry.symlink = file.symlink;
    entry.index = FileIndex(static_cast<std::uint32_t>(i));
    spec.files.push_back(std::move(entry));
  }
  return spec;
}

std::vector<PieceIndex> pieces_likely_first(const metainfo::Metainfo& m) {
  std::vector<fs::NamedFile> files;
  for (std::uint32_t i = 0; i < m.files.size(); ++i)
    if (!m.files[i].pad && !m.files[i].path.empty())
      files.push_back({FileIndex(i), m.files[i].path.back(), m.files[i].length});
  std::vector<PieceIndex> pieces;
  for (const fs::FileRange& range : fs::likely_first(files))
    for (const auto& span : m.layout.spans(range.file, range.begin, range.end - range.begin))
      if (std::find(pieces.begin(), pieces.end(), span.piece) == pieces.end())
        pieces.push_back(span.piece);
  return pieces;
}

}  // namespace swarmfs::mount
