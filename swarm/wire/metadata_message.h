// The messages of ut_metadata (BEP 9): the info dictionary, asked for and sent in pieces of 16 KiB.
#pragma once

#include <cstdint>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"

namespace swarmfs::wire {

inline constexpr std::uint32_t kMetadataPiece = 16 * 1024;
/// No info dictionary that we fetch is longer.
inline constexpr std::uint32_t kMaxMetadata = 30'000'000;

constexpr std::uint32_t metadata_pieces(std::uint32_t size) {
  return size / kMetadataPiece + (size % kMetadataPiece != 0 ? 1 : 0);
}

struct MetadataMessage {
  /// `unknown` stands for all that later versions may have: to be ignored (BEP 9).
  enum class Kind : std::uint8_t { request = 0, data = 1, reject = 2, unknown = 255 };
  Kind kind = Kind::request;
  std::uint32_t piece = 0;
  std::uint32_t total_size = 0;  ///< of the dictionary, in bytes; data only, 0 where it is missing
  ByteView payload;              ///< data only: the bytes behind the bencoded dictionary
};

/// The payload of an extended message (BEP 10).
Bytes encode(const MetadataMessage& message);
/// Error (protocol): not a dictionary with a msg_type and, if we know that, a piece. The result
/// views `payload`. Bytes behind a request or a reject are passed over.
Result<MetadataMessage> parse_metadata_message(ByteView payload);

}  // namespace swarmfs::wire
