#include "mount/torrents.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "mount/torrent_spec.h"
#include "swarm/base/hex.h"
#include "swarm/base/now.h"

namespace swarmfs::mount {

namespace asio = boost::asio;
namespace stdfs = std::filesystem;
using namespace std::chrono_literals;

/// A cache may still be in use by a mount that is just ending, or by a torrent just removed: umount
/// and mount in a row must work. Who uses it longer than that keeps it.
static constexpr Duration kBusyTime = 4s;
static constexpr Duration kBusyPause = 50ms;

const char* name_of(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::argument:
      return "argument";
    case Origin::Kind::folder:
      return "folder";
    case Origin::Kind::command:
      return "command";
  }
  return "";
}

struct Torrents::Entry {
  MountedTorrent torrent;
  std::set<Origin> origins;  ///< guarded by the owner's mutex
  stdfs::path folder;        ///< of the cache
  std::vector<FileIndex> only;
  std::shared_ptr<net::MetadataDriver> fetched;  ///< guarded by the owner's mutex
  std::atomic<bool> delete_data{false};
  std::promise<Result<>> closing;
  Closed closed = closing.get_future().share();
};

static Error removed(const std::string& name) {
  return fail(ErrorKind::gone, "the torrent \"" + name + "\" has been removed from the mount");
}

/// For KeptOrders.
static std::string key_of(const MountedTorrent& torrent) {
  return to_hex(torrent.metainfo->hashes.primary());
}

static bool same(const InfoHashes& a, const InfoHashes& b) {
  return (a.v1 && a.v1 == b.v1) || (a.v2 && a.v2 == b.v2);
}

/// Deletes a torrent's folder in the cache, unless another process uses it.
static Result<> delete_folder(const stdfs::path& folder) {
  std::error_code error;
  if (!stdfs::exists(stdfs::symlink_status(folder, error))) return {};
  if (!stdfs::is_directory(stdfs::symlink_status(folder, error)))
    return fail(ErrorKind::exists, folder.string() + " is no folder; it was left alone");
  const auto lock = cache::posix_disk().lock(folder / "lock");
  if (!lock) return lock.error();
  stdfs::remove_all(folder, error);
  if (error) return Error::from_errno(error.value(), "cannot delete " + folder.string());
  return {};
}

Torrents::Torrents(TorrentsOptions options, SwarmNode& node, fs::Tree& tree,
                   std::shared_ptr<spdlog::logger> logger)
    : options_(std::move(options)), node_(node), tree_(tree), logger_(std::move(logger)) {}

Torrents::~Torrents() {
  stop();
  for (const EntryPtr& entry : entries_)
    entry->torrent.source->end(fail(ErrorKind::cancelled, "the mount has ended"));
  closers_.finish();
}

void Torrents::stop() {
  stopping_.request_stop();
  openers_.finish();
  tell({});
}

void Torrents::tell(Kernel kernel) {
  const std::unique_lock lock(kernel_mutex_);
  kernel_ = std::move(kernel);
}

// --- coming

Torrents::EntryPtr Torrents::same_content(const InfoHashes& hashes) const {
  for (const EntryPtr& entry : entries_)
    if (same(entry->torrent.metainfo->hashes, hashes)) return entry;
  return nullptr;
}

Torrents::EntryPtr Torrents::named(const std::string& name) const {
  for (const EntryPtr& entry : entries_)
    if (entry->torrent.name == name) return entry;
  return nullptr;
}

std::optional<Torrents::Added> Torrents::join(const InfoHashes& hashes, const Origin& origin) {
  const std::lock_guard lock(mutex_);
  const EntryPtr entry = same_content(hashes);
  if (!entry || entry->torrent.source->state() == TorrentSource::State::broken) return std::nullopt;
  entry->origins.insert(origin);
  broken_.erase(origin);
  return Added{entry->torrent.name, true};
}

void Torrents::remove_placeholder(const std::string& name) {
  if (tree_.remove_torrent(name)) forget_name(name);
}

