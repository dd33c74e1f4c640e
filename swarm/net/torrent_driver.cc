#include "swarm/net/torrent_driver.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "swarm/base/now.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/verify_piece.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

static constexpr Duration kRoomCheck = 2s;
static constexpr Duration kIdleRoomCheck = 30s;  ///< while nothing is to be written

static Bitfield stored_pieces(const TorrentSetup& setup) {
  Bitfield have(setup.roots->metainfo()->layout.piece_count());
  const std::vector<bool> stored = setup.store->pieces();
  for (std::uint32_t i = 0; i < have.size() && i < stored.size(); ++i)
    if (stored[i]) have.set(PieceIndex(i));
  return have;
}

TorrentDriver::TorrentDriver(asio::io_context& io, asio::thread_pool& pool, asio::thread_pool& disk,
                             asio::thread_pool& readers, PeerDialer& dialer, TorrentSetup setup,
                             std::shared_ptr<spdlog::logger> logger)
    : io_(io),
      pool_(pool),
      disk_(disk),
      readers_(readers),
      dialer_(dialer),
      setup_(std::move(setup)),
      logger_(std::move(logger)),
      torrent_(std::make_unique<engine::Torrent>(
          setup_.roots, setup_.config, *this, stored_pieces(setup_),
          static_cast<std::uint64_t>(now().time_since_epoch().count()))),
      timer_(io),
      room_timer_(io) {}

TorrentDriver::~TorrentDriver() { stop(); }

void TorrentDriver::start() {
  setup_.store->set_on_lost([weak = weak_from_this(), &io = io_](PieceIndex piece) {
    if (weak.expired()) return;  // the loop may be gone as well
    asio::post(io, [weak, piece] {
      if (auto self = weak.lock())
        self->engine_event([&] { self->torrent_->on_piece_lost(piece, now()); });
    });
  });
  check_room();
  add_candidates(setup_.peers, engine::PeerSource::user);
}

void TorrentDriver::stop(const Error& why) {
  if (std::exchange(stopped_, true)) return;
  stopped_why_ = why;
  timer_.cancel();
  room_timer_.cancel();
  for (auto& [id, connection] : connections_) connection->close();
  connections_.clear();
  count_connections();
  torrent_->leave_room();
  dialling_.clear();
  const auto answers = std::exchange(answers_, {});
  for (const auto& [read, parked] : answers) parked.answer(why, parked.trace);
  setup_.owner.reset();
}

/// Every call into the engine goes through here: what it made due for readers is given to them
/// after it has returned, and its next deadline is armed.
template <class Event>
void TorrentDriver::engine_event(Event&& event) {
  if (stopped_) return;
  ++depth_;
  event();
  if (--depth_ > 0) return;
  count_connections();
  for (const auto& [read, bytes] : std::exchange(grown_, {}))
    if (const auto it = answers_.find(read); it != answers_.end()) it->second.part(bytes);
  while (!due_.empty())
    for (auto& [parked, result] : std::exchange(due_, {}))
      parked.answer(std::move(result), parked.trace);
  // Writing reports blocks as sent, which is the next event: hence after this one.
  while (!unflushed_.empty())
    for (const auto& connection : std::exchange(unflushed_, {})) connection->flush();
  if (torrent_->complete() && !complete_callbacks_.empty())
    for (const auto& callback : std::exchange(complete_callbacks_, {})) callback();
  if (torrent_->contradicted() && contradiction_callback_)
    std::exchange(contradiction_callback_, nullptr)();
  if (unwritten_ == 0)
    for (const auto& callback : std::exchange(stored_callbacks_, {})) callback();
  if (!stopped_) arm_timer();  // a callback may have stopped us
}

template <class Work, class Then>
void TorrentDriver::on_pool(asio::thread_pool& pool, Work work, Then then) {
  asio::post(pool, [weak = weak_from_this(), &io = io_, owner = setup_.owner,
                    work = std::move(work), then = std::move(then)]() mutable {
    auto result = work();
    owner.reset();
    asio::post(io, [weak, then = std::move(then), result = std::move(result)]() mutable {
      if (auto self = weak.lock(); self && !self->stopped_) then(*self, std::move(result));
    });
  });
}

void TorrentDriver::arm_timer() {
  const TimePoint deadline = torrent_->deadline();
  if (deadline == armed_) return;
  armed_ = deadline;
  if (deadline == TimePoint::max()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(deadline);
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    if (ec) return;
    if (auto self = weak.lock(); self && !self->stopped_) {
      self->armed_ = TimePoint::max();
      self->engine_event([&] { self->torrent_->on_timer(now()); });
    }
  });
}

