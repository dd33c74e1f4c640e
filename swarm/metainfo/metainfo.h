// A torrent's manifest, parsed and checked: v1 (BEP 3), v2 (BEP 52) and hybrids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/hash.h"
#include "swarm/base/layout.h"
#include "swarm/base/result.h"

namespace swarmfs::metainfo {

enum class Format : std::uint8_t { v1, v2, hybrid };

/// One file, pads included; parallel to Layout::files().
struct File {
  /// Safe relative path below the torrent's root folder, or just {name} for a single file.
  /// Empty for pad files.
  std::vector<std::string> path;
  std::uint64_t length = 0;
  bool pad = false;
  bool executable = false;
  /// BEP 47 symlink: target relative to the torrent's root, made safe; empty if not a link.
  std::vector<std::string> symlink;
  /// BEP 52; absent for v1 and for empty files.
  std::optional<Sha256Hash> pieces_root;
};

/// Immutable after parsing and shared between threads.
struct Metainfo {
  Format format = Format::v1;
  InfoHashes hashes;
  std::string name;          ///< one safe path component
  bool single_file = false;  ///< then files[0] (pads aside) is called `name`
  Layout layout;
  std::vector<File> files;
  /// v1 and hybrid: one per piece. Empty for v2.
  std::vector<Sha1Hash> piece_hashes;
  /// v2 and hybrid: expected merkle root per piece; nullopt where the manifest lacks the layer.
  std::vector<std::optional<Sha256Hash>> piece_roots;
  std::vector<std::vector<std::string>> trackers;  ///< tiers (BEP 12)
  std::vector<std::string> webseeds;               ///< url-list (BEP 19)
  std::vector<std::string> httpseeds;              ///< BEP 17
  bool is_private = false;                         ///< BEP 27
  std::string comment;
  std::string created_by;
  std::optional<std::int64_t> creation_date;  ///< seconds since the epoch
  Bytes info;                                 ///< the info dictionary as it stood

  bool has_v1() const { return format != Format::v2; }
  bool has_v2() const { return format != Format::v1; }
};

inline constexpr std::uint64_t kMaxTorrentSize = 100'000'000;
inline constexpr std::uint32_t kMaxPieces = 1U << 21;

/// Parses a .torrent. Errors are bad_input (or unsupported) and name the field and the reason.
Result<Metainfo> parse(ByteView torrent);
/// Parses a bare info dictionary, as a peer sends it (BEP 9): no trackers, and for v2 no piece
/// layers, so piece_roots is filled only for files of one piece.
Result<Metainfo> parse_info(ByteView info);
/// Reads a file of at most a little more than kMaxTorrentSize bytes, without looking at them;
/// errors name the path.
Result<Bytes> read_torrent(const std::filesystem::path& path);
/// Parses what was read from a path; errors name the path.
Result<Metainfo> parse_torrent(const std::filesystem::path& path, ByteView torrent);
/// Both: reads and parses a .torrent file.
Result<Metainfo> load(const std::filesystem::path& path);

}  // namespace swarmfs::metainfo