void Torrents::forget_name(const std::string& name) {
  const std::shared_lock lock(kernel_mutex_);
  if (kernel_.forget_name) kernel_.forget_name(name);
}

std::shared_ptr<net::MetadataDriver> Torrents::take_fetched(const EntryPtr& entry) {
  const std::lock_guard lock(mutex_);
  return std::exchange(entry->fetched, nullptr);
}

/// The torrent has come to nothing: what brought its metadata ends as well.
void Torrents::let_fetched_go(const EntryPtr& entry) {
  if (auto fetched = take_fetched(entry)) node_.give_up(std::move(fetched));
}

Result<Torrents::Added> Torrents::add(std::shared_ptr<const metainfo::Metainfo> metainfo,
                                      const Origin& origin, Coming coming) {
  std::vector<EntryPtr> unwanted;
  EntryPtr entry;
  bool already = true;
  {
    const std::lock_guard lock(mutex_);
    entry = same_content(metainfo->hashes);
    std::set<Origin> origins;
    if (entry && entry->torrent.source->state() == TorrentSource::State::broken) {
      // Who brings it again wants it tried again.
      origins = entry->origins;
      unwanted.push_back(entry);
      take_out(entry);
      entry = nullptr;
    }
    if (!entry) {
      already = false;
      entry = std::make_shared<Entry>();
      // Nobody waits longer for a store than for the swarm.
      const auto expire_later = [this, weak = std::weak_ptr(entry)] {
        auto timer = std::make_shared<asio::steady_timer>(node_.io(), options_.read_timeout);
        timer->async_wait([this, weak, timer](const auto& error) {
          if (const auto late = weak.lock(); late && !error)
            late->torrent.source->expire(now() - options_.read_timeout);
        });
      };
      entry->torrent.metainfo = metainfo;
      entry->torrent.source = std::make_shared<TorrentSource>(metainfo, expire_later);
      entry->folder =
          cache::StoreOptions::for_cache(options_.cache_folder, metainfo->hashes, {}).state_folder;
      auto name = tree_.add_torrent(spec_of(*metainfo, entry->torrent.source), coming.placeholder);
      if (!name) return name.error();
      entry->only = std::move(coming.only);
      entry->fetched = std::exchange(coming.fetched, nullptr);
      entry->torrent.name = *name;
      entry->origins = std::move(origins);
      entries_.push_back(entry);
    }
    // Where the same manifest has another content now, that is what it wants.
    for (const EntryPtr& other : std::vector(entries_)) {
      if (other == entry || other->origins.erase(origin) == 0 || !other->origins.empty()) continue;
      unwanted.push_back(other);
      take_out(other);
    }
    entry->origins.insert(origin);
    broken_.erase(origin);
  }
  if (!coming.placeholder.empty()) {
    if (already) tree_.remove_torrent(coming.placeholder);
    forget_name(coming.placeholder);
  }
  if (coming.fetched) node_.give_up(std::move(coming.fetched));  // it was there already
  for (const EntryPtr& other : unwanted) leave(other);
  if (!already) open_again(entry, now() + kBusyTime);
  return Added{entry->torrent.name, already};
}

void Torrents::add_broken(const Origin& origin, const Error& error) {
  drop(origin);
  const std::lock_guard lock(mutex_);
  broken_[origin] = error;
}

/// Has a thread open it, now.
void Torrents::open_again(const EntryPtr& entry, TimePoint until) {
  openers_.post([this, entry, until] { open(entry, until); });
}

