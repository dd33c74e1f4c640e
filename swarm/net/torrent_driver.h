// Carries out what one torrent's engine decides: connections, hashing, disk and answers to reads.
#pragma once

#include <spdlog/logger.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "swarm/base/content_source.h"
#include "swarm/base/piece_store.h"
#include "swarm/engine/network_changes.h"
#include "swarm/engine/torrent.h"
#include "swarm/metainfo/piece_roots.h"
#include "swarm/net/block_keep.h"
#include "swarm/net/peer_connection.h"
#include "swarm/net/peer_dialer.h"

namespace swarmfs::net {

class MetadataDriver;

/// What a torrent runs on. `store` and `keep` outlive the driver, or until it is stopped and
/// `owner` is let go.
struct TorrentSetup {
  std::shared_ptr<metainfo::PieceRoots> roots;
  PieceStore* store = nullptr;
  BlockKeep* keep = nullptr;
  /// Of store and keep; may be null. Let go once the driver is stopped and none of its work is on a
  /// pool any more.
  std::shared_ptr<void> owner;
  engine::TorrentConfig config;
  std::vector<Endpoint> peers;         ///< given by the user
  std::vector<std::string> web_seeds;  ///< likewise, beside the manifest's own
  bool manifest_web_seeds = true;      ///< whether those are used
  /// What brought the metadata: its connections and addresses become the torrent's, and its search
  /// for peers goes on for it. May be null.
  std::shared_ptr<MetadataDriver> fetched;
  /// Keeps the piece layers learnt so far for a later run. On the pool for the disk, which it may
  /// wait for, and one call at a time. May be empty.
  std::function<void()> keep_layers;
};

/// Lives on the io_context's thread; the methods marked thread-safe may be called from anywhere.
/// Owned by shared_ptr: work on the pool holds a weak reference and finds out if it is gone.
class TorrentDriver final : public engine::TorrentHost,
                            public std::enable_shared_from_this<TorrentDriver> {
 public:
  /// Bytes of verified pieces not on disk yet, above which no more are received.
  static constexpr std::uint64_t kMaxUnwritten = 32 << 20;

  /// Hashing runs on `pool`, writing on `disk`: a disk that hangs must not stop verification.
  TorrentDriver(boost::asio::io_context& io, boost::asio::thread_pool& pool,
                boost::asio::thread_pool& disk, boost::asio::thread_pool& readers,
                PeerDialer& dialer, TorrentSetup setup, std::shared_ptr<spdlog::logger> logger);
  ~TorrentDriver() override;
  void start();
  /// Closes all connections and ends waiting reads with `why`; nothing is called back afterwards.
  void stop(const Error& why = {ErrorKind::cancelled, "the filesystem is shutting down"});

  const metainfo::Metainfo& metainfo() const { return *setup_.roots->metainfo(); }
  const engine::Torrent& torrent() const { return *torrent_; }
  bool wants(const Sha1Hash& hash) const { return torrent_->is_our_hash(hash); }
  /// A connection that came in, and the handshake it began with.
  void accept(std::unique_ptr<PeerStream> stream, const Endpoint& from,
              const wire::Handshake& theirs);
  /// A connection that began before the torrent was known; closed if it is refused.
  void adopt(const std::shared_ptr<PeerConnection>& connection, const engine::AdoptedPeer& known);
  /// A web seed that is connected, and the handshake it comes with.
  void add_web_seed(std::unique_ptr<PeerStream> stream, const Endpoint& server,
                    const wire::Handshake& theirs, Duration rtt);
  void add_candidates(const std::vector<Endpoint>& endpoints, engine::PeerSource source);

  /// A private torrent has another tracker now (BEP 27): see engine::Torrent.
  void leave_swarm();
  /// Connections of addresses that this machine has no more are closed, and if it has got one,
  /// those who could not be reached are dialled again.
  void network_changed(const engine::NetworkChange& change);

  /// Called on the io thread when the last piece is verified, or at once if it is already.
  void on_complete(std::function<void()> callback);
  /// Called on the io thread once no verified piece waits for the disk any more.
  void when_stored(std::function<void()> callback);
  /// Called once on the io thread when the engine has stopped for good, because the manifest
  /// contradicts itself.
  void on_contradiction(std::function<void()> callback) {
    contradiction_callback_ = std::move(callback);
  }
  /// Called when the engine would like more addresses.
  void on_need_peers(std::function<void()> callback) { need_peers_callback_ = std::move(callback); }
  /// Called with each node of the hash table that a peer has named.
  void on_dht_node(std::function<void(const Endpoint&)> callback) {
    dht_node_callback_ = std::move(callback);
  }
  /// Called on the io thread when the torrent is paused (true) or goes on (false).
  void on_pause(std::function<void(bool)> callback) { pause_callback_ = std::move(callback); }
  /// Asked on the io thread for what the torrent's trackers said last, a line each.
  void set_tracker_words(std::function<std::vector<std::string>()> words) {
    tracker_words_ = std::move(words);
  }

  // --- thread-safe
  /// Comes on the io thread when the spans of a parked read can be read from keep and store, or
  /// with why not; and with what it waited for.
  using ReadAnswer = std::function<void(Result<>, const engine::WaitTrace&)>;
  /// Until then `part` (may be empty) comes on the io thread whenever more of the read's start can
  /// be read.
  ReadId park_read(engine::ReadOwner owner, std::vector<Layout::Span> spans, ReadAnswer answer,
                   ReadPart part = {});
  void cancel_read(ReadId read);
  void set_window(HandleId handle, const engine::Ahead& ahead);
  void close_handle(HandleId handle);
  /// On the io thread, as that of engine::Torrent.
  void set_filter(engine::AddressFilterPtr filter);
  // Orders of the user: see engine::Torrent.
  void pause();
  void resume();
  void set_limits(const engine::RateLimits& limits);
  void set_max_connections(unsigned most);
  void shed(unsigned most);
  /// What all torrents may do together has changed.
  void limits_changed();
  /// What peers are told; see engine::Torrent::set_ports().
  void tell_ports(std::uint16_t listen, std::uint16_t dht);
  void set_pinned(std::vector<Layout::PieceRange> ranges);
  void prefetch(std::vector<Layout::PieceRange> ranges);
  /// Runs work that waits for the local disk on a thread that neither hashing nor writing needs.
  void wait_for_disk(std::function<void()> work);
  /// Connections, also those whose handshake is still to come.
  std::uint32_t connection_count() const { return connection_count_; }
  /// `answer` runs on the io thread.
  void query(std::function<void(const engine::TorrentStats&)> answer);
  /// Every connected peer. `answer` runs on the io thread.
  void list_peers(std::function<void(std::vector<engine::PeerView>)> answer);
  struct Explanation {
    engine::TorrentView torrent;
    std::vector<std::string> trackers;  ///< a line each: what it said last
  };
  /// What these parked reads wait for. `answer` runs on the io thread.
  void explain(std::vector<ReadId> reads, std::function<void(Explanation)> answer);

  // --- TorrentHost
  void send(PeerId peer, Bytes bytes, SendOrder order) override;
  void send_block(PeerId peer, const wire::BlockRef& block) override;
  void disconnect(PeerId peer, std::string_view reason) override;
  void distrust(PeerId peer) override;
  std::optional<PathRtt> path_rtt(PeerId peer) override;
  PeerLink link(PeerId peer) const override;
  void dial(const Endpoint& endpoint) override;
  void hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override;
  void keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) override;
  void keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override;
  void forget_piece(PieceIndex piece) override;
  void load_leaves(PieceIndex piece) override;
  void layer_learnt() override;
  void dht_node(const Endpoint& node) override {
    if (dht_node_callback_) dht_node_callback_(node);
  }
  void read_ended(ReadId read, const engine::WaitTrace& trace) override;
  void read_grew(ReadId read, std::uint32_t bytes) override;
  void read_ready(ReadId read) override;
  void read_failed(ReadId read, Error error) override;
  void need_peers() override;
  void log(int level, std::string_view line) override;