void TorrentDriver::check_room() {
  on_pool(
      disk_, [store = setup_.store] { return store->room_for_backfill(); },
      [](TorrentDriver& self, bool room) {
        self.engine_event([&] { self.torrent_->set_room_for_backfill(room, now()); });
        self.room_timer_.expires_after(self.torrent_->complete() ? kIdleRoomCheck : kRoomCheck);
        self.room_timer_.async_wait([weak = self.weak_from_this()](const error_code& ec) {
          if (auto driver = weak.lock(); !ec && driver && !driver->stopped_) driver->check_room();
        });
      });
}

// --- connections

void TorrentDriver::add_candidates(const std::vector<Endpoint>& endpoints,
                                   engine::PeerSource source) {
  engine_event([&] { torrent_->add_candidates(endpoints, source, now()); });
}

void TorrentDriver::set_filter(engine::AddressFilterPtr filter) {
  engine_event([&] { torrent_->set_filter(std::move(filter), now()); });
}

void TorrentDriver::leave_swarm() {
  engine_event([&] { torrent_->leave_swarm(now()); });
}

void TorrentDriver::network_changed(const engine::NetworkChange& change) {
  std::vector<PeerId> dead;
  for (const auto& [id, connection] : connections_) {
    const auto local = connection->link().local;
    if (local && std::ranges::find(change.gone, *local) != change.gone.end()) dead.push_back(id);
  }
  for (const PeerId id : dead) {
    const auto connection = connections_.extract(id);
    if (connection.empty()) continue;  // ended by what became of another
    connection.mapped()->close();
    engine_event([&] { torrent_->on_closed(id, now()); });
  }
  if (!change.came) return;
  // Dials under way may go by an address or a route of before, and would end in ten seconds.
  for (const auto& [endpoint, dial] : std::exchange(dialling_, {}))
    engine_event([&] { torrent_->on_dial_failed(endpoint, now()); });
  engine_event([&] { torrent_->network_changed(now()); });
}

void TorrentDriver::dial(const Endpoint& endpoint) {
  dialling_[endpoint] = dialer_.dial(
      endpoint, metainfo().hashes.primary(),
      [weak = weak_from_this(), endpoint](Result<PeerDialer::Dialled> dialled) {
        auto self = weak.lock();
        if (!self || self->stopped_) return;
        self->dialling_.erase(endpoint);
        if (dialled)
          return self->connected(std::move(dialled->stream), endpoint, std::nullopt, dialled->rtt);
        self->logger_->debug("{}", dialled.error().message);
        self->engine_event([&] { self->torrent_->on_dial_failed(endpoint, now()); });
      });
}

void TorrentDriver::accept(std::unique_ptr<PeerStream> stream, const Endpoint& from,
                           const wire::Handshake& theirs) {
  connected(std::move(stream), from, theirs, std::nullopt);
}

void TorrentDriver::add_web_seed(std::unique_ptr<PeerStream> stream, const Endpoint& server,
                                 const wire::Handshake& theirs, Duration rtt) {
  connected(std::move(stream), server, theirs, rtt, true);
}

PeerConnection::Events TorrentDriver::events_of(const std::shared_ptr<PeerId>& id) {
  const auto weak = weak_from_this();
  PeerConnection::Events events;
  events.on_bytes = [weak, id](ByteView bytes) {
    if (auto self = weak.lock())
      self->engine_event([&] { self->torrent_->on_received(*id, bytes, now()); });
  };
  events.on_closed = [weak, id] {
    if (auto self = weak.lock()) {
      self->connections_.erase(*id);
      self->engine_event([&] { self->torrent_->on_closed(*id, now()); });
    }
  };
  events.on_block_sent = [weak, id](const wire::BlockRef& block, bool ok) {
    if (auto self = weak.lock())
      self->engine_event([&] { self->torrent_->on_block_sent(*id, block, ok, now()); });
  };
  events.congested = [weak] {
    auto self = weak.lock();
    return self && self->unwritten_ > kMaxUnwritten;
  };
  return events;
}

