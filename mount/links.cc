#include "mount/links.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "mount/answer_by.h"
#include "mount/format.h"
#include "swarm/base/now.h"

namespace swarmfs::mount {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// How long the loop may take to say how they do.
static constexpr Duration kAnswerTime = 500ms;

struct Links::Entry {
  enum class State : std::uint8_t { waiting, turning, broken };
  std::string name;
  ManifestLink link;
  std::string key;
  TimePoint since;
  std::set<Origin> origins;
  State state = State::waiting;
  std::optional<Error> error;
  std::shared_ptr<LinkFetch> fetch;  ///< on the loop's thread only
};

Links::Links(std::filesystem::path cache, SwarmNode& node, Torrents& torrents, fs::Tree& tree,
             std::shared_ptr<spdlog::logger> logger)
    : cache_(std::move(cache)),
      node_(node),
      torrents_(torrents),
      tree_(tree),
      logger_(std::move(logger)) {}

void Links::stop() {
  std::vector<EntryPtr> entries;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    entries = entries_;
  }
  parsers_.finish();
  // What fetches lives no longer than the loop. Its session tells the trackers when it ends.
  asio::post(node_.io(), [entries = std::move(entries)] {
    for (const EntryPtr& entry : entries) entry->fetch.reset();
  });
}

static bool is_same(const ManifestLink& a, const ManifestLink& b) {
  if (a.url || b.url) return a.url == b.url;
  const InfoHashes &x = a.magnet->hashes, &y = b.magnet->hashes;
  return (x.v1 && x.v1 == y.v1) || (x.v2 && x.v2 == y.v2);
}

Result<Torrents::Added> Links::add(const ManifestLink& link, const Origin& origin) {
  if (link.magnet) {
    if (const auto there = torrents_.join(link.magnet->hashes, origin)) return *there;
    if (const auto kept = load_metadata(cache_, link.magnet->hashes))
      return mount(link, *kept, {origin}, {});
  }
  const auto entry = std::make_shared<Entry>();
  EntryPtr before;  // the same link, that led nowhere
  {
    const std::lock_guard lock(mutex_);
    for (const EntryPtr& other : entries_) {
      if (!is_same(other->link, link)) continue;
      other->origins.insert(origin);
      if (other->state != Entry::State::broken) return Torrents::Added{other->name, true};
      before = other;
    }
    fs::TorrentSpec spec;
    spec.name = name_of(link);
    spec.waiting = true;
    fs::FileSpec file;
    file.path = {fs::kWaitingFile};
    spec.files.push_back(std::move(file));
    auto name = tree_.add_torrent(std::move(spec), before ? before->name : std::string());
    if (!name) return name.error();
    entry->name = *name;
    entry->link = link;
    entry->key = key_of(link);
    entry->since = now();
    entry->origins = before ? before->origins : std::set<Origin>{origin};
    std::erase(entries_, before);
    entries_.push_back(entry);
  }
  if (before) torrents_.forget_name(before->name);
  begin(entry);
  return Torrents::Added{entry->name, false};
}

void Links::begin(const EntryPtr& entry) {
  asio::post(node_.io(), [this, entry] {
    if (node_.stopping()) return;
    {
      const std::lock_guard lock(mutex_);
      if (stopped_ || std::find(entries_.begin(), entries_.end(), entry) == entries_.end()) return;
    }
    entry->fetch = std::make_shared<LinkFetch>(
        node_, entry->link, LinkFetch::Options{}, [this, entry](Result<Bytes> bytes) {
          parsers_.post([this, entry, bytes = std::move(bytes)]() mutable {
            arrived(entry, std::move(bytes));
          });
        });
    entry->fetch->start();
  });
}

/// On the pool, since parsing may take its time and metadata is kept on the disk.
void Links::arrived(const EntryPtr& entry, Result<Bytes> bytes) {
  std::vector<Origin> origins;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || std::find(entries_.begin(), entries_.end(), entry) == entries_.end()) return;
    entry->state = Entry::State::turning;
    origins.assign(entry->origins.begin(), entry->origins.end());
  }
  Result<Torrents::Added> added = fail(ErrorKind::cancelled, "");
  if (bytes) {
    // The loop hands over what it has of it; who waits here holds no lock.
    std::promise<std::shared_ptr<net::MetadataDriver>> promise;
    auto taken = promise.get_future();
    asio::post(node_.io(), [entry, promise = std::move(promise)]() mutable {
      promise.set_value(entry->fetch ? entry->fetch->take_driver() : nullptr);
      entry->fetch.reset();
    });
    Torrents::Coming coming;
    coming.placeholder = entry->name;
    coming.fetched = taken.get();
    if (entry->link.magnet) {
      const auto saved = save_metadata(cache_, entry->link.magnet->hashes, *bytes);
      if (!saved) logger_->warn("metadata is not kept: {}", saved.error().message);
    }
    const auto fetched = coming.fetched;
    added = mount(entry->link, *bytes, origins, std::move(coming));
    if (!added && fetched) node_.give_up(fetched);
  } else {
    added = bytes.error();
  }
  const std::lock_guard lock(mutex_);
  if (added) {
    logger_->info("{} is {}", shown(entry->link), added->name);
    std::erase(entries_, entry);
  } else {
    logger_->warn("{}: {}", entry->name, added.error().message);
    entry->state = Entry::State::broken;
    entry->error = added.error();
  }
  changed_.notify_all();
}

