// Damaged torrents: whatever parse() makes of them, it must end, stay in bounds, and hand out
// only manifests whose parts fit together.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "fixtures.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {
namespace {

constexpr int kMutationsPerTorrent = 5'000;

/// What the rest of the program relies on in every parsed manifest.
void expect_consistent(const Metainfo& m) {
  ASSERT_EQ(m.files.size(), m.layout.files().size());
  ASSERT_FALSE(m.name.empty());
  ASSERT_GT(m.layout.piece_count(), 0u);
  ASSERT_LE(m.layout.piece_count(), kMaxPieces);
  ASSERT_EQ(m.piece_hashes.size(), m.has_v1() ? m.layout.piece_count() : 0);
  ASSERT_EQ(m.piece_roots.size(), m.has_v2() ? m.layout.piece_count() : 0);
  for (const File& file : m.files) {
    ASSERT_EQ(file.path.empty(), file.pad);
    for (const std::string& part : file.path) {
      ASSERT_FALSE(part.empty() || part == "." || part == "..");
      ASSERT_EQ(part.find_first_of(std::string_view("/\\\0", 3)), std::string::npos);
      ASSERT_LE(part.size(), 255u);
    }
  }
  const PieceIndex last(m.layout.piece_count() - 1);
  for (const PieceIndex piece : {PieceIndex(0), last}) {
    const std::uint32_t size = m.layout.piece_size(piece);
    ASSERT_GT(size, 0u);
    if (size > 1 << 20) continue;
    const Bytes zeros(size);
    fixtures::verifies(m, piece, {{ByteView(zeros)}});
  }
}

Bytes mutated(Bytes bytes, std::mt19937_64& rng) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  static constexpr std::string_view kTokens[] = {
      "e", "d", "l", "i-1e", "i0e", "0:", "1:", "i9223372036854775807e", "99999999999:"};
  for (std::size_t left = 1 + below(4); left > 0 && !bytes.empty(); --left) {
    const std::size_t at = below(bytes.size());
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(7)) {
      case 0:
        bytes[at] = static_cast<std::uint8_t>(rng());
        break;
      case 1:
        bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(here, here + static_cast<std::ptrdiff_t>(
                                     1 + below(std::min<std::size_t>(40, bytes.size() - at))));
        break;
      case 4: {
        const ByteView token = as_bytes(kTokens[below(std::size(kTokens))]);
        bytes.insert(here, token.begin(), token.end());
        break;
      }
      case 5: {  // repeat a stretch
        const Bytes copy(here, here + static_cast<std::ptrdiff_t>(
                                          std::min<std::size_t>(1 + below(60), bytes.size() - at)));
        bytes.insert(here, copy.begin(), copy.end());
        break;
      }
      case 6: {  // change a digit: lengths and integers, where the structure survives
        for (std::size_t i = at; i < bytes.size(); ++i) {
          if (bytes[i] < '0' || bytes[i] > '9') continue;
          bytes[i] = static_cast<std::uint8_t>('0' + below(10));
          break;
        }
        break;
      }
    }
  }
  return bytes;
}

TEST(Mutations, ParseEndsSafelyOnDamagedTorrents) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 rng(seed);
  std::size_t accepted = 0;
  for (const std::string& name : fixtures::torrents()) {
    const Bytes original = fixtures::read_file(fixtures::file(name));
    ASSERT_TRUE(parse(original));
    for (int i = 0; i < kMutationsPerTorrent; ++i) {
      const Bytes damaged = mutated(original, rng);
      const auto m = parse(damaged);
      if (m) {
        ++accepted;
        expect_consistent(*m);
      } else {
        EXPECT_FALSE(m.error().message.empty());
      }
      ASSERT_FALSE(HasFailure()) << name << " mutation " << i << " of seed " << seed;
    }
  }
  // Damage to a comment or a hash parses; if all or none did, the mutations would test nothing.
  EXPECT_GT(accepted, 0u);
  EXPECT_LT(accepted, 6u * kMutationsPerTorrent);
}

TEST(Mutations, EveryTruncationIsRefused) {
  for (const std::string& name : fixtures::torrents()) {
    const Bytes original = fixtures::read_file(fixtures::file(name));
    for (std::size_t n = 0; n < original.size(); ++n) {
      EXPECT_FALSE(parse(ByteView(original).first(n))) << name << " cut to " << n;
    }
  }
}

}  // namespace
}  // namespace swarmfs::metainfo