void TorrentDriver::connected(std::unique_ptr<PeerStream> stream, const Endpoint& endpoint,
                              std::optional<wire::Handshake> theirs, std::optional<Duration> rtt,
                              bool web_seed) {
  if (stopped_) return;
  // The engine may send from inside add_peer, before it has told us the peer's id: the connection
  // waits in `pending_` for its first mention.
  auto id = std::make_shared<PeerId>();
  auto connection =
      std::make_shared<PeerConnection>(io_.get_executor(), std::move(stream), events_of(id));
  pending_ = connection;
  engine_event([&] {
    const auto given = web_seed ? torrent_->add_web_seed(endpoint, *theirs, rtt, now())
                                : torrent_->add_peer(endpoint, theirs, rtt, now());
    const auto waiting = std::exchange(pending_, nullptr);
    if (!given) return connection->close();
    *id = *given;
    if (waiting) connections_[*id] = connection;
  });
  if (connections_.contains(*id)) connection->start();
}

void TorrentDriver::adopt(const std::shared_ptr<PeerConnection>& connection,
                          const engine::AdoptedPeer& known) {
  auto id = std::make_shared<PeerId>();
  connection->set_events(events_of(id));
  pending_ = connection;
  engine_event([&] {
    const auto given = torrent_->adopt_peer(known, now());
    const auto waiting = std::exchange(pending_, nullptr);
    if (!given) return connection->close();
    *id = *given;
    if (waiting) connections_[*id] = connection;
    torrent_->on_received(*id, known.received, now());
  });
}

std::shared_ptr<PeerConnection> TorrentDriver::connection_of(PeerId peer) {
  if (const auto it = connections_.find(peer); it != connections_.end()) return it->second;
  // First word to a peer that add_peer() is introducing right now.
  if (pending_) return connections_[peer] = std::exchange(pending_, nullptr);
  return nullptr;
}

void TorrentDriver::send(PeerId peer, Bytes bytes, SendOrder order) {
  auto connection = connection_of(peer);
  if (!connection) return;
  connection->send(std::move(bytes), order == SendOrder::behind_blocks);
  unflushed_.push_back(std::move(connection));
}

void TorrentDriver::disconnect(PeerId peer, std::string_view) {
  const auto connection = connection_of(peer);
  if (!connection) return;
  connections_.erase(peer);
  connection->close_after_flush();
  unflushed_.push_back(connection);
}

void TorrentDriver::distrust(PeerId peer) {
  if (const auto connection = connection_of(peer)) connection->distrust();
}

std::optional<PathRtt> TorrentDriver::path_rtt(PeerId peer) {
  const auto connection = connection_of(peer);
  return connection ? connection->path_rtt() : std::nullopt;
}

PeerLink TorrentDriver::link(PeerId peer) const {
  const auto it = connections_.find(peer);
  return it != connections_.end() ? it->second->link() : PeerLink{};
}

void TorrentDriver::send_block(PeerId peer, const wire::BlockRef& block) {
  const auto connection = connection_of(peer);
  if (!connection) return;
  const auto slot = connection->reserve_block(block);
  unflushed_.push_back(connection);
  const std::uint32_t index = block.begin / kBlockSize;
  if (block.begin % kBlockSize == 0) {
    const BlockPtr kept = setup_.keep->get(block.piece, index);
    if (kept && kept->size >= block.length)
      return connection->fill_block(slot, kept, kept->view().first(block.length));
  }
  // What the peer asked for beyond the piece's end is zeros.
  auto buffer = std::make_shared<Bytes>(block.length);
  const MutableByteView content(
      buffer->data(),
      std::min(block.length, metainfo().layout.piece_size(block.piece) - block.begin));
  if (setup_.store->try_read(block.piece, block.begin, content))
    return connection->fill_block(slot, buffer, ByteView(*buffer));
  on_pool(
      disk_,
      [store = setup_.store, block, content] {
        return store->read(block.piece, block.begin, content).has_value();
      },
      [connection, slot, buffer](TorrentDriver&, bool ok) {
        connection->fill_block(slot, buffer, ok ? ByteView(*buffer) : ByteView{});
        connection->flush();
      });
}

// --- content

void TorrentDriver::hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) {
  on_pool(
      pool_,
      [roots = setup_.roots, piece, blocks = std::move(blocks)] {
        std::vector<ByteView> views;
        views.reserve(blocks.size());
        for (const BlockPtr& block : blocks) views.push_back(block->view());
        return metainfo::verify_piece(*roots, piece, views);
      },
      [piece](TorrentDriver& self, metainfo::PieceCheck check) {
        self.engine_event([&] { self.torrent_->on_piece_hashed(piece, check, now()); });
      });
}

