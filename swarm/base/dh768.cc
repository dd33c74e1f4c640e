#include "swarm/base/dh768.h"

#include <openssl/bn.h>

#include <memory>
#include <new>

namespace swarmfs::dh768 {

namespace {

struct Free {
  void operator()(BIGNUM* n) const { BN_clear_free(n); }
  void operator()(BN_CTX* c) const { BN_CTX_free(c); }
  void operator()(BN_MONT_CTX* m) const { BN_MONT_CTX_free(m); }
};
using Big = std::unique_ptr<BIGNUM, Free>;

template <class T>
std::unique_ptr<T, Free> made(T* made) {
  if (made == nullptr) throw std::bad_alloc();
  return std::unique_ptr<T, Free>(made);
}

Big number(ByteView bytes) {
  return made(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

/// Room for calculations, and the prime in the form they need: one for each thread.
struct Group {
  std::unique_ptr<BN_CTX, Free> room = made(BN_CTX_new());
  Big prime = made(BN_new());
  std::unique_ptr<BN_MONT_CTX, Free> montgomery = made(BN_MONT_CTX_new());

  Group() {
    BIGNUM* raw = prime.get();
    BN_hex2bn(&raw,
              "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
              "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
              "4FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563");
    BN_MONT_CTX_set(montgomery.get(), prime.get(), room.get());
  }
};

Group& group() {
  thread_local Group of_thread;
  return of_thread;
}

Number power(const Big& base, ByteView exponent) {
  Group& g = group();
  const Big secret = number(exponent);
  const Big result = made(BN_new());
  if (BN_mod_exp_mont_consttime(result.get(), base.get(), secret.get(), g.prime.get(), g.room.get(),
                                g.montgomery.get()) != 1)
    throw std::bad_alloc();  // nothing else can go wrong with these arguments
  Number out;
  BN_bn2binpad(result.get(), out.data(), static_cast<int>(out.size()));
  return out;
}

}  // namespace

Number public_key(ByteView exponent) {
  const std::uint8_t generator = 2;
  return power(number({&generator, 1}), exponent);
}

std::optional<Number> shared_secret(const Number& theirs, ByteView exponent) {
  const Big key = number(theirs);
  const Big most = made(BN_dup(group().prime.get()));
  BN_sub_word(most.get(), 2);
  if (BN_cmp(key.get(), BN_value_one()) <= 0 || BN_cmp(key.get(), most.get()) > 0)
    return std::nullopt;
  return power(key, exponent);
}

}  // namespace swarmfs::dh768
