#include "swarm/base/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <new>
#include <type_traits>

namespace swarmfs {

std::optional<Sha1Hash> InfoHashes::v2_truncated() const {
  if (!v2) return std::nullopt;
  Sha1Hash cut;
  std::copy_n(v2->begin(), cut.size(), cut.begin());
  return cut;
}

Sha1Hash InfoHashes::primary() const { return v1 ? *v1 : v2_truncated().value_or(Sha1Hash{}); }

template <class Digest>
struct Hasher<Digest>::Impl {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  Impl() {
    if (ctx == nullptr) throw std::bad_alloc();
    start();
  }
  ~Impl() { EVP_MD_CTX_free(ctx); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  void start() {
    // Fetched once: EVP_sha1() would look the implementation up again at every init.
    static const EVP_MD* const md =
        EVP_MD_fetch(nullptr, std::is_same_v<Digest, Sha1Hash> ? "SHA1" : "SHA256", nullptr);
    EVP_DigestInit_ex2(ctx, md, nullptr);
  }
};

template <class Digest>
Hasher<Digest>::Hasher() : impl_(std::make_unique<Impl>()) {}
template <class Digest>
Hasher<Digest>::~Hasher() = default;
template <class Digest>
Hasher<Digest>::Hasher(Hasher&&) noexcept = default;
template <class Digest>
Hasher<Digest>& Hasher<Digest>::operator=(Hasher&&) noexcept = default;

template <class Digest>
void Hasher<Digest>::update(ByteView bytes) {
  EVP_DigestUpdate(impl_->ctx, bytes.data(), bytes.size());
}

template <class Digest>
Digest Hasher<Digest>::finish() {
  Digest digest;
  unsigned length = 0;
  EVP_DigestFinal_ex(impl_->ctx, digest.data(), &length);
  impl_->start();
  return digest;
}

template class Hasher<Sha1Hash>;
template class Hasher<Sha256Hash>;

Sha1Hash sha1(ByteView bytes) {
  thread_local Sha1 hasher;
  hasher.update(bytes);
  return hasher.finish();
}

Sha256Hash sha256(ByteView bytes) {
  thread_local Sha256 hasher;
  hasher.update(bytes);
  return hasher.finish();
}

Sha256Hash sha256_pair(const Sha256Hash& left, const Sha256Hash& right) {
  thread_local Sha256 hasher;
  hasher.update(left);
  hasher.update(right);
  return hasher.finish();
}

}  // namespace swarmfs