void TorrentDriver::keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) {
  setup_.keep->put(piece, block, std::move(data));
}

void TorrentDriver::keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) {
  for (std::uint32_t b = 0; b < blocks.size(); ++b) setup_.keep->put(piece, b, blocks[b]);
  const std::uint64_t bytes = metainfo().layout.piece_size(piece);
  unwritten_ += bytes;
  on_pool(
      disk_,
      [store = setup_.store, piece, blocks = std::move(blocks)] {
        return store->write_piece(piece, blocks);
      },
      [piece, bytes](TorrentDriver& self, Result<> stored) {
        self.unwritten_ -= bytes;
        if (stored) self.setup_.keep->release(piece);
        self.engine_event([&] { self.torrent_->on_piece_stored(piece, stored, now()); });
        if (self.unwritten_ <= kMaxUnwritten) {
          const auto connections = self.connections_;
          for (const auto& [id, connection] : connections) connection->resume();
        }
      });
}

void TorrentDriver::forget_piece(PieceIndex piece) { setup_.keep->release(piece); }

static constexpr std::uint32_t kLeafRead = 1 << 20;

void TorrentDriver::load_leaves(PieceIndex piece) {
  on_pool(
      pool_,
      [metainfo = setup_.roots->metainfo(), store = setup_.store, piece] {
        const Layout& layout = metainfo->layout;
        // A hybrid's piece may end in pad bytes, which are no leaf of the file.
        const std::uint32_t size = layout.slices(piece, 0, layout.piece_size(piece)).front().length;
        metainfo::merkle::LeafHasher hasher;
        Bytes bytes;  // in steps: a piece may be half a gigabyte
        for (std::uint32_t at = 0; at < size; at += kLeafRead) {
          bytes.resize(std::min(kLeafRead, size - at));
          if (!store->read(piece, at, bytes)) return std::vector<Sha256Hash>{};
          hasher.update(bytes);
        }
        return hasher.finish();
      },
      [piece](TorrentDriver& self, std::vector<Sha256Hash> leaves) {
        self.engine_event([&] { self.torrent_->on_leaves(piece, std::move(leaves), now()); });
      });
}

void TorrentDriver::layer_learnt() {
  layers_unkept_ = true;
  if (setup_.keep_layers && !keeping_layers_) keep_layers();
}

/// What is learnt while it runs is kept by one more run, however many layers that are.
void TorrentDriver::keep_layers() {
  keeping_layers_ = true;
  layers_unkept_ = false;
  on_pool(
      disk_,
      [keep = setup_.keep_layers] {
        keep();
        return true;
      },
      [](TorrentDriver& self, bool) {
        self.keeping_layers_ = false;
        if (self.layers_unkept_) self.keep_layers();
      });
}

// --- reads

ReadId TorrentDriver::park_read(engine::ReadOwner owner, std::vector<Layout::Span> spans,
                                ReadAnswer answer, ReadPart part) {
  const ReadId id(next_read_.fetch_add(1, std::memory_order_relaxed));
  asio::post(io_, [self = shared_from_this(), id, owner, spans = std::move(spans),
                   answer = std::move(answer), part = std::move(part)]() mutable {
    const engine::WaitTrace from_now(now());
    if (self->stopped_) return answer(self->stopped_why_, from_now);
    self->answers_.emplace(id, Parked{std::move(answer), std::move(part), from_now});
    self->engine_event([&] { self->torrent_->add_read(id, owner, std::move(spans), now()); });
  });
  return id;
}

void TorrentDriver::cancel_read(ReadId read) {
  asio::post(io_, [self = shared_from_this(), read] {
    self->engine_event([&] {
      self->torrent_->cancel_read(read, now());
      self->read_failed(read, fail(ErrorKind::cancelled, "given up by the reader"));
    });
  });
}

void TorrentDriver::set_window(HandleId handle, const engine::Ahead& ahead) {
  asio::post(io_, [self = shared_from_this(), handle, ahead] {
    self->engine_event([&] { self->torrent_->set_window(handle, ahead, now()); });
  });
}

void TorrentDriver::close_handle(HandleId handle) {
  asio::post(io_, [self = shared_from_this(), handle] {
    self->engine_event([&] { self->torrent_->close_handle(handle, now()); });
  });
}

void TorrentDriver::read_ended(ReadId read, const engine::WaitTrace& trace) {
  if (const auto it = answers_.find(read); it != answers_.end()) it->second.trace = trace;
}

