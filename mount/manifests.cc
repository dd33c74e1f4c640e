#include "mount/manifests.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "mount/control.h"
#include "mount/describe.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {

using nlohmann::json;
using namespace std::chrono_literals;

/// How long the reply to a removal waits for the store to close.
static constexpr auto kCloseTime = 3s;

static std::string hash_of(const metainfo::Metainfo& metainfo) {
  return to_hex(metainfo.hashes.primary());
}

Manifests::Manifests(Torrents& torrents, Links& links, std::optional<KeptManifests> kept,
                     std::shared_ptr<spdlog::logger> logger)
    : torrents_(torrents), links_(links), logger_(std::move(logger)), kept_(std::move(kept)) {}

Result<Manifests::Manifest> Manifests::read(const std::string& path, ByteView bytes) {
  Manifest manifest;
  if (holds_link(bytes)) {
    auto link = parse_link(as_text(bytes));
    if (!link) return link.error();
    manifest.link = std::move(*link);
    manifest.key = key_of(manifest.link);
    return manifest;
  }
  auto parsed = metainfo::parse_torrent(path, bytes);
  if (!parsed) return parsed.error();
  manifest.key = hash_of(*parsed);
  manifest.metainfo = std::make_shared<const metainfo::Metainfo>(std::move(*parsed));
  return manifest;
}

Result<Torrents::Added> Manifests::bring(const Manifest& manifest, const Origin& origin) {
  return manifest.metainfo ? torrents_.add(manifest.metainfo, origin)
                           : links_.add(manifest.link, origin);
}

Result<> Manifests::begin(const ManifestPaths& paths) {
  for (const auto& [path, bytes] : paths.files) {
    const auto manifest = read(path, bytes);
    if (!manifest) return manifest.error();
    if (kept_ && kept_->removed().contains(manifest->key)) continue;
    const auto added = bring(*manifest, {Origin::Kind::argument, path});
    if (!added) return added.error();
    if (added->already) logger_->warn("{} is mounted already", added->name);
  }
  for (const std::string& folder : paths.folders)
    if (auto watched = watch(folder); !watched) return watched;
  add_kept();
  const std::lock_guard lock(mutex_);
  begun_ = true;
  return {};
}

void Manifests::add_kept() {
  if (!kept_) return;
  for (const auto& path : kept_->added()) {
    const auto bytes = metainfo::read_torrent(path);
    auto manifest = bytes ? read(path.string(), *bytes) : bytes.error();
    if (!manifest) {
      logger_->warn("what was added before is lost: {}", manifest.error().message);
      continue;
    }
    const auto added = bring(*manifest, {Origin::Kind::command, path.string()});
    if (!added) logger_->warn("{}", added.error().message);
  }
}

Result<> Manifests::watch(const std::string& folder) {
  FolderEvents events;
  events.there = [this](const std::string& path) { folder_has(path); };
  events.gone = [this](const std::string& path) {
    logger_->info("{} is gone", path);
    links_.drop({Origin::Kind::folder, path});
    torrents_.drop({Origin::Kind::folder, path});
  };
  events.lost = [this](const Error& error) { logger_->warn("{}", error.message); };
  auto watch = FolderWatch::start(folder, std::move(events));
  if (!watch) return watch.error();
  watches_.push_back(std::move(*watch));
  return {};
}

void Manifests::folder_has(const std::string& path) {
  const Origin origin{Origin::Kind::folder, path};
  const auto bytes = metainfo::read_torrent(path);
  auto manifest = bytes ? read(path, *bytes) : bytes.error();
  if (!manifest) {
    logger_->warn("{}", manifest.error().message);
    links_.drop(origin);
    torrents_.add_broken(origin, manifest.error());
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (kept_ && kept_->removed().contains(manifest->key)) {
      // It was removed while its file stayed. A file that comes now is wanted again.
      if (!begun_) return;
      kept_->forget_removal(manifest->key);
    }
  }
  links_.drop(origin);  // what the file held before
  const auto added = bring(*manifest, origin);
  if (!added) {
    logger_->warn("{}: {}", path, added.error().message);
    torrents_.add_broken(origin, added.error());
  } else if (added->already) {
    logger_->info("{} is mounted already, as {}", path, added->name);
  } else {
    logger_->info("added {} of {}", added->name, path);
  }
}

void Manifests::rescan() {
  for (const auto& watch : watches_) watch->rescan();
}

void Manifests::stop() { watches_.clear(); }

void Manifests::forget() {
  const std::lock_guard lock(mutex_);
  if (kept_) kept_->clear();
}

static Error bad_request(const std::string& what) { return fail(ErrorKind::protocol, what); }

/// What `add` was given: the bytes of a file, or a link that is its own.
static Result<Bytes> manifest_bytes(const std::string& path) {
  if (is_link(path)) return Bytes(path.begin(), path.end());
  std::error_code ignored;
  if (!path.starts_with('/') || !std::filesystem::is_regular_file(path, ignored))
    return fail(ErrorKind::not_found, path + ": no such file");
  return metainfo::read_torrent(path);
}

json Manifests::add(const json& request) {
  const auto field = request.find("manifest");
  if (field == request.end() || !field->is_string())
    return refusal(bad_request("the request names no manifest"));
  const auto& path = field->get_ref<const std::string&>();
  const auto bytes = manifest_bytes(path);
  if (!bytes) return refusal(bytes.error());
  const auto manifest = read(path, *bytes);
  if (!manifest) return refusal(manifest.error());
  const auto added = bring(*manifest, {Origin::Kind::command, path});
  if (!added) return refusal(added.error());
  logger_->info("added {}{}", added->name, added->already ? ", which was there" : "");

  const auto there = torrents_.find(added->name);  // not where a link is still followed
  json reply = {{"name", added->name}, {"already", added->already}, {"waiting", !there}};
  reply["torrent"] = there ? json(there->metainfo->name) : json();
  reply["infohash"] = there                   ? json(hash_of(*there->metainfo))
                      : manifest->link.magnet ? json(manifest->key)
                                              : json();
  const std::lock_guard lock(mutex_);
  Result<> kept = kept_ ? kept_->add(manifest->key, *bytes) : Result<>();
  if (!kept) logger_->warn("{} will not survive a crash: {}", added->name, kept.error().message);
  return reply;
}

