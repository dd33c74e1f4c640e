// The hashes of one piece, taken in one pass over its bytes.
#pragma once

#include "swarm/base/hash.h"
#include "swarm/metainfo/merkle.h"

namespace swarmfs::metainfo {

struct PieceDigests {
  Sha1Hash v1{};    ///< of the whole piece, pads included
  Sha256Hash v2{};  ///< the merkle root of the file's part of it
};

/// Computes the digests that are wanted; the others stay zero. Reusable, not thread-safe.
class PieceDigester {
 public:
  PieceDigester(bool v1, bool v2) : want_v1_(v1), want_v2_(v2) {}
  /// Bytes of a file, in order.
  void update(ByteView bytes);
  /// Bytes of a pad (BEP 47), which v2 leaves out.
  void update_pad(ByteView bytes);
  /// Ends the piece. `v2_height` is merkle::piece_height() of its file.
  PieceDigests finish(unsigned v2_height);

 private:
  bool want_v1_;
  bool want_v2_;
  Sha1 v1_;
  merkle::LeafHasher v2_;
};

}  // namespace swarmfs::metainfo
