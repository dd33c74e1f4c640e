// swarmfs seed: checks local content against its manifest and serves it.
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
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

struct SeedOptions {
  std::string manifest;
  std::string path;
  NetworkOptions network;
  bool json = false;
  unsigned timeout_s = 60;
};

/// A read-only store over the content at `base`, every piece of which has just been hashed.
Result<std::unique_ptr<cache::Store>> open_checked(
    const std::shared_ptr<metainfo::PieceRoots>& roots, const std::filesystem::path& base,
    bool quiet) {
  const auto& metainfo = roots->metainfo();
  ProgressLine line("checking", !quiet);
  auto checked = metainfo::check_pieces(
      *roots, base, [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
  line.clear();
  if (!checked) return checked.error();
  if (const auto bad = checked->bad_pieces(); bad > 0) {
    const std::string why = checked->problems.empty() ? "its bytes differ from the manifest"
                                                      : checked->problems.front().error.message;
    return fail(ErrorKind::mismatch, base.string() + ": " + std::to_string(bad) + " of " +
                                         std::to_string(metainfo->layout.piece_count()) +
                                         " pieces are bad (" + why +
                                         "); see swarmfs verify, or fetch them with swarmfs get");
  }
  cache::StoreOptions options;
  options.layout = metainfo->layout;
  const std::filesystem::path whole = std::filesystem::absolute(base);
  options.place.root = whole.parent_path();
  options.place.files = metainfo::content_paths(*metainfo, whole.filename());
  options.place.read_only = true;
  options.background_flush = false;
  auto store = cache::Store::open(std::move(options), verifier(roots));
  if (store) (*store)->mark_present(checked->good);
  return store;
}

int run_seed(const Context& context, const SeedOptions& options) {
  auto loaded = load_manifest(options.manifest, std::chrono::seconds(options.timeout_s),
                              options.network.route, context.make_logger());
  if (!loaded) return report(loaded.error());
  const auto metainfo = std::make_shared<const metainfo::Metainfo>(std::move(*loaded));
  const auto base = metainfo::find_content(*metainfo, options.path);
  if (!base) return report(base.error());
  const auto roots = std::make_shared<metainfo::PieceRoots>(metainfo);
  auto store = open_checked(roots, *base, context.verbosity < 0);
  if (!store) return report(store.error());

  auto node = SwarmNode::create(options.network, context.make_logger());
  if (!node) return report(node.error());
  (*node)->reload_filter_on_hangup();
  boost::asio::signal_set signals((*node)->io(), SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code&, int) { (*node)->stop(); });
  (*node)->add(roots, std::move(*store), {});
  if (options.json) {
    const nlohmann::json ready = {{"name", metainfo->name}, {"port", (*node)->port()}};
    std::printf("%s\n",
                ready.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::printf("seeding %s on port %u\n", printable(metainfo->name).c_str(),
                unsigned{(*node)->port()});
  }
  std::fflush(stdout);
  (*node)->run();
  return kOk;
}

}  // namespace

void add_seed(Command app, Context& context) {
  auto options = std::make_shared<SeedOptions>();
  const Command command = app.add("seed", "Check local content and serve it until stopped");
  command.option("manifest", options->manifest, kManifestHelp).required();
  add_metadata_timeout(command, options->timeout_s);
  command.option("path", options->path, "The file or folder, or the folder it is in").required();
  add_network_options(command, options->network);
  command.flag("--json", options->json, "Say when it is ready as JSON");
  command.callback([&context, options] {
    context.run = [&context, options] { return run_seed(context, *options); };
  });
}

}  // namespace swarmfs::mount
