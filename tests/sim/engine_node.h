// A real engine behind a host that knows the truth: it hashes with the manifest, and compares
// whatever the engine keeps, serves or answers with the source.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "swarm/engine/torrent.h"
#include "tests/sim/world.h"

namespace swarmfs::sim {

struct NodeOptions {
  Line line{};
  engine::TorrentConfig config{};
  bool seed = false;                 ///< has everything from the start
  std::vector<std::uint32_t> has{};  ///< pieces it has from the start
  Duration hash_time = std::chrono::milliseconds(1);
  Duration disk_time = std::chrono::milliseconds(2);
  /// Instead of the content's own manifest.
  std::shared_ptr<const metainfo::Metainfo> metainfo{};
};

class EngineNode final : public Party, private engine::TorrentHost {
 public:
  struct Read {
    TimePoint begun;
    std::vector<Layout::Span> spans;
    std::uint32_t length = 0;
    std::optional<TimePoint>
        start_came{};         ///< when it was told first that some of its start is here
    std::uint32_t start = 0;  ///< bytes of it, as told last
    std::optional<TimePoint> ended{};
    std::optional<ErrorKind> error{};
    bool answered() const { return ended && !error; }
    Duration took() const { return *ended - begun; }
  };

  EngineNode(World& world, unsigned number, NodeOptions options);

  const unsigned number;
  Endpoint address() const { return World::address(number); }
  const engine::Torrent& torrent() const { return *torrent_; }
  bool complete() const { return torrent_->complete(); }
  engine::TorrentStats stats() const { return torrent_->stats(world_.now()); }
  /// When the last piece came.
  std::optional<TimePoint> completed_at() const { return completed_at_; }

  void meet(std::initializer_list<unsigned> others);
  void meet(unsigned other) { meet({other}); }
  /// As a tracker would name them.
  void hear_of(const std::vector<Endpoint>& others);
  /// Its line goes dead; come_back() brings the same engine back.
  void leave();
  void come_back();
  /// As the system tells of it; come_back() alone is an outage elsewhere on the way.
  void network_changed();

  ReadId read(std::uint64_t offset, std::uint32_t length, engine::ReadOwner owner = HandleId(1));
  void cancel(ReadId read);
  void close(HandleId handle);
  /// `bps`: the reader's own rate; 0: as fast as it comes.
  void window(PieceIndex first, PieceIndex end, HandleId handle = HandleId(1), double bps = 0);
  const Read& result(ReadId read) const { return reads_.at(read); }
  bool all_reads_ended() const;
  const std::map<ReadId, Read>& all_reads() const { return reads_; }
  /// Calls `hear` when the engine gives up what it has of a piece.
  void when_forgotten(std::function<void(PieceIndex)> hear) { forgotten_ = std::move(hear); }

  void pause();
  void resume();
  void limit(const engine::RateLimits& limits);
  void pin(std::uint32_t first, std::uint32_t end);
  void prefetch(std::uint32_t first, std::uint32_t end);
  void set_room(bool room);
  /// From now on the disk refuses pieces.
  void set_disk_full(bool full) { disk_full_ = full; }
  void lose_piece(PieceIndex piece);

  std::uint64_t timer_events() const { return timer_events_; }
  unsigned dials() const { return dials_; }
  unsigned layers_learnt() const { return layers_learnt_; }
  /// Peers it banned, by the log.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  template <class Event>
  void enter(Event&& event);
  void arm();
  bool readable(PieceIndex piece, std::uint32_t begin, std::uint32_t length) const;
  bool right(PieceIndex piece, std::uint32_t block, const BlockPtr& data) const;
  void say(const std::string& what);

  void on_connected(SocketId socket, const Endpoint& other, bool dialled, Duration rtt) override;
  void on_dial_failed(const Endpoint& other) override;
  void on_bytes(SocketId socket, ByteView bytes) override;
  void on_closed(SocketId socket) override;
  void introduce(SocketId socket, const Endpoint& other,
                 const std::optional<wire::Handshake>& theirs, std::optional<Duration> rtt);

  SocketId* socket_of(PeerId peer);
  void send(PeerId peer, Bytes bytes, SendOrder order) override;
  void send_block(PeerId peer, const wire::BlockRef& block) override;
  void disconnect(PeerId peer, std::string_view reason) override;
  std::optional<PathRtt> path_rtt(PeerId peer) override;
  void dial(const Endpoint& endpoint) override;
  void hash_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override;
  void keep_block(PieceIndex piece, std::uint32_t block, BlockPtr data) override;
  void keep_piece(PieceIndex piece, std::vector<BlockPtr> blocks) override;
  void forget_piece(PieceIndex piece) override;
  void load_leaves(PieceIndex piece) override;
  void layer_learnt() override { ++layers_learnt_; }
  void read_grew(ReadId read, std::uint32_t bytes) override;
  void read_ready(ReadId read) override;
  void read_failed(ReadId read, Error error) override;
  void need_peers() override {}
  void log(int level, std::string_view line) override;

  struct Connection {
    Endpoint other;
    std::optional<PeerId> peer;
    Bytes early;  ///< of an accepted one, until its handshake is whole
  };

  World& world_;
  NodeOptions options_;
  std::shared_ptr<const metainfo::Metainfo> metainfo_;
  std::shared_ptr<metainfo::PieceRoots> roots_;
  std::unique_ptr<engine::Torrent> torrent_;
  std::map<SocketId, Connection> connections_;
  std::map<PeerId, SocketId> sockets_;
  std::set<Endpoint> dialling_;
  std::optional<SocketId> introducing_;
  std::set<PieceIndex> stored_;
  std::map<PieceIndex, std::set<std::uint32_t>> kept_;  ///< in memory, verified
  std::map<ReadId, Read> reads_;
  std::uint64_t next_read_ = 1;
  bool disk_full_ = false;
  bool inside_ = false;
  std::uint64_t entered_ = 0, timer_events_ = 0, arm_ = 0;
  unsigned dials_ = 0;
  unsigned layers_learnt_ = 0;
  unsigned timers_now_ = 0;
  TimePoint last_timer_{}, armed_ = TimePoint::max();
  std::optional<TimePoint> completed_at_;
  std::vector<std::string> warnings_;
  std::function<void(PieceIndex)> forgotten_;
};

}  // namespace swarmfs::sim