 private:
  template <class Event>
  void engine_event(Event&& event);
  /// Posts `order(torrent, now)` to the loop.
  template <class Order>
  void post_order(Order order);
  /// Runs `work` on a pool and `then(result)` back on the io thread.
  template <class Work, class Then>
  void on_pool(boost::asio::thread_pool& pool, Work work, Then then);
  void arm_timer();
  PeerConnection::Events events_of(const std::shared_ptr<PeerId>& id);
  void connected(std::unique_ptr<PeerStream> stream, const Endpoint& endpoint,
                 std::optional<wire::Handshake> theirs, std::optional<Duration> rtt,
                 bool web_seed = false);
  std::shared_ptr<PeerConnection> connection_of(PeerId peer);
  void count_connections() { connection_count_ = static_cast<std::uint32_t>(connections_.size()); }
  void answer_read(ReadId read, Result<> result);
  void check_room();
  void keep_layers();

  boost::asio::io_context& io_;
  boost::asio::thread_pool& pool_;
  boost::asio::thread_pool& disk_;
  boost::asio::thread_pool& readers_;
  PeerDialer& dialer_;
  TorrentSetup setup_;
  std::shared_ptr<spdlog::logger> logger_;
  std::unique_ptr<engine::Torrent> torrent_;
  boost::asio::steady_timer timer_;
  TimePoint armed_ = TimePoint::max();
  boost::asio::steady_timer room_timer_;
  std::map<PeerId, std::shared_ptr<PeerConnection>> connections_;
  std::vector<std::shared_ptr<PeerConnection>> unflushed_;  ///< have something new to write
  std::shared_ptr<PeerConnection> pending_;                 ///< its PeerId is being made
  std::map<Endpoint, std::unique_ptr<PeerDialer::Dial>> dialling_;
  std::atomic<std::uint64_t> next_read_{1};
  struct Parked {
    ReadAnswer answer;
    ReadPart part;
    engine::WaitTrace trace;  ///< once the read has ended
  };
  std::map<ReadId, Parked> answers_;
  std::vector<std::pair<Parked, Result<>>> due_;         ///< after the event
  std::vector<std::pair<ReadId, std::uint32_t>> grown_;  ///< likewise, and before those
  std::uint64_t unwritten_ = 0;
  bool keeping_layers_ = false;  ///< on the disk's pool
  bool layers_unkept_ = false;   ///< learnt since that began
  std::vector<std::function<void()>> complete_callbacks_;
  std::vector<std::function<void()>> stored_callbacks_;
  std::function<void()> need_peers_callback_;
  std::function<void(const Endpoint&)> dht_node_callback_;
  std::function<void()> contradiction_callback_;
  std::function<void(bool)> pause_callback_;
  std::function<std::vector<std::string>()> tracker_words_;
  bool stopped_ = false;
  Error stopped_why_;
  std::atomic<std::uint32_t> connection_count_{0};
  unsigned depth_ = 0;
};

}  // namespace swarmfs::net
