#include "mount/swarm_node.h"

#include <utility>

#include "swarm/metainfo/verify_piece.h"

namespace swarmfs::mount {

VerifyPiece verifier(std::shared_ptr<const metainfo::PieceRoots> roots) {
  return [roots = std::move(roots)](PieceIndex piece, std::span<const ByteView> bytes) {
    return metainfo::verify_piece(*roots, piece, bytes) == metainfo::PieceCheck::good;
  };
}

SwarmNode::SwarmNode(std::vector<Endpoint> listen, std::vector<Endpoint> peers,
                     std::shared_ptr<spdlog::logger> logger)
    : logger_(std::move(logger)),
      peers_(std::move(peers)),
      session_(
          std::make_unique<net::Session>(io_, net::SessionConfig{std::move(listen)}, logger_)) {}

Result<std::unique_ptr<SwarmNode>> SwarmNode::create(const NetworkOptions& options,
                                                     std::shared_ptr<spdlog::logger> logger) {
  auto listen = listen_addresses(options.listen);
  if (!listen) return listen.error();
  auto peers = peer_addresses(options.peers);
  if (!peers) return peers.error();
  std::unique_ptr<SwarmNode> node(
      new SwarmNode(std::move(*listen), std::move(*peers), std::move(logger)));
  if (auto listening = node->session_->listen(); !listening) return listening.error();
  return node;
}

SwarmNode::~SwarmNode() {
  checker_.stop();
  session_.reset();  // ends its drivers and its pool before the contents they use
  // Others may hold the contents, but what they hold must not reach into the loop.
  for (const auto& content : contents_) {
    content->keep_layers();
    content->detach();
  }
}

std::shared_ptr<TorrentContent> SwarmNode::add(std::shared_ptr<metainfo::PieceRoots> roots,
                                               std::unique_ptr<cache::Store> store,
                                               engine::TorrentConfig config) {
  auto content = std::make_shared<TorrentContent>(roots, std::move(store), kBlockMemory);
  net::TorrentSetup setup;
  setup.roots = std::move(roots);
  setup.store = &content->store();
  setup.keep = content.get();
  setup.config = std::move(config);
  setup.config.client_name = "swarmfs " SWARMFS_VERSION;
  setup.peers = peers_;
  setup.keep_layers = [raw = content.get()] { raw->keep_layers(); };
  contents_.push_back(content);
  content->set_checker(checker_);
  content->attach(session_->add(std::move(setup)));
  return content;
}

void SwarmNode::stop() {
  if (std::exchange(stopping_, true)) return;
  session_->stop([this] { io_.stop(); });
}

void SwarmNode::run() { io_.run(); }

}  // namespace swarmfs::mount