void Torrents::open(const EntryPtr& entry, TimePoint until) {
  if (stopping_.stop_requested()) return;
  if (entry->torrent.source->state() != TorrentSource::State::opening) return closed(entry);
  bool busy = false;
  {
    const std::lock_guard lock(mutex_);
    busy = closing_.contains(entry->folder);
  }
  Error error = fail(ErrorKind::busy, entry->folder.string() + " is still being closed");
  if (!busy) {
    const auto& metainfo = entry->torrent.metainfo;
    const auto roots = std::make_shared<metainfo::PieceRoots>(metainfo);
    auto place =
        cache::StoreOptions::for_cache(options_.cache_folder, metainfo->hashes, metainfo->layout);
    place.before_checks = load_layers(roots);
    place.cancel = stopping_.get_token();
    try {
      auto store = cache::Store::open(place, verifier(roots));
      if (store) {
        asio::post(node_.io(), [this, entry, roots, store = std::move(*store)]() mutable {
          opened(entry, std::move(roots), std::move(store));
        });
        return;
      }
      error = store.error();
    } catch (const std::exception& e) {
      error = fail(ErrorKind::io, e.what());
    }
  }
  if (error.kind != ErrorKind::busy || now() >= until) return broke(entry, error);
  auto timer = std::make_shared<asio::steady_timer>(node_.io(), kBusyPause);
  timer->async_wait([this, entry, until, timer](const auto& cancelled) {
    if (!cancelled && !stopping_.stop_requested()) open_again(entry, until);
  });
}

void Torrents::broke(const EntryPtr& entry, const Error& error) {
  if (stopping_.stop_requested()) return;
  let_fetched_go(entry);
  if (entry->torrent.source->end(error).was == TorrentSource::State::gone) closed(entry);
  const std::lock_guard lock(mutex_);
  if (log_broken_) logger_->warn("{}: {}", entry->torrent.name, error.message);
  changed_.notify_all();
}