Result<Torrents::Added> Links::mount(const ManifestLink& link, const Bytes& bytes,
                                     const std::vector<Origin>& origins, Torrents::Coming coming) {
  auto parsed = manifest_of(link, bytes);
  if (!parsed) return parsed.error();
  const auto metainfo = std::make_shared<const metainfo::Metainfo>(std::move(*parsed));
  coming.only = selected(link, *metainfo);
  Result<Torrents::Added> added = torrents_.add(metainfo, origins.front(), std::move(coming));
  for (std::size_t i = 1; added && i < origins.size(); ++i)
    torrents_.join(metainfo->hashes, origins[i]);
  return added;
}

/// For one that is not in the set any more.
void Links::take_away(const EntryPtr& entry) {
  torrents_.remove_placeholder(entry->name);
  logger_->info("removed {}", entry->name);
  asio::post(node_.io(), [entry] {
    if (entry->fetch) std::exchange(entry->fetch, nullptr)->give_up();
  });
}

std::optional<Links::Removed> Links::remove(const std::string& name) {
  EntryPtr entry;
  {
    std::unique_lock lock(mutex_);
    const auto named = [&] {
      const auto it = std::find_if(entries_.begin(), entries_.end(),
                                   [&](const EntryPtr& e) { return e->name == name; });
      entry = it == entries_.end() ? nullptr : *it;
    };
    for (named(); entry && entry->state == Entry::State::turning; named()) changed_.wait(lock);
    if (!entry) return std::nullopt;
    std::erase(entries_, entry);
  }
  take_away(entry);
  return Removed{entry->key, {entry->origins.begin(), entry->origins.end()}};
}

void Links::drop(const Origin& origin) {
  EntryPtr unwanted;
  {
    std::unique_lock lock(mutex_);
    const auto turning = [&] {
      return std::any_of(entries_.begin(), entries_.end(), [&](const EntryPtr& e) {
        return e->state == Entry::State::turning && e->origins.contains(origin);
      });
    };
    while (turning()) changed_.wait(lock);
    for (const EntryPtr& entry : entries_)
      if (entry->origins.erase(origin) > 0 && entry->origins.empty()) unwanted = entry;
    if (unwanted) std::erase(entries_, unwanted);
  }
  if (unwanted) take_away(unwanted);
}

std::vector<Links::Waiting> Links::list() const {
  std::vector<Waiting> out;
  std::vector<EntryPtr> entries;
  {
    const std::lock_guard lock(mutex_);
    for (const EntryPtr& entry : entries_) {
      Waiting waiting;
      waiting.name = entry->name;
      waiting.text = shown(entry->link);
      if (entry->link.magnet) waiting.hashes = entry->link.magnet->hashes;
      waiting.origins.assign(entry->origins.begin(), entry->origins.end());
      waiting.seconds = to_seconds(now() - entry->since);
      waiting.broken = entry->error;
      out.push_back(std::move(waiting));
    }
    entries = entries_;
  }
  if (out.empty()) return out;
  using All = std::vector<LinkFetch::Progress>;
  auto promise = std::make_shared<std::promise<All>>();
  auto answer = promise->get_future();
  asio::post(node_.io(), [entries = std::move(entries), promise] {
    All all;
    for (const EntryPtr& entry : entries)
      all.push_back(entry->fetch ? entry->fetch->progress() : LinkFetch::Progress{});
    promise->set_value(std::move(all));
  });
  const auto all = answer_by(now() + kAnswerTime, answer);
  for (std::size_t i = 0; all && i < out.size(); ++i) out[i].progress = (*all)[i];
  return out;
}

std::string Links::text_of(const std::string& name) const {
  for (const Waiting& w : list()) {
    if (w.name != name) continue;
    std::string text = "This folder stands for a torrent that is known by its link alone:\n\n  " +
                       printable(w.text) + "\n\n";
    if (w.broken) return text + "It leads to no torrent: " + printable(w.broken->message) + "\n";
    text += "Its files appear as soon as its metadata is here, which is waited for since " +
            human_duration(w.seconds) + ".\n\n";
    if (!w.progress) return text + "The program is too busy to say more.\n";
    const auto& swarm = w.progress->swarm;
    text += "addresses known: " + std::to_string(swarm.known) +
            "\npeers connected: " + std::to_string(swarm.peers) + ", of which " +
            std::to_string(swarm.offering) + " have the metadata\n";
    if (swarm.size > 0)
      text += "metadata here:   " + human_size(swarm.here) + " of " + human_size(swarm.size) + "\n";
    for (const std::string& line : w.progress->lines) text += printable(line) + "\n";
    return text;
  }
  return "The metadata is here.\n";
}

bool Links::pending() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const EntryPtr& e) { return e->state != Entry::State::broken; });
}

}  // namespace swarmfs::mount
