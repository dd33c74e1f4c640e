#include "swarm/metainfo/raw_names.h"

#include "swarm/base/bencode.h"
#include "swarm/metainfo/raw_files.h"

namespace swarmfs::metainfo {

static std::string_view name_of(const bencode::Node& info) {
  const auto utf8 = info.find("name.utf-8").string();
  return utf8 ? *utf8 : info.find("name").string().value_or("");
}

RawNames raw_names(const Metainfo& m) {
  RawNames out{m.name, {}};
  for (const File& file : m.files) out.paths.push_back(file.path);
  const auto document = bencode::Document::parse(m.info);
  if (!document || !document->root().is_dict()) return out;
  const bencode::Node info = document->root();
  const auto raw = m.has_v1() ? read_v1_files(info, m.layout.piece_length())
                              : read_v2_files(info, m.layout.piece_length());
  if (!raw || raw->size() != m.files.size()) return out;
  out.name = name_of(info);
  for (std::size_t i = 0; i < raw->size(); ++i) {
    const RawFile& file = (*raw)[i];
    out.paths[i].assign(file.path.begin(), file.path.end());
    if (file.pad) out.paths[i].clear();
  }
  return out;
}

}  // namespace swarmfs::metainfo
