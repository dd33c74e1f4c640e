// The merkle roots of a torrent's v2 pieces: those its manifest brings, and those of piece layers
// that were verified since (BEP 52).
//
// The rule it keeps: a root is known only if it leads to the `pieces root` that the info
// dictionary has for its file, whoever it came from: the manifest, a peer, the disk or local data.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {

/// What a run of hashes turned out to be. `contradiction`: it is proven, and says that the file is
/// longer than the manifest has it, so the manifest is at fault and not who sent it.
enum class LayerProof : std::uint8_t { good, wrong, contradiction };

/// Thread-safe. Memory: 33 bytes a piece of the files whose layer the manifest lacks.
class PieceRoots {
 public:
  explicit PieceRoots(std::shared_ptr<const Metainfo> metainfo);

  const std::shared_ptr<const Metainfo>& metainfo() const { return metainfo_; }
  /// Nothing for v1, and while the root is not known.
  std::optional<Sha256Hash> of(PieceIndex piece) const;
  /// Pieces of v2 files whose root is not known.
  std::uint32_t unknown() const { return unknown_; }
  /// True if the root of every piece of the file is known; so for empty and for v1 files.
  bool complete(FileIndex file) const;
  /// Files with a piece whose root is not known, in order.
  std::vector<FileIndex> incomplete() const;

  /// Takes a run of the file's piece layer with its uncle hashes, as a `hashes` message brings
  /// them. All or nothing of it is taken. Files that share a root and a length share the layer.
  LayerProof learn(FileIndex file, const merkle::HashRun& run, merkle::HashView hashes);
  /// Takes a whole piece layer, padding left out; false if it does not lead to the file's root.
  bool learn(FileIndex file, merkle::HashView layer);

  /// Layers that are complete and not from the manifest.
  std::size_t learnt() const;
  /// Those layers, to be kept for a later run; and back again: what does not prove itself, or
  /// belongs to no file, is left out.
  Bytes save() const;
  void load(ByteView saved);

 private:
  struct Layer {
    std::vector<std::optional<Sha256Hash>> roots;  ///< by piece of the file; empty before the first
    std::uint32_t left = 0;                        ///< not known yet
    std::uint32_t files = 0;                       ///< that share it
    FileIndex file;                                ///< one of them
  };
  /// Only files with one root and one length are alike.
  using Key = std::pair<Sha256Hash, std::uint64_t>;

  std::uint32_t pieces_in(std::uint64_t length) const;
  Key key_of(FileIndex file) const;
  Layer* find(FileIndex file);
  void set(Layer& layer, std::uint32_t index, const Sha256Hash& root);

  const std::shared_ptr<const Metainfo> metainfo_;
  std::atomic<std::uint32_t> unknown_ = 0;
  mutable std::mutex mutex_;  // guards what is in layers_; its keys stay as they are
  std::map<Key, Layer> layers_;
};

}  // namespace swarmfs::metainfo
