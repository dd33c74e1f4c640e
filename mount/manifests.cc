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

Manifests::Manifests(Torrents& torrents, std::optional<KeptManifests> kept,
                     std::shared_ptr<spdlog::logger> logger)
    : torrents_(torrents), logger_(std::move(logger)), kept_(std::move(kept)) {}

Result<> Manifests::begin(const ManifestPaths& paths) {
  for (const auto& [path, bytes] : paths.files) {
    auto loaded = metainfo::parse_torrent(path, bytes);
    if (!loaded) return loaded.error();
    if (kept_ && kept_->removed().contains(hash_of(*loaded))) continue;
    const auto added = torrents_.add(std::make_shared<const metainfo::Metainfo>(std::move(*loaded)),
                                     {Origin::Kind::argument, path});
    if (!added) return added.error();
    if (added->already) logger_->warn("{} is mounted already, as {}", path, added->name);
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
    auto loaded = metainfo::load(path);
    if (!loaded) {
      logger_->warn("what was added before is lost: {}", loaded.error().message);
      continue;
    }
    const auto added = torrents_.add(std::make_shared<const metainfo::Metainfo>(std::move(*loaded)),
                                     {Origin::Kind::command, path.string()});
    if (!added) logger_->warn("{}", added.error().message);
  }
}

Result<> Manifests::watch(const std::string& folder) {
  FolderEvents events;
  events.there = [this](const std::string& path) { folder_has(path); };
  events.gone = [this](const std::string& path) {
    logger_->info("{} is gone", path);
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
  auto loaded = metainfo::load(path);
  if (!loaded) {
    logger_->warn("{}", loaded.error().message);
    torrents_.add_broken(origin, loaded.error());
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    const std::string hash = hash_of(*loaded);
    if (kept_ && kept_->removed().contains(hash)) {
      // It was removed while its file stayed. A file that comes now is wanted again.
      if (!begun_) return;
      kept_->forget_removal(hash);
    }
  }
  const auto added =
      torrents_.add(std::make_shared<const metainfo::Metainfo>(std::move(*loaded)), origin);
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

json Manifests::add(const json& request) {
  const auto field = request.find("manifest");
  if (field == request.end() || !field->is_string())
    return refusal(bad_request("the request names no manifest"));
  const auto& path = field->get_ref<const std::string&>();
  std::error_code ignored;
  if (!path.starts_with('/') || !std::filesystem::is_regular_file(path, ignored))
    return refusal(fail(ErrorKind::not_found, path + ": no such file"));
  const auto bytes = metainfo::read_torrent(path);
  if (!bytes) return refusal(bytes.error());
  auto parsed = metainfo::parse(*bytes);
  if (!parsed) return refusal({parsed.error().kind, path + ": " + parsed.error().message});
  const auto metainfo = std::make_shared<const metainfo::Metainfo>(std::move(*parsed));
  const auto added = torrents_.add(metainfo, {Origin::Kind::command, path});
  if (!added) return refusal({added.error().kind, path + ": " + added.error().message});
  logger_->info("added {}{}", added->name, added->already ? ", which was there" : "");

  const std::lock_guard lock(mutex_);
  Result<> kept = kept_ ? kept_->add(hash_of(*metainfo), *bytes) : Result<>();
  if (!kept) logger_->warn("{} will not survive a crash: {}", added->name, kept.error().message);
  return {{"name", added->name},
          {"already", added->already},
          {"torrent", metainfo->name},
          {"infohash", hash_of(*metainfo)}};
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
  const auto torrent = torrents_.find(wanted);
  const auto origins = torrents_.origins(wanted);
  const auto removed = torrents_.remove(wanted, delete_data);
  if (!removed) return refusal(removed.error());
  if (torrent) {
    const std::lock_guard lock(mutex_);
    Result<> kept = kept_ ? kept_->remove(hash_of(*torrent->metainfo)) : Result<>();
    if (!kept) logger_->warn("{} comes back after a crash: {}", wanted, kept.error().message);
  }
  const bool closed = removed->wait_for(kCloseTime) == std::future_status::ready;
  if (closed && !removed->get()) {
    const Error& error = removed->get().error();
    return refusal({error.kind, "\"" + wanted + "\" was removed, but: " + error.message});
  }
  json files = json::array();
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

json Manifests::list() {
  json torrents = json::array();
  for (const MountedTorrent& torrent : torrents_.list())
    torrents.push_back(torrent_json(torrent, torrents_.origins(torrent.name)));
  json broken = json::array();
  for (const BrokenManifest& manifest : torrents_.broken())
    broken.push_back({{"manifest", manifest.origin.path},
                      {"kind", name_of(manifest.origin.kind)},
                      {"error", manifest.error.message}});
  return {{"version", 1}, {"torrents", std::move(torrents)}, {"broken", std::move(broken)}};
}

}  // namespace swarmfs::mount