/// What was added by this manifest is not to come back with the next process.
void Manifests::forget_kept(const std::string& key, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Result<> kept = kept_ ? kept_->remove(key) : Result<>();
  if (!kept) logger_->warn("{} comes back after a crash: {}", name, kept.error().message);
}

json Manifests::remove(const json& request) {
  const auto name = request.find("name");
  if (name == request.end() || !name->is_string())
    return refusal(bad_request("the request names no torrent"));
  const auto flag = request.find("delete_data");
  if (flag != request.end() && !flag->is_boolean())
    return refusal(bad_request("delete_data is neither true nor false"));
  const bool delete_data = flag != request.end() && flag->get<bool>();
  const auto& wanted = name->get_ref<const std::string&>();
  json files = json::array();
  if (const auto waited = links_.remove(wanted)) {
    forget_kept(waited->key, wanted);
    for (const Origin& origin : waited->origins)
      if (origin.kind == Origin::Kind::folder) files.push_back(origin.path);
    return {{"name", wanted}, {"closed", true}, {"in_folder", std::move(files)}};
  }
  const auto torrent = torrents_.find(wanted);
  const auto origins = torrents_.origins(wanted);
  const auto removed = torrents_.remove(wanted, delete_data);
  if (!removed) return refusal(removed.error());
  if (torrent) {
    forget_kept(hash_of(*torrent->metainfo), wanted);
    // A link may be kept by another key than the torrent that it led to.
    for (const Origin& origin : origins)
      if (const auto bytes = manifest_bytes(origin.path); bytes && holds_link(*bytes))
        if (const auto link = parse_link(as_text(*bytes))) forget_kept(key_of(*link), wanted);
  }
  const bool closed = removed->wait_for(kCloseTime) == std::future_status::ready;
  if (closed && !removed->get()) {
    const Error& error = removed->get().error();
    return refusal({error.kind, "\"" + wanted + "\" was removed, but: " + error.message});
  }
  for (const Origin& origin : origins)
    if (origin.kind == Origin::Kind::folder) files.push_back(origin.path);
  return {{"name", wanted}, {"closed", closed}, {"in_folder", std::move(files)}};
}

static json origin_json(const Origin& origin) {
  return {{"kind", name_of(origin.kind)}, {"path", origin.path}};
}

static json torrent_json(const MountedTorrent& torrent, const std::vector<Origin>& origins) {
  const metainfo::Metainfo& m = *torrent.metainfo;
  json from = json::array();
  for (const Origin& origin : origins) from.push_back(origin_json(origin));
  std::uint64_t files = 0, here = 0;
  for (std::uint32_t i = 0; i < m.files.size(); ++i) {
    if (m.files[i].pad) continue;
    ++files;
    here += torrent.source->bytes_here(FileIndex(i));
  }
  const std::uint64_t size = m.layout.content_size();
  const auto state = torrent.source->state();
  const bool broken = state == TorrentSource::State::broken;
  const char* word = broken                                   ? "broken"
                     : state == TorrentSource::State::opening ? "opening"
                     : here == size                           ? "complete"
                                                              : "incomplete";
  json out = {
      {"name", torrent.name},   {"torrent", m.name},
      {"infohash", hash_of(m)}, {"format", format_name(m.format)},
      {"state", word},          {"error", broken ? json(torrent.source->error().message) : json()},
      {"size", size},           {"bytes_here", here},
      {"files", files},         {"origins", std::move(from)}};
  if (m.hashes.v2) out["infohash_v2"] = to_hex(*m.hashes.v2);
  return out;
}

/// A link that has not led to its torrent: what is not known is null or 0.
static json waiting_json(const Links::Waiting& waiting) {
  json from = json::array();
  for (const Origin& origin : waiting.origins) from.push_back(origin_json(origin));
  const bool has_hash = waiting.hashes.v1 || waiting.hashes.v2;
  json out = {{"name", waiting.name},
              {"torrent", json()},
              {"infohash", has_hash ? json(to_hex(waiting.hashes.primary())) : json()},
              {"format", json()},
              {"state", waiting.broken ? "broken" : "metadata"},
              {"error", waiting.broken ? json(waiting.broken->message) : json()},
              {"size", 0},
              {"bytes_here", 0},
              {"files", 0},
              {"origins", std::move(from)}};
  if (waiting.hashes.v2) out["infohash_v2"] = to_hex(*waiting.hashes.v2);
  return out;
}

json Manifests::list() {
  json torrents = json::array();
  for (const MountedTorrent& torrent : torrents_.list())
    torrents.push_back(torrent_json(torrent, torrents_.origins(torrent.name)));
  for (const Links::Waiting& waiting : links_.list()) torrents.push_back(waiting_json(waiting));
  json broken = json::array();
  for (const BrokenManifest& manifest : torrents_.broken())
    broken.push_back({{"manifest", manifest.origin.path},
                      {"kind", name_of(manifest.origin.kind)},
                      {"error", manifest.error.message}});
  return {{"version", 1}, {"torrents", std::move(torrents)}, {"broken", std::move(broken)}};
}

}  // namespace swarmfs::mount
