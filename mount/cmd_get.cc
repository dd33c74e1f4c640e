// swarmfs get: plain download into a folder.
#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/format.h"
#include "mount/link_fetch.h"
#include "mount/progress.h"
#include "mount/swarm_node.h"
#include "swarm/metainfo/check.h"
#include "swarm/metainfo/content_path.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;
namespace stdfs = std::filesystem;

struct GetOptions {
  std::string manifest;
  std::string folder;
  NetworkOptions network;
  bool seed = false;
  bool json = false;
  unsigned timeout_s = 300;
};

/// A store over the tree below the folder; what lies there already is hashed and kept.
Result<std::unique_ptr<cache::Store>> open_tree(const std::shared_ptr<metainfo::PieceRoots>& roots,
                                                const stdfs::path& folder, bool quiet) {
  const auto& metainfo = roots->metainfo();
  const stdfs::path base = folder / metainfo->name;
  cache::StoreOptions options;
  options.layout = metainfo->layout;
  options.place.root = folder;
  options.place.files = metainfo::content_paths(*metainfo, metainfo->name);
  for (std::size_t i = 0; i < metainfo->files.size(); ++i)
    if (!metainfo->files[i].symlink.empty()) options.place.files[i].clear();  // see make_links
  std::error_code ignored;
  const bool resumes = stdfs::exists(base, ignored);
  std::vector<bool> here(metainfo->layout.piece_count());
  if (resumes) {
    ProgressLine line("checking", !quiet);
    auto checked = metainfo::check_pieces(
        *roots, base, [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
    if (!checked) return checked.error();
    here = checked->good;
  }
  // The user asked for all of it: no reserve is kept, but what cannot fit is said at once.
  options.reserve_share = 0;
  options.reserve_bytes = 0;
  std::uint64_t missing = 0;
  for (std::uint32_t i = 0; i < here.size(); ++i)
    if (!here[i]) missing += metainfo->layout.piece_size(PieceIndex(i));
  const auto space = stdfs::space(folder, ignored);
  if (!ignored && space.available < missing)
    return fail(ErrorKind::no_space, folder.string() + ": " + human_size(missing) +
                                         " are missing and " + human_size(space.available) +
                                         " are free; make space, or mount it with --on-demand");
  auto store = cache::Store::open(std::move(options), verifier(roots));
  if (store) (*store)->mark_present(here);
  return store;
}

/// Symbolic links are in no piece: they are made at the end, as the manifest says. What is in the
/// place of one is the user's, and stays.
Result<> make_links(const metainfo::Metainfo& metainfo, const stdfs::path& base) {
  const auto paths = metainfo::content_paths(metainfo, base);
  for (std::size_t i = 0; i < metainfo.files.size(); ++i) {
    const metainfo::File& file = metainfo.files[i];
    std::error_code ec;
    if (!file.symlink.empty()) {
      const std::string target = metainfo::link_text(file);
      if (stdfs::read_symlink(paths[i], ec) == target) continue;
      stdfs::create_directories(paths[i].parent_path(), ec);
      stdfs::create_symlink(target, paths[i], ec);
      if (ec == std::errc::file_exists)
        return fail(ErrorKind::exists, paths[i].string() + " is in the way of a symbolic link to " +
                                           target + ": move it and run it again");
      if (ec) return Error::from_errno(ec.value(), paths[i].string());
    } else if (file.executable && !file.pad) {
      stdfs::permissions(
          paths[i], stdfs::perms::owner_exec | stdfs::perms::group_exec | stdfs::perms::others_exec,
          stdfs::perm_options::add, ec);
    }
  }
  return {};
}

/// Watches a download from the loop: progress line, completion, and giving up.
class Watch {
 public:
  Watch(SwarmNode& node, std::shared_ptr<TorrentContent> content, const GetOptions& options,
        bool quiet)
      : node_(node),
        content_(std::move(content)),
        options_(options),
        timer_(node.io()),
        line_("getting", !quiet && !options.json) {}

  void start() {
    content_->driver().on_complete([this] { completed(); });
    tick();
  }
  bool complete() const { return complete_; }
  bool gave_up() const { return gave_up_; }
  const Error& error() const { return error_; }

 private:
  void tick() {
    const auto& torrent = content_->driver().torrent();
    const auto now = std::chrono::steady_clock::now();
    const auto stats = torrent.stats(now);
    const std::uint64_t total = content_->metainfo().layout.total_size();
    line_.update(total - torrent.left(), total,
                 std::to_string(stats.peers) + (stats.peers == 1 ? " peer" : " peers") +
                     (stats.web_seeds == 0 ? "" : " and the web"));
    if (stats.downloaded != last_downloaded_ || torrent.complete()) {
      last_downloaded_ = stats.downloaded;
      progress_at_ = now;
    } else if (options_.timeout_s > 0 &&
               now - progress_at_ > std::chrono::seconds(options_.timeout_s)) {
      return give_up(fail(ErrorKind::timed_out, why_nothing_came(stats)));
    }
    if (stats.contradicted)
      return give_up(fail(ErrorKind::mismatch,
                          "the torrent contradicts itself, so nothing more of it can be verified; "
                          "get another manifest"));
    if (stats.disk_full) return fail_disk();
    timer_.expires_after(200ms);
    timer_.async_wait([this](const boost::system::error_code& ec) {
      if (!ec) tick();
    });
  }

  std::string why_nothing_came(const engine::TorrentStats& stats) const {
    const std::string seconds = std::to_string(options_.timeout_s) + " s";
    if (stats.peers + stats.web_seeds == 0)
      return "found no peer in " + seconds + "; check the tracker, or name a peer with --peer";
    if (stats.layers_missing > 0 && stats.downloaded == 0)
      return "no peer gave the piece layers that this torrent lacks in " + seconds;
    return "nothing arrived for " + seconds;
  }

  void completed() {
    // The last piece is verified, but its write may still be under way.
    content_->driver().when_stored([this] {
      // Verified is not stored: a disk that took no more leaves pieces in memory only.
      const auto stored = content_->store().pieces();
      if (!std::all_of(stored.begin(), stored.end(), [](bool piece) { return piece; }))
        return fail_disk();
      line_.clear();
      const auto links = make_links(content_->metainfo(),
                                    stdfs::path(options_.folder) / content_->metainfo().name);
      if (!links) return give_up(links.error());
      complete_ = true;
      if (options_.json) {
        const nlohmann::json done = {{"name", content_->metainfo().name}, {"complete", true}};
        std::printf("%s\n",
                    done.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      } else {
        std::printf("complete: %s\n", printable(content_->metainfo().name).c_str());
      }
      std::fflush(stdout);
      if (!options_.seed) node_.stop();
    });
  }

  void fail_disk() {
    give_up(fail(ErrorKind::no_space, "the disk took no more; free some room and run it again"));
  }

  void give_up(Error why) {
    gave_up_ = true;
    error_ = std::move(why);
    line_.clear();
    node_.stop();
  }

  SwarmNode& node_;
  std::shared_ptr<TorrentContent> content_;
  const GetOptions& options_;
  boost::asio::steady_timer timer_;
  ProgressLine line_;
  std::uint64_t last_downloaded_ = 0;
  TimePoint progress_at_ = std::chrono::steady_clock::now();
  bool complete_ = false;
  bool gave_up_ = false;
  Error error_;
};

int run_get(const Context& context, const GetOptions& options) {
  std::unique_ptr<SwarmNode> node;
  std::optional<boost::asio::signal_set> signals;
  bool interrupted = false;
  const auto join = [&]() -> Result<> {
    auto created = SwarmNode::create(options.network, context.make_logger());
    if (!created) return created.error();
    node = std::move(*created);
    node->reload_filter_on_hangup();
    signals.emplace(node->io(), SIGINT, SIGTERM);
    signals->async_wait([&](const boost::system::error_code& cancelled, int) {
      if (cancelled) return;
      interrupted = true;
      node->stop();
    });
    return {};
  };
  std::shared_ptr<net::MetadataDriver> fetched;
  const auto load = [&]() -> Result<metainfo::Metainfo> {
    if (!is_link(options.manifest)) return metainfo::load(options.manifest);
    const auto link = parse_link(options.manifest);
    if (!link) return link.error();
    if (auto joined = join(); !joined) return joined.error();
    return follow(*node, *link, std::chrono::seconds(options.timeout_s), fetched);
  };
  auto loaded = load();
  if (!loaded) return interrupted ? kFailed : report(loaded.error());
  const auto metainfo = std::make_shared<const metainfo::Metainfo>(std::move(*loaded));
  const stdfs::path folder(options.folder);
  std::error_code ec;
  stdfs::create_directories(folder, ec);
  if (ec) return report(Error::from_errno(ec.value(), folder.string()));
  const auto roots = std::make_shared<metainfo::PieceRoots>(metainfo);
  auto store = open_tree(roots, folder, context.verbosity < 0);
  if (!store) return report(store.error());
  if (!node)
    if (auto joined = join(); !joined) return report(joined.error());
  const auto content = node->add(roots, std::move(*store), {}, {}, std::move(fetched));
  Watch watch(*node, content, options, context.verbosity < 0);
  watch.start();
  node->run();
  if (watch.gave_up()) return report(watch.error());
  if (auto flushed = content->store().flush(); !flushed) return report(flushed.error());
  return watch.complete() || !interrupted ? kOk : kFailed;
}

}  // namespace

void add_get(Command app, Context& context) {
  auto options = std::make_shared<GetOptions>();
  const Command command = app.add("get", "Download the content into a folder");
  command.option("manifest", options->manifest, kManifestHelp).required();
  command.option("-o,--output", options->folder, "The folder to put it in")
      .required()
      .type_name("DIR");
  add_network_options(command, options->network);
  command.flag("--seed", options->seed, "Serve it afterwards, until stopped");
  command
      .option("--timeout", options->timeout_s,
              "Give up when nothing arrived for so many seconds; 0: never")
      .shown_default();
  command.flag("--json", options->json, "Say when it is complete as JSON");
  command.callback([&context, options] {
    context.run = [&context, options] { return run_get(context, *options); };
  });
}

}  // namespace swarmfs::mount
