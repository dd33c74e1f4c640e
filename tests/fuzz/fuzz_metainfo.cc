// Any bytes as a torrent and as a bare info dictionary. Start it with tests/metainfo/data as
// corpus.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "swarm/metainfo/metainfo.h"

using namespace swarmfs;

static void use(const metainfo::Metainfo& m) {
  // Walks what the rest of the program walks, so that the sanitizers see it.
  for (const metainfo::File& file : m.files) {
    if (file.pad != file.path.empty()) std::abort();
    for (const auto& part : file.path) {
      if (part.empty() || part == "." || part == ".." || part.find('/') != part.npos) std::abort();
    }
  }
  const PieceIndex last(m.layout.piece_count() - 1);
  std::uint64_t covered = 0;
  for (const auto& s : m.layout.slices(last, 0, m.layout.piece_size(last))) covered += s.length;
  if (covered != m.layout.piece_size(last)) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto m = metainfo::parse({data, size})) use(*m);
  if (const auto m = metainfo::parse_info({data, size})) use(*m);
  return 0;
}