void TorrentDriver::read_grew(ReadId read, std::uint32_t bytes) {
  if (const auto it = answers_.find(read); it != answers_.end() && it->second.part)
    grown_.emplace_back(read, bytes);
}

void TorrentDriver::read_ready(ReadId read) { answer_read(read, {}); }
void TorrentDriver::read_failed(ReadId read, Error error) { answer_read(read, std::move(error)); }

void TorrentDriver::answer_read(ReadId read, Result<> result) {
  auto node = answers_.extract(read);
  if (!node.empty()) due_.emplace_back(std::move(node.mapped()), std::move(result));
}

// --- orders of the user

template <class Order>
void TorrentDriver::post_order(Order order) {
  asio::post(io_, [self = shared_from_this(), order = std::move(order)] {
    self->engine_event([&] { order(*self->torrent_, now()); });
  });
}

void TorrentDriver::pause() {
  post_order([this](engine::Torrent& torrent, TimePoint now) {
    torrent.pause(now);
    if (pause_callback_) pause_callback_(true);
  });
}

void TorrentDriver::resume() {
  post_order([this](engine::Torrent& torrent, TimePoint now) {
    if (pause_callback_ && !torrent.contradicted()) pause_callback_(false);
    torrent.resume(now);
  });
}

void TorrentDriver::set_max_connections(unsigned most) {
  post_order(
      [most](engine::Torrent& torrent, TimePoint now) { torrent.set_max_connections(most, now); });
}

void TorrentDriver::shed(unsigned most) {
  post_order([most](engine::Torrent& torrent, TimePoint now) { torrent.shed(most, now); });
}

void TorrentDriver::set_limits(const engine::RateLimits& limits) {
  post_order(
      [limits](engine::Torrent& torrent, TimePoint now) { torrent.set_limits(limits, now); });
}

void TorrentDriver::limits_changed() {
  post_order([](engine::Torrent& torrent, TimePoint now) { torrent.limits_changed(now); });
}

void TorrentDriver::tell_ports(std::uint16_t listen, std::uint16_t dht) {
  post_order([=](engine::Torrent& torrent, TimePoint now) { torrent.set_ports(listen, dht, now); });
}

void TorrentDriver::set_pinned(std::vector<Layout::PieceRange> ranges) {
  post_order([ranges = std::move(ranges)](engine::Torrent& torrent, TimePoint now) {
    torrent.set_pinned(ranges, now);
  });
}

void TorrentDriver::prefetch(std::vector<Layout::PieceRange> ranges) {
  post_order([ranges = std::move(ranges)](engine::Torrent& torrent, TimePoint now) {
    for (const Layout::PieceRange& range : ranges) torrent.prefetch(range, now);
  });
}

// --- the rest

void TorrentDriver::wait_for_disk(std::function<void()> work) {
  asio::post(readers_, std::move(work));
}

void TorrentDriver::query(std::function<void(const engine::TorrentStats&)> answer) {
  asio::post(io_, [self = shared_from_this(), answer = std::move(answer)] {
    answer(self->torrent_->stats(now()));
  });
}

void TorrentDriver::list_peers(std::function<void(std::vector<engine::PeerView>)> answer) {
  asio::post(io_, [self = shared_from_this(), answer = std::move(answer)] {
    answer(self->torrent_->peers(now()));
  });
}

void TorrentDriver::explain(std::vector<ReadId> reads, std::function<void(Explanation)> answer) {
  asio::post(io_,
             [self = shared_from_this(), reads = std::move(reads), answer = std::move(answer)] {
               Explanation explanation{self->torrent_->explain(reads, now()), {}};
               if (self->tracker_words_) explanation.trackers = self->tracker_words_();
               answer(std::move(explanation));
             });
}

void TorrentDriver::on_complete(std::function<void()> callback) {
  complete_callbacks_.push_back(std::move(callback));
  engine_event([] {});
}

void TorrentDriver::when_stored(std::function<void()> callback) {
  stored_callbacks_.push_back(std::move(callback));
  engine_event([] {});
}

void TorrentDriver::need_peers() {
  if (need_peers_callback_)
    asio::post(io_, [self = shared_from_this()] { self->need_peers_callback_(); });
}

void TorrentDriver::log(int level, std::string_view line) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn};
  logger_->log(kLevels[level], "{}: {}", metainfo().name, line);
}

}  // namespace swarmfs::net
