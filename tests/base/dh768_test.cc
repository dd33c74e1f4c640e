#include "swarm/base/dh768.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "swarm/base/hex.h"

namespace swarmfs::dh768 {
namespace {

Bytes counting(std::uint8_t first) {
  Bytes exponent(20);
  for (std::uint8_t& byte : exponent) byte = first++;
  return exponent;
}

Number number(std::string_view hex) {
  const auto bytes = from_hex(hex);
  Number out{};
  std::copy(bytes->begin(), bytes->end(), out.end() - static_cast<std::ptrdiff_t>(bytes->size()));
  return out;
}

constexpr std::string_view kPrime =
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"
    "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"
    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563";

/// The prime with another number in place of its last 32 bits.
Number near_prime(std::string_view last) {
  return number(std::string(kPrime.substr(0, 184)) + std::string(last));
}

// The figures come from another implementation: Python's pow().
TEST(Dh768, AgreesWithAnotherImplementation) {
  const Number a = public_key(counting(1));
  const Number b = public_key(counting(101));
  EXPECT_EQ(to_hex(a).substr(0, 32), "96e112dab29e8c5272accb9b17b26887");
  EXPECT_EQ(to_hex(b).substr(160), "91a3ee6056f966f9eae732089b6fa46e");
  const auto secret = shared_secret(b, counting(1));
  ASSERT_TRUE(secret);
  EXPECT_EQ(shared_secret(a, counting(101)), secret);
  EXPECT_EQ(
      to_hex(*secret),
      "d05ed96a95215a89b44073afe5d0b1626289ac01cff7849392948b2470b346547e944d7562a897ae86976bc3"
      "89999083ec09572dbdc8ed7f6a0a86a1aa42a3ca04209b72d8239890360435640643b76479ed7836f1857963"
      "fcc7cb72084c3ab4");
}

TEST(Dh768, PadsShortNumbersInFront) {
  Bytes tiny(16);
  tiny.back() = 9;
  EXPECT_EQ(public_key(tiny), number("0200"));
}

TEST(Dh768, RefusesKeysThatHideNothing) {
  for (const Number& key : {Number{}, number("01"), near_prime("00090562"), near_prime("00090563"),
                            near_prime("00090564"), number(std::string(192, 'f'))})
    EXPECT_FALSE(shared_secret(key, counting(1))) << to_hex(key);
  EXPECT_TRUE(shared_secret(number("02"), counting(1)));
  EXPECT_TRUE(shared_secret(near_prime("00090561"), counting(1)));
}

}  // namespace
}  // namespace swarmfs::dh768
