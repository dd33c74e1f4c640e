// Diffie-Hellman over the 768-bit prime of MSE, generator 2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "swarm/base/bytes.h"

namespace swarmfs::dh768 {

/// A number below the prime, big-endian, zeros in front.
using Number = std::array<std::uint8_t, 96>;

/// The public key of a secret exponent: big-endian, random, of 16..96 bytes.
Number public_key(ByteView exponent);

/// What both sides get. Nothing if `theirs` is outside [2, p-2]: with such a key anybody knows the
/// secret.
std::optional<Number> shared_secret(const Number& theirs, ByteView exponent);

}  // namespace swarmfs::dh768
