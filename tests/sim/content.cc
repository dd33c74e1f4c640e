#include "tests/sim/content.h"

#include <fstream>
#include <map>
#include <random>
#include <tuple>

#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/publish.h"
#include "tests/support/temp_folder.h"

namespace swarmfs::sim {

using metainfo::Format;

std::shared_ptr<const Content> Content::make(Format format, std::uint32_t pieces,
                                             std::uint32_t piece_length, std::uint64_t seed) {
  static std::map<std::tuple<Format, std::uint32_t, std::uint32_t, std::uint64_t>,
                  std::shared_ptr<const Content>>
      made;
  auto& found = made[{format, pieces, piece_length, seed}];
  if (found) return found;
  auto content = std::make_shared<Content>();
  content->bytes_.resize(std::size_t{pieces} * piece_length - 1000);
  std::mt19937_64 rng(seed);
  for (std::uint8_t& byte : content->bytes_) byte = static_cast<std::uint8_t>(rng() >> 32);
  const test::TempFolder folder;
  const auto path = folder.path() / "content";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(content->bytes_.data()),
             static_cast<std::streamsize>(content->bytes_.size()));
  metainfo::PublishOptions options;
  options.format = format;
  options.piece_length = piece_length;
  options.threads = 1;
  const auto published = metainfo::publish(path, options).value();
  content->metainfo_ =
      std::make_shared<const metainfo::Metainfo>(metainfo::parse(published.torrent).value());
  return found = content;
}

std::vector<Sha256Hash> Content::leaves(PieceIndex piece) const {
  if (!metainfo_->has_v2()) return {};
  metainfo::merkle::LeafHasher hasher;
  hasher.update(at(piece, 0, layout().piece_size(piece)));
  return hasher.finish();
}

std::shared_ptr<const metainfo::Metainfo> Content::without_layers() const {
  return std::make_shared<const metainfo::Metainfo>(metainfo::parse_info(metainfo_->info).value());
}

}  // namespace swarmfs::sim
