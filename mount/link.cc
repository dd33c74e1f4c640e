#include "mount/link.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <set>
#include <utility>

#include "cache/store.h"
#include "mount/format.h"
#include "swarm/base/hex.h"
#include "swarm/metainfo/safe_path.h"
#include "swarm/wire/metadata_message.h"

namespace swarmfs::mount {

namespace stdfs = std::filesystem;

static constexpr const char* kMetadataFile = "metadata";

static bool is_url(std::string_view text) {
  std::string start(text.substr(0, 8));
  for (char& c : start) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return start.starts_with("http://") || start.starts_with("https://");
}

static std::string_view first_line(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  text = text.substr(0, text.find_first_of("\r\n"));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

bool is_link(const std::string& text) {
  if (wire::is_magnet(text) || is_url(text)) return true;
  std::error_code ignored;
  return wire::parse_info_hash(text) && !stdfs::exists(text, ignored);
}

bool holds_link(ByteView bytes) {
  const std::string_view line =
      first_line(as_text(bytes.first(std::min(bytes.size(), wire::kMaxMagnet))));
  return wire::is_magnet(line) || is_url(line) || wire::parse_info_hash(line);
}

Result<ManifestLink> parse_link(std::string_view text) {
  const std::string_view line = first_line(text);
  ManifestLink link;
  if (wire::is_magnet(line)) {
    auto magnet = wire::parse_magnet(line);
    if (!magnet) return magnet.error();
    link.magnet = std::move(*magnet);
  } else if (is_url(line)) {
    auto url = wire::Url::parse(line);
    if (!url) return url.error();
    link.url = std::move(*url);
  } else {
    link.magnet = wire::parse_info_hash(line);
    if (!link.magnet)
      return fail(ErrorKind::bad_input, "neither a magnet link, nor a URL, nor an info hash");
  }
  return link;
}

std::string key_of(const ManifestLink& link) {
  return to_hex(link.magnet ? link.magnet->hashes.primary()
                            : sha1(as_bytes(link.url->to_string())));
}

std::string name_of(const ManifestLink& link) {
  std::string name;
  if (link.magnet) {
    name = metainfo::safe_component(link.magnet->name);
  } else {
    std::string path = link.url->target.substr(0, link.url->target.find('?'));
    path = wire::percent_decode(path.substr(path.rfind('/') + 1));
    if (path.ends_with(".torrent")) path.resize(path.size() - 8);
    name = metainfo::safe_component(path);
    if (name.empty()) name = metainfo::safe_component(link.url->host);
  }
  return name.empty() ? key_of(link) : name;
}

std::string shown(const ManifestLink& link) {
  if (link.url) return link.url->redacted();
  const auto& hashes = link.magnet->hashes;
  std::string text;
  if (hashes.v1) text += to_hex(*hashes.v1);
  if (hashes.v2) text += (text.empty() ? "" : " and ") + to_hex(*hashes.v2);
  return text;
}

Result<metainfo::Metainfo> manifest_of(const ManifestLink& link, ByteView bytes) {
  auto parsed = link.magnet ? metainfo::parse_info(bytes) : metainfo::parse(bytes);
  if (!parsed) return fail(parsed.error().kind, shown(link) + ": " + parsed.error().message);
  if (link.magnet) {
    // Each in a tier of its own: all are asked at once.
    for (const std::string& url : link.magnet->trackers) parsed->trackers.push_back({url});
    parsed->webseeds = link.magnet->webseeds;
  }
  return parsed;
}

std::vector<FileIndex> selected(const ManifestLink& link, const metainfo::Metainfo& metainfo) {
  std::set<FileIndex> files;
  if (!link.magnet) return {};
  for (const wire::Magnet::Files& range : link.magnet->select)
    for (std::size_t i = range.first; i <= range.last && i < metainfo.files.size(); ++i)
      if (!metainfo.files[i].pad) files.insert(FileIndex(static_cast<std::uint32_t>(i)));
  return {files.begin(), files.end()};
}

wire::Magnet magnet_of(const metainfo::Metainfo& metainfo) {
  wire::Magnet magnet;
  magnet.hashes = metainfo.hashes;
  magnet.name = metainfo.name;
  for (const auto& tier : metainfo.trackers)
    magnet.trackers.insert(magnet.trackers.end(), tier.begin(), tier.end());
  magnet.webseeds = metainfo.webseeds;
  return magnet;
}

// --- metadata that is kept

static stdfs::path folder_of(const stdfs::path& cache, const InfoHashes& hashes) {
  return cache::StoreOptions::for_cache(cache, hashes, {}).state_folder;
}

std::optional<Bytes> load_metadata(const stdfs::path& cache, const InfoHashes& hashes) {
  std::ifstream in(folder_of(cache, hashes) / kMetadataFile, std::ios::binary);
  Bytes bytes;
  while (in && bytes.size() <= wire::kMaxMetadata) {
    static constexpr std::size_t kChunk = 1 << 20;
    const std::size_t had = bytes.size();
    bytes.resize(had + kChunk);
    in.read(reinterpret_cast<char*>(bytes.data() + had), kChunk);
    bytes.resize(had + static_cast<std::size_t>(in.gcount()));
  }
  if (bytes.empty() || bytes.size() > wire::kMaxMetadata) return std::nullopt;
  if (hashes.v1 && sha1(bytes) != *hashes.v1) return std::nullopt;
  if (hashes.v2 && sha256(bytes) != *hashes.v2) return std::nullopt;
  return bytes;
}

Result<> save_metadata(const stdfs::path& cache, const InfoHashes& hashes, ByteView info) {
  const stdfs::path folder = folder_of(cache, hashes);
  std::error_code error;
  stdfs::create_directories(cache, error);
  if (!error && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    error.assign(errno, std::generic_category());
  if (error) return Error::from_errno(error.value(), "cannot make " + folder.string());
  const stdfs::path part = folder / (std::string(kMetadataFile) + ".part");
  std::ofstream out(part, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(info.data()), static_cast<std::streamsize>(info.size()));
  out.close();
  if (!out) return fail(ErrorKind::io, "cannot write " + part.string());
  if (std::rename(part.c_str(), (folder / kMetadataFile).c_str()) != 0)
    return Error::from_errno(errno, "cannot rename " + part.string());
  return {};
}

}  // namespace swarmfs::mount
