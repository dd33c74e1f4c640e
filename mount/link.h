// What names a torrent instead of holding it: a magnet link, a bare info hash, or the URL of a
// .torrent file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/metainfo/metainfo.h"
#include "swarm/wire/magnet.h"
#include "swarm/wire/url.h"

namespace swarmfs::mount {

/// One of the two is there.
struct ManifestLink {
  std::optional<wire::Magnet> magnet;
  std::optional<wire::Url> url;
};

/// Whether the text claims to be a link, and is not the name of a file.
bool is_link(const std::string& text);
/// The same for what a file holds: a .torrent file never does.
bool holds_link(ByteView bytes);
/// The text of a link, or the first line of a file that holds one. Errors name what is wrong.
Result<ManifestLink> parse_link(std::string_view text);

/// 40 hexadecimal digits that name the link: the primary info hash that it has, or a hash of the
/// URL.
std::string key_of(const ManifestLink& link);
/// A safe name of one component to show until the torrent's own is known.
std::string name_of(const ManifestLink& link);
/// The link for a person: no passkeys, nothing that drives a terminal.
std::string shown(const ManifestLink& link);

/// The manifest that the link led to: `bytes` are an info dictionary for a magnet link, which adds
/// its trackers and web seeds, and a .torrent file for a URL.
Result<metainfo::Metainfo> manifest_of(const ManifestLink& link, ByteView bytes);
/// The files that the link selects (BEP 53), ascending; none: all.
std::vector<FileIndex> selected(const ManifestLink& link, const metainfo::Metainfo& metainfo);
/// The magnet link of a torrent.
wire::Magnet magnet_of(const metainfo::Metainfo& metainfo);

/// Metadata that an earlier run fetched, kept in the torrent's folder of the cache; nothing unless
/// its hash matches. May wait for the disk.
std::optional<Bytes> load_metadata(const std::filesystem::path& cache, const InfoHashes& hashes);
Result<> save_metadata(const std::filesystem::path& cache, const InfoHashes& hashes, ByteView info);

}  // namespace swarmfs::mount