/// On the loop's thread.
void Torrents::opened(const EntryPtr& entry, std::shared_ptr<metainfo::PieceRoots> roots,
                      std::unique_ptr<cache::Store> store) {
  TorrentSource& source = *entry->torrent.source;
  if (node_.stopping() || source.state() != TorrentSource::State::opening) {
    closers_.post([this, entry, unused = std::move(store)]() mutable {
      unused.reset();
      closed(entry);
    });
    return;
  }
  engine::TorrentConfig config;
  config.on_demand = options_.on_demand || !entry->only.empty();
  config.read_timeout = options_.read_timeout;
  config.first = pieces_likely_first(*entry->torrent.metainfo);
  const auto content = node_.add(
      std::move(roots), std::move(store), std::move(config),
      [this, entry](std::unique_ptr<TorrentContent> c) { close(entry, std::move(c)); },
      take_fetched(entry));
  if (const auto order =
          options_.orders ? options_.orders->of(key_of(entry->torrent)) : std::nullopt) {
    content->set_limits(order->limits);
    if (order->paused) content->pause();
  }
  for (const FileIndex file : entry->only)
    content->prefetch(file, 0, entry->torrent.metainfo->files[file.value].length);
  if (!source.open(content)) leave_swarm(entry, content);
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

Result<> Torrents::wait_opened(Duration enough, Duration at_most) {
  const TimePoint begun = now();
  std::unique_lock lock(mutex_);
  while (true) {
    std::size_t opening = 0, open = 0;
    const TorrentSource* first_broken = nullptr;
    for (const EntryPtr& entry : entries_) {
      const TorrentSource& source = *entry->torrent.source;
      const auto state = source.state();
      if (state == TorrentSource::State::opening) ++opening;
      if (state == TorrentSource::State::open) ++open;
      if (state == TorrentSource::State::broken && first_broken == nullptr) first_broken = &source;
    }
    if (opening == 0 && open == 0 && first_broken != nullptr) return first_broken->error();
    const TimePoint until = begun + (open > 0 ? std::min(enough, at_most) : at_most);
    if (opening == 0 || now() >= until) break;
    changed_.wait_until(lock, until);
  }
  log_broken_ = true;
  for (const EntryPtr& entry : entries_)
    if (entry->torrent.source->state() == TorrentSource::State::broken)
      logger_->warn("{}: {}", entry->torrent.name, entry->torrent.source->error().message);
  return {};
}

// --- going

Result<Torrents::Closed> Torrents::remove(const std::string& name, bool delete_data) {
  EntryPtr entry;
  {
    const std::lock_guard lock(mutex_);
    entry = named(name);
    if (!entry) {
      std::string there;
      for (const EntryPtr& other : entries_)
        there += (there.empty() ? "" : ", ") + ("\"" + other->torrent.name + "\"");
      return fail(ErrorKind::not_found,
                  "no torrent \"" + name + "\" is mounted there" +
                      (there.empty() ? std::string("; there is none") : "; there is " + there));
    }
    entry->delete_data = delete_data;
    take_out(entry);
  }
  leave(entry);
  return entry->closed;
}

void Torrents::drop(const Origin& origin) {
  EntryPtr unwanted;
  {
    const std::lock_guard lock(mutex_);
    broken_.erase(origin);
    for (const EntryPtr& entry : entries_)
      if (entry->origins.erase(origin) > 0 && entry->origins.empty()) unwanted = entry;
    if (unwanted) take_out(unwanted);
  }
  if (unwanted) leave(unwanted);
}

/// Under the mutex, so that its name is free for the next.
void Torrents::take_out(const EntryPtr& entry) {
  std::erase(entries_, entry);
  tree_.remove_torrent(entry->torrent.name);
  closing_.insert(entry->folder);
}

/// What is left to do for one that take_out() has taken out.
void Torrents::leave(const EntryPtr& entry) {
  const MountedTorrent& torrent = entry->torrent;
  auto ended = torrent.source->end(removed(torrent.name));
  let_fetched_go(entry);
  forget_name(torrent.name);
  logger_->info("removed {}", torrent.name);
  if (ended.content) {
    asio::post(node_.io(),
               [this, entry, content = std::move(ended.content)] { leave_swarm(entry, content); });
  } else if (ended.was == TorrentSource::State::broken) {
    closers_.post([this, entry] { closed(entry); });
  }  // else who opens it finds out, and closes it
}

/// On the loop's thread. The reads end here; what the kernel has of the files can go after that.
void Torrents::leave_swarm(const EntryPtr& entry, const std::shared_ptr<TorrentContent>& content) {
  node_.remove(content, removed(entry->torrent.name));
  closers_.post([this, entry] {
    const std::shared_lock lock(kernel_mutex_);
    if (kernel_.forget_pages) kernel_.forget_pages(*entry->torrent.source);
  });
}

/// Nobody uses the content any more.
void Torrents::close(const EntryPtr& entry, std::unique_ptr<TorrentContent> content) {
  closers_.post([this, entry, unused = std::move(content)]() mutable {
    unused->keep_layers();
    unused->detach();
    unused.reset();
    closed(entry);
  });
}

/// Its store is closed, or was never opened. On a thread that may wait for the disk.
void Torrents::closed(const EntryPtr& entry) {
  Result<> result;
  if (entry->delete_data) {
    result = delete_folder(entry->folder);
    if (!result) logger_->warn("{}: {}", entry->torrent.name, result.error().message);
  }
  if (options_.orders)
    if (const auto kept = options_.orders->forget(key_of(entry->torrent)); !kept)
      logger_->warn("{}: {}", entry->torrent.name, kept.error().message);
  {
    const std::lock_guard lock(mutex_);
    closing_.erase(entry->folder);
  }
  entry->closing.set_value(result);
}

// --- what is there

std::optional<MountedTorrent> Torrents::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const EntryPtr entry = named(name);
  return entry ? std::optional(entry->torrent) : std::nullopt;
}

std::vector<MountedTorrent> Torrents::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<MountedTorrent> out;
  out.reserve(entries_.size());
  for (const EntryPtr& entry : entries_) out.push_back(entry->torrent);
  return out;
}

std::vector<Origin> Torrents::origins(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const EntryPtr entry = named(name);
  if (!entry) return {};
  return {entry->origins.begin(), entry->origins.end()};
}

std::vector<BrokenManifest> Torrents::broken() const {
  const std::lock_guard lock(mutex_);
  std::vector<BrokenManifest> out;
  for (const auto& [origin, error] : broken_) out.push_back({origin, error});
  return out;
}

}  // namespace swarmfs::mount
