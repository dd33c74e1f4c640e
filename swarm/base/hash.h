// SHA-1 and SHA-256 over OpenSSL's EVP, and the types of their digests.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "swarm/base/bytes.h"

namespace swarmfs {

using Sha1Hash = std::array<std::uint8_t, 20>;
using Sha256Hash = std::array<std::uint8_t, 32>;

/// Info hashes of a torrent: v1 (BEP 3), v2 (BEP 52), or both for a hybrid.
struct InfoHashes {
  std::optional<Sha1Hash> v1;
  std::optional<Sha256Hash> v2;
  bool operator==(const InfoHashes&) const = default;

  /// The v2 hash cut to 20 bytes, as handshakes and trackers carry it (BEP 52).
  std::optional<Sha1Hash> v2_truncated() const;
  /// The 20 bytes that name this torrent on disk and to old software: v1, else truncated v2.
  Sha1Hash primary() const;
};

/// An incremental digest. Not thread-safe; reusable after finish().
template <class Digest>
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(ByteView bytes);
  /// Returns the digest of all updates since construction or the last finish().
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
using Sha1 = Hasher<Sha1Hash>;
using Sha256 = Hasher<Sha256Hash>;

Sha1Hash sha1(ByteView bytes);
Sha256Hash sha256(ByteView bytes);
/// SHA-256 of two concatenated nodes: the inner step of BEP 52's merkle trees.
Sha256Hash sha256_pair(const Sha256Hash& left, const Sha256Hash& right);

}  // namespace swarmfs
