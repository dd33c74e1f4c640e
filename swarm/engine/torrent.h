// One torrent's part in its swarm: every decision about peers, requests, uploads and reads.
//
// Sans-IO: events and `now` come in, calls on a TorrentHost go out, and deadline() says when to
// call on_timer(). No clock, socket, thread or random source of its own, so the same events and
// seed give the same calls.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "swarm/base/bitfield.h"
#include "swarm/base/clock.h"
#include "swarm/engine/adopted_peer.h"
#include "swarm/engine/asked.h"
#include "swarm/engine/holepunch.h"
#include "swarm/engine/leaf_cache.h"
#include "swarm/engine/message_framer.h"
#include "swarm/engine/partial_piece.h"
#include "swarm/engine/peer_book.h"
#include "swarm/engine/peer_exchange.h"
#include "swarm/engine/peer_pace.h"
#include "swarm/engine/piece_picker.h"
#include "swarm/engine/read_turns.h"
#include "swarm/engine/recent_pieces.h"
#include "swarm/engine/torrent_config.h"
#include "swarm/engine/torrent_explain.h"
#include "swarm/engine/torrent_host.h"
#include "swarm/engine/wait_trace.h"
#include "swarm/engine/wanted_pieces.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/verify_piece.h"
#include "swarm/wire/handshake.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

/// Figures for people; a snapshot.
struct TorrentStats {
  std::uint64_t downloaded = 0;  ///< payload bytes received
  std::uint64_t uploaded = 0;
  std::uint64_t wasted = 0;  ///< duplicates, unasked blocks and blocks that failed
  double down_bps = 0;
  double up_bps = 0;
  unsigned peers = 0;
  unsigned seeds = 0;
  unsigned encrypted = 0;  ///< of the peers, as are those over uTP
  unsigned utp = 0;
  unsigned web_seeds = 0;  ///< connected, and not counted among the others
  unsigned half_open = 0;
  unsigned waiting_reads = 0;
  std::uint32_t pieces_have = 0;
  std::uint32_t pieces = 0;
  std::uint32_t failed_pieces = 0;
  unsigned banned = 0;
  unsigned layers_missing = 0;  ///< files whose piece layer is still to come (BEP 52)
  bool disk_full = false;
  bool contradicted = false;
  bool paused = false;
  std::vector<std::uint32_t> sent_per_piece;  ///< blocks uploaded, by piece
};

/// What lies ahead of a reader: pieces [first, end), nearest first; none to want nothing.
struct Ahead {
  PieceIndex first, end;
  PieceIndex limit{};       ///< the window may be widened to here: the end of the reader's file
  std::uint32_t begin = 0;  ///< where in `first` the reader is, in bytes
  double bps = 0;           ///< how fast it takes them, in bytes per second; 0: as they come
};

class Torrent {
 public:
  /// `roots` is shared with whoever verifies pieces; only the Torrent adds to it from now on. Of
  /// the pieces in `have` those count that can be verified. `host` outlives the Torrent.
  Torrent(std::shared_ptr<metainfo::PieceRoots> roots, TorrentConfig config, TorrentHost& host,
          const Bitfield& have, std::uint64_t rng_seed);
  ~Torrent();

  // --- peers
  /// Addresses worth dialling.
  void add_candidates(std::span<const Endpoint> endpoints, PeerSource source, TimePoint now);
  /// A connection is up. For an accepted one `theirs` is the handshake it came with; a dialled
  /// one gets our side sent at once. `rtt`: of the TCP handshake, if known. Nothing if refused
  /// (banned, too many, our own); then the host closes it.
  std::optional<PeerId> add_peer(const Endpoint& endpoint, std::optional<wire::Handshake> theirs,
                                 std::optional<Duration> rtt, TimePoint now);
  /// Takes over a connection that began before this torrent was known: nothing if it is refused, or
  /// if pieces are here already, which that peer was told are not. What it has received is for
  /// on_received().
  std::optional<PeerId> adopt_peer(const AdoptedPeer& known, TimePoint now);
  /// A web seed is up (web_seed.h): a peer that comes with its handshake, is not counted among the
  /// connections, and is answerable with its URL and not its address: TorrentHost::distrust.
  /// Nothing if none is needed; then the host closes it.
  std::optional<PeerId> add_web_seed(const Endpoint& server, const wire::Handshake& handshake,
                                     std::optional<Duration> rtt, TimePoint now);
  void on_dial_failed(const Endpoint& endpoint, TimePoint now);
  /// Our network came back or is another: whom we did not reach is dialled again now.
  void network_changed(TimePoint now);
  /// A private torrent has another tracker now: whom the old one led to is left (BEP 27).
  void leave_swarm(TimePoint now);
  /// The flags with which a connected peer told of that one (BEP 11): it could introduce us (BEP
  /// 55). Nothing if it did not.
  std::optional<std::uint8_t> can_introduce(PeerId relay, const Endpoint& endpoint) const {
    return exchange_.can_introduce(relay, endpoint);
  }
  void on_received(PeerId peer, ByteView bytes, TimePoint now);
  /// The network closed it. No call is made for this peer afterwards.
  void on_closed(PeerId peer, TimePoint now);
  /// A block given to send_block has left for the network; `ok` false: it could not be read.
  void on_block_sent(PeerId peer, const wire::BlockRef& block, bool ok, TimePoint now);

  // --- content
  void on_piece_hashed(PieceIndex piece, metainfo::PieceCheck check, TimePoint now);
  void on_piece_stored(PieceIndex piece, const Result<>& stored, TimePoint now);
  /// A stored piece turned out damaged: fetch it again.
  void on_piece_lost(PieceIndex piece, TimePoint now);
  /// Leaf hashes of a piece, all of them; empty if they could not be computed.
  void on_leaves(PieceIndex piece, std::vector<Sha256Hash> leaves, TimePoint now);
  /// Whether the disk has room for what nobody asked for.
  void set_room_for_backfill(bool room, TimePoint now);

  // --- demand
  /// Parks a read until all its spans are here. read_ready or read_failed follows, maybe at once;
  /// before it read_grew, when more of its start is here.
  /// Programs are served in turn, see ReadTurns.
  void add_read(ReadId read, ReadOwner owner, std::vector<Layout::Span> spans, TimePoint now);
  /// Drops a parked read without an answer.
  void cancel_read(ReadId read, TimePoint now);
  /// What a handle wants next instead of what it wanted before. Requests for what no handle wants
  /// any more are taken back.
  void set_window(HandleId handle, const Ahead& ahead, TimePoint now);
  void close_handle(HandleId handle, TimePoint now);

  // --- orders of the user
  /// Closes every connection and opens none until resume(). Reads of what is not here wait.
  void pause(TimePoint now);
  void resume(TimePoint now);
  bool paused() const { return paused_; }
  void set_limits(const RateLimits& limits, TimePoint now);
  /// Whom the user wants nothing to do with from now on: their connections close.
  void set_filter(AddressFilterPtr filter, TimePoint now);
  /// How many connections there may be, over 0; the least useful of those beyond it close.
  void set_max_connections(unsigned most, TimePoint now);
  /// Counts no more among all torrents, for good: it may be destroyed on any thread.
  void leave_room() { places_.leave(); }
  /// Closes the least useful connections, until there are `most` of them. Others may come.
  void shed(unsigned most, TimePoint now);
  /// What all torrents may do together has changed.
  void limits_changed(TimePoint now);
  /// Of TorrentConfig: what peers are told, those that are here too. Keeps the hash table off if
  /// it is.
  void set_ports(std::uint16_t listen, std::uint16_t dht, TimePoint now);
  /// Pieces that are fetched before the others, also on demand; instead of those named before.
  void set_pinned(std::span<const Layout::PieceRange> ranges, TimePoint now);
  /// Pieces to be fetched once, in order, before those that are pinned and behind the ones asked
  /// for so earlier.
  void prefetch(const Layout::PieceRange& range, TimePoint now);

  // --- time
  TimePoint deadline() const { return wake_; }
  void on_timer(TimePoint now);

  // --- what is
  /// True for the v1 hash and the truncated v2 hash.
  bool is_our_hash(const Sha1Hash& hash) const;
  const Bitfield& have() const { return picker_.have(); }
  bool complete() const { return picker_.have().all(); }
  /// The manifest's hashes disagree (BEP 52: a hybrid's piece must pass both): the torrent has
  /// stopped, and reads of what is not here fail with mismatch.
  bool contradicted() const { return contradicted_; }
  TorrentStats stats(TimePoint now) const;
  /// Every connected peer whose handshake has come.
  std::vector<PeerView> peers(TimePoint now) const;
  /// What these parked reads wait for, in the order given; those that are not parked are left out.
  /// At most kMaxExplainedReads of them.
  TorrentView explain(std::span<const ReadId> reads, TimePoint now) const;
  struct Totals {
    std::uint64_t downloaded = 0, uploaded = 0;  ///< payload bytes
  };
  Totals totals() const { return {downloaded_, uploaded_}; }
  /// Peers that are connected, or whose handshake is to come.
  unsigned connected() const;
  /// Bytes still missing, for trackers.
  std::uint64_t left() const;

 private:
  friend class TorrentProbe;  // tests check the invariants from inside
  struct Peer {
    Peer(PeerId id_, const Endpoint& endpoint_, std::uint32_t pieces, bool accepted);
    PeerId id;
    Endpoint endpoint;
    std::optional<Endpoint> booked;  ///< the book counts this connection under it
    bool dialled, web_seed = false;
    bool ready = false;       ///< their handshake has come
    bool introduced = false;  ///< our bitfield has gone
    bool heard = false;       ///< a message came after its handshake
    bool v2 = false;          ///< BEP 52 messages may flow
    bool fast = false;
    bool extended = false;
    bool greeted = false;  ///< bitfield, have all or have none has come, or the time for it is over
    bool am_choking = true, am_interested = false, peer_choking = true, peer_interested = false;
    bool counted_seed = false;
    bool upload_only = false;
    bool has_node = false;     ///< speaks of the hash table (BEP 5)
    bool told_node = false;    ///< of its node there: once is enough
    bool no_leaves = false;    ///< rejected a leaf layer request
    TimePoint leaves_after{};  ///< let one lie: asked for no leaves until then
    TimePoint layers_after{};  ///< rejected a piece layer request: asked for none until then
    bool snubbed = false, closing = false;
    std::uint8_t moves = 0;                ///< times it has said where it listens
    std::uint8_t dont_have_id = 0;         ///< its id for lt_donthave (BEP 54); 0: it knows none
    std::uint8_t reading_id = 0;           ///< likewise for sf_reading
    std::uint8_t metadata_id = 0;          ///< likewise for ut_metadata (BEP 9)
    std::uint8_t pex_id = 0;               ///< and ut_pex (BEP 11)
    std::uint8_t holepunch_id = 0;         ///< and ut_holepunch (BEP 55)
    PunchAllowance may_relay, may_direct;  ///< what it may ask us for, and whom it may have us dial
    std::uint32_t metadata_sent = 0;       ///< pieces of our info dictionary
    MessageFramer framer;
    wire::ClientId client_id{};
    std::string client_name;  ///< BEP 10 "v": any bytes, at most 128
    Bitfield bits;
    std::set<PieceIndex> allowed_fast;
    std::deque<PieceIndex> suggested;
    std::deque<Outstanding> outstanding;
    std::deque<HashFetch> hash_fetches;
    PeerPace pace;
    RateMeter down, up;
    std::uint64_t downloaded = 0, uploaded = 0, sent_since_unchoke = 0;
    unsigned reqq = 250;
    std::deque<wire::BlockRef> upload_queue;
    std::optional<PieceIndex> sending_piece;  ///< begun for this peer
    unsigned overtaken = 0;  ///< blocks sent since the oldest in the queue might have been
    RecentPieces reading, told_reading;  ///< it, or we, said so or asked for their leaf hashes
    std::uint32_t sending = 0;           ///< cost of the blocks handed to the host and not yet sent
    std::map<PieceIndex, std::uint32_t> sent_blocks;  ///< of pieces begun, for suggestions
    unsigned unasked = 0;
    unsigned may_cross = 0;  ///< blocks that may come though their requests were cancelled
    std::vector<wire::BlockRef> taken_back;  ///< cancelled, and it may yet reject them (BEP 6)
    unsigned leaf_requests = 0;              ///< of its, waiting for the host
    double patience;                         ///< left with its costly messages, as of patience_at
    TimePoint patience_at, connected_at, unchoked_at, last_received, last_sent, last_block;
    TimePoint last_transfer{};  ///< of payload, either way
    Duration lateness{};        ///< of what others brought in its stead, until it brings a block
    TimePoint late_at{};
    TimePoint hedge_after{};             ///< no second copies are looked for before
    std::uint64_t nothing_to_hedge = 0;  ///< nothing could become overdue after so many requests
    Bytes out;
    bool out_behind_blocks = false;  ///< TorrentHost::SendOrder of it
  };
  struct ParkedRead {
    ReadOwner owner;
    std::vector<Layout::Span> spans;
    std::uint32_t length;  ///< of all spans
    TimePoint last_progress;
    WaitTrace trace;
    std::uint32_t told = 0;  ///< bytes of its start that the host knows to be here
  };
  struct Window {
    Ahead ahead;
    TimePoint told_at;
    PieceIndex cursor;  ///< nothing to ask for before it
    bool covers(PieceIndex piece) const { return ahead.first <= piece && piece < ahead.end; }
  };
  /// Senders of a piece that failed, to be compared with the right bytes (smart ban).
  struct Suspect {
    PeerId peer;
    IpAddress address;
    std::uint32_t block = 0;
    Sha1Hash digest{};
  };

  // torrent.cc: lifetime, time
  Peer* find(PeerId id);
  /// The peer's output buffer; it goes to the host at the end of the event (flush).
  Bytes& to(Peer& peer);
  void flush(TimePoint now);
  void hand_over(Peer& peer);
  void wake_at(TimePoint t) { wake_ = std::min(wake_, t); }
  void check_peer_timers(Peer& peer, TimePoint now);
  void dial_more(TimePoint now);
  void contradict(std::string_view what, TimePoint now);
  static Error contradiction_error();
  void choke_round(TimePoint now);

  // torrent_peers.cc: connections and messages
  Peer* admit(const Endpoint& endpoint, bool dialled, const std::optional<wire::Handshake>& theirs,
              std::optional<Duration> rtt, TimePoint now);
  void greet(Peer& peer, const wire::Handshake* theirs);
  void introduce(Peer& peer, bool fast);
  void book_at(Peer& peer, std::uint16_t port, TimePoint now);
  void extend(Peer& peer);
  void accept_handshake(Peer& peer, const wire::Handshake& theirs, TimePoint now);
  void drop_second_connection(Peer& peer, TimePoint now);
  bool on_handshake(Peer& peer, ByteView frame, TimePoint now);
  bool on_message(Peer& peer, ByteView frame, TimePoint now);
  /// Takes one costly message from what the peer is allowed; false if that is used up.
  bool patient(Peer& peer, TimePoint now) const;
  void drop(Peer& peer, std::string_view reason, CloseReason kind, TimePoint now);
  void forget(Peer& peer, CloseReason kind, TimePoint now);
  void ban_address(const IpAddress& address, TimePoint now);
  void ban(Peer& peer, std::string_view why, TimePoint now);
  void set_bits(Peer& peer, Bitfield bits, TimePoint now);
  void disbelieve(Peer& peer, PieceIndex piece);
  void on_have(Peer& peer, PieceIndex piece, TimePoint now);
  void on_extended(Peer& peer, const wire::Extended& message, TimePoint now);
  void on_extension_handshake(Peer& peer, ByteView payload, TimePoint now);
  void on_dont_have(Peer& peer, ByteView payload, TimePoint now);
  void on_reading(Peer& peer, ByteView payload, TimePoint now);
  void say_reading(Peer& peer, PieceIndex piece);
  void became_seed(Peer& peer, TimePoint now);
  void update_interest(Peer& peer);
  bool valid(const wire::BlockRef& block) const;

  // torrent_metadata.cc: BEP 9
  bool serves_metadata() const;
  void on_metadata_message(Peer& peer, ByteView payload, TimePoint now);
  // torrent_exchange.cc: BEP 11
  void note_member(const Peer& peer, TimePoint now);
  void on_exchange_message(Peer& peer, ByteView payload, TimePoint now);
  void exchange_peers(TimePoint now);
  void wake_to_exchange(TimePoint now);
  std::optional<PeerSource> source_of(const Peer& peer) const;
  // torrent_holepunch.cc: BEP 55
  void on_holepunch(Peer& peer, ByteView payload, TimePoint now);
  void relay(Peer& from, const Endpoint& to_whom, TimePoint now);
  void seek_introduction(const Endpoint& endpoint, TimePoint now);
  void knock(const Peer& relay, const Endpoint& endpoint, TimePoint now);
  Endpoint reached_at(const Peer& peer) const;
  // torrent_web.cc: web seeds
  static std::size_t run_ahead(const Peer& peer);
  /// Whom to ban for what it sent; nobody for a web seed.
  static IpAddress address_of(const Peer& peer) {
    return peer.web_seed ? IpAddress{} : peer.endpoint.address;
  }

  // torrent_room.cc: when every connection is taken
  bool full() const { return places_.full(); }
  void count_connections();
  static bool wanted(const Peer& peer);
  void settle(Peer& newcomer, TimePoint now);
  bool idle(const Peer& peer, TimePoint now) const;
  Peer* least_useful(TimePoint now) const;
  Peer* gives_way_to(const Endpoint& newcomer, TimePoint now) const;

  // torrent_orders.cc: what the user wants
  std::optional<wire::BlockRef> next_wanted(const WantedPieces& wanted, Peer& peer);

  // torrent_download.cc: requests and arrivals
  void fill(Peer& peer, TimePoint now);
  bool may_fill(const Peer& peer, TimePoint now);
  bool fill_needed(Peer& peer, double capacity, TimePoint now);
  void spread_needed(TimePoint now);
  bool verifiable(PieceIndex piece) const;
  bool anything_to_begin() const;
  bool may_ask(const Peer& peer, PieceIndex piece) const;
  static std::size_t depth(const Peer& peer);
  static std::size_t most_requests(const Peer& peer);
  std::optional<wire::BlockRef> next_unhurried(Peer& peer, double capacity, TimePoint now);
  std::optional<wire::BlockRef> next_backfill(Peer& peer);
  std::optional<wire::BlockRef> free_block(PieceIndex piece, Peer& peer, std::uint32_t first,
                                           std::uint32_t end);
  PartialPiece* partial(PieceIndex piece);
  PartialPiece* begin_piece(PieceIndex piece);
  bool room_for_new_piece() const;
  bool make_room();
  void ask(Peer& peer, const wire::BlockRef& block, TimePoint now);
  void not_coming(const wire::BlockRef& block, TimePoint now);
  void on_block(Peer& peer, const wire::Piece& message, TimePoint now);
  void on_whole_block(const Peer& last, PartialPiece& partial, std::uint32_t block, TimePoint now);
  void cancel_copies(PartialPiece& partial, std::uint32_t block, TimePoint now);
  void cancel_request(Peer& peer, PieceIndex piece, std::uint32_t block, TimePoint now);
  void send_cancel(Peer& peer, const wire::BlockRef& block);
  bool was_taken_back(Peer& peer, const wire::BlockRef& block);
  void release(Peer& peer, const wire::BlockRef& block, TimePoint now);
  void release_all(Peer& peer, TimePoint now);
  void release_piece(Peer& peer, PieceIndex piece, TimePoint now);
  void on_reject(Peer& peer, const wire::BlockRef& block, TimePoint now);

  // torrent_pieces.cc: whole pieces
  void finish_piece(PartialPiece& partial, TimePoint now);
  void piece_failed(PieceIndex piece, TimePoint now);
  void convict(PieceIndex piece, const PartialPiece& good, TimePoint now);
  void piece_done(PieceIndex piece, TimePoint now);
  void lose(PieceIndex piece, TimePoint now);

  // torrent_urgent.cc: what somebody waits for
  bool worth_asking(const Peer& peer, PieceIndex piece) const;
  static Duration next_block_in(const Peer& peer);
  template <class Of>
  std::optional<wire::BlockRef> next_urgent(Peer& peer, Of of);
  std::optional<wire::BlockRef> next_needed(Peer& peer, double capacity, TimePoint now);

  // torrent_halves.cc: a block from two peers
  bool whole(const wire::BlockRef& block) const;
  bool half(const wire::BlockRef& block) const;
  bool one_block_is_read(PieceIndex piece, std::uint32_t block) const;
  Peer* other_half_from(const Peer& peer, const wire::BlockRef& block);
  void ask_needed(Peer& peer, const wire::BlockRef& block, TimePoint now);
  void on_half(Peer& peer, const wire::Piece& message, TimePoint now);
  void forget_halves(PartialPiece& partial, std::uint32_t block);
  bool give_up_halves(PartialPiece& partial, std::uint32_t block, PeerId by, TimePoint now);
  void spoil_halves(PartialPiece& partial, std::uint32_t block);
  void judge_halves(PartialPiece& partial, std::uint32_t block, TimePoint now);

  // torrent_ahead.cc: what readers will want next, and second copies
  struct Hedge {
    std::optional<wire::BlockRef> block;
    bool possible = false;  ///< a block was looked at that may become overdue
  };
  struct Near {
    PieceIndex piece;
    Duration slack;
  };
  double capacity_bps() const;
  std::uint32_t pieces_to_fill_the_line(double capacity) const;
  double widen_windows();
  static bool paced(const Window& window, double capacity);
  Duration slack(const Window& window, PieceIndex piece, double capacity, TimePoint now) const;
  bool some_peer_is_tried() const;
  std::optional<Near> nearest(const Peer& peer, Window& window, double capacity, bool allow_new,
                              TimePoint now) const;
  /// Windows of films that are about to stall, of handles with a parked read, or any.
  enum class Windows : std::uint8_t { pressing, waited_for, any };
  std::optional<wire::BlockRef> next_in_windows(Peer& peer, Windows which, double capacity,
                                                TimePoint now);
  bool has_parked_read(HandleId handle) const;
  Duration time_left(PeerId holder, const wire::BlockRef& block, TimePoint now) const;
  Hedge find_overdue(const Peer& peer, PieceIndex piece, bool waited_for, TimePoint now) const;
  bool thrifty() const;
  bool hedged_enough() const;
  std::optional<wire::BlockRef> next_hedge(Peer& peer, TimePoint now);
  std::optional<wire::BlockRef> next_in_end_game(Peer& peer, TimePoint now);

  // torrent_upload.cc
  void on_request(Peer& peer, const wire::BlockRef& block, TimePoint now);
  void on_cancel(Peer& peer, const wire::BlockRef& block);
  void on_interest(Peer& peer, bool interested, TimePoint now);
  void offer_slots(TimePoint now);
  void unchoke(Peer& peer, TimePoint now);
  void choke(Peer& peer);
  void reject(Peer& peer, const wire::BlockRef& block);
  void withdraw(Peer& peer, PieceIndex piece);
  bool servable(const wire::BlockRef& block) const;
  bool first_copy_elsewhere(const Peer& peer, PieceIndex piece, TimePoint now) const;
  std::deque<wire::BlockRef>::iterator next_upload(Peer& peer, TimePoint now);
  bool may_send(const Peer& peer, TimePoint now) const;
  bool send_next(Peer& peer, TimePoint now);
  void send_blocks(Peer& peer, TimePoint now);
  void send_in_turn(TimePoint now);
  void suggest(Peer& peer);
  std::vector<ChokePeer> choke_view(TimePoint now) const;

  // torrent_reads.cc
  void take_back(PieceIndex first, PieceIndex end, TimePoint now);
  void rewind_windows();
  std::uint32_t bytes_here(const Layout::Span& span) const;
  bool span_ready(const Layout::Span& span) const { return bytes_here(span) == span.length; }
  std::uint32_t start_here(const std::vector<Layout::Span>& spans) const;
  bool all_here(ReadId id, ParkedRead& read);
  void answer_reads(PieceIndex piece);
  void note_progress(PieceIndex piece, TimePoint now);
  void drop_read(std::map<ReadId, ParkedRead>::iterator it, TimePoint now);
  void forget_read(std::map<ReadId, ParkedRead>::iterator it);

  // torrent_explain.cc: what reads wait for, for people
  struct Blocker {
    WaitCause cause = WaitCause::handing_over;
    std::optional<Endpoint> peer;  ///< whom it is about: asked and overdue
  };
  std::pair<std::uint32_t, std::uint32_t> needed_blocks(const Layout::Span& span) const;
  WaitCause why_not_asked(PieceIndex piece) const;
  Blocker blocker(const Layout::Span& span, TimePoint now) const;
  Blocker blocker(const ParkedRead& read, TimePoint now) const;
  static PeerView view_peer(const Peer& peer);
  CopyView view_copy(const Peer& peer, const wire::BlockRef& block, TimePoint now) const;
  PieceView view_piece(const Layout::Span& span, TimePoint now) const;
  void trace_waits(TimePoint now);
  template <class Note>
  void trace_readers(PieceIndex piece, Note note);
  void trace_asked(const Peer& peer, PieceIndex piece, TimePoint now);
  void trace_arrival(const Peer& peer, const PartialPiece& partial, TimePoint now);

  // torrent_hashes.cc: BEP 52
  void ask_hashes(TimePoint now);
  static metainfo::merkle::HashRun run_of(const wire::HashRef& ref);
  void give_up_fetch(Peer& peer, wire::HashRef ref, bool refused, TimePoint now);
  static Duration hash_patience(const Peer& peer);
  void check_hash_fetches(Peer& peer, TimePoint now);
  bool owes_first_hashes(const Peer& peer) const;
  bool leaves_blocks_to_others(const Peer& peer, TimePoint now);
  bool knows_leaves(const Layout::Span& span) const;
  bool leaves_asked(const Layout::Span& span, std::uint32_t first_leaf, bool in_time) const;
  bool verifies_alone(const Layout::Span& span) const;
  void want_leaves(const Layout::Span& span, std::size_t most, TimePoint now);
  void want_leaves_of_reads(TimePoint now);
  void want_leaves_of_windows(TimePoint now);
  void on_hashes(Peer& peer, const wire::Hashes& message, TimePoint now);
  void on_hash_request(Peer& peer, const wire::HashRef& ref, TimePoint now);
  void answer_hash_request(Peer& peer, const wire::HashRef& ref, FileIndex file,
                           std::uint32_t piece_in_file, const metainfo::merkle::HashTree* below);
  void keep_leaves(PieceIndex piece);
  const metainfo::merkle::HashTree* file_tree(FileIndex file);
  std::optional<FileIndex> file_with_root(const Sha256Hash& root);
  /// Checks a received block if its leaf hash is known. False if it was wrong: then the block is
  /// discarded and its sender dropped.
  bool check_block(PartialPiece& partial, std::uint32_t block, TimePoint now);

  // torrent_layers.cc: BEP 52, where the manifest lacks piece layers
  bool may_ask_layers(const Peer& peer, TimePoint now) const;
  bool is_layer(const wire::HashRef& ref) const;
  wire::HashRef layer_run(FileIndex file, PieceIndex piece) const;
  bool wanted_now(FileIndex file) const;
  void want_layers(TimePoint now);
  void on_layer(Peer& peer, PieceIndex piece, const wire::Hashes& message, TimePoint now);

  std::shared_ptr<metainfo::PieceRoots> roots_;
  std::shared_ptr<const metainfo::Metainfo> metainfo_;
  const Layout& layout_;
  TorrentConfig config_;
  TorrentHost& host_;
  Rng rng_;
  PiecePicker picker_;
  Choker choker_;
  PeerBook book_;
  PeerExchange exchange_;

  std::uint64_t next_peer_ = 1;
  std::map<PeerId, std::unique_ptr<Peer>> peers_;
  std::vector<PeerId> dirty_;  ///< peers with bytes in `out`
  bool slot_freed_ = false;    ///< an unchoke ended between rounds
  bool refill_ = false;        ///< something became free: look at every peer's queue
  bool want_hashes_ = false;   ///< hashes may be missing and a peer may bring them: ask_hashes()
  std::size_t closing_ = 0;    ///< peers dropped in this event, erased at its end
  std::optional<TimePoint> made_room_at_;  ///< when a peer last gave way to a newcomer
  std::set<Endpoint> half_open_;
  ConnectionRoom places_;
  Holepunch holepunch_;
  std::set<Endpoint> shy_;  ///< hung up on a one-flight greeting
  std::map<PieceIndex, PartialPiece> partials_;
  std::map<PieceIndex, std::vector<Suspect>> suspects_;
  std::deque<PieceIndex> volatile_;  ///< verified, readable, not on disk
  std::vector<std::uint32_t> sent_per_piece_;
  std::vector<std::uint32_t> suggested_per_piece_;
  /// While seeding: who gets the first copy of a piece, and when a block of it last went out.
  struct FirstCopy {
    PeerId to;
    TimePoint begun, progress;
  };
  std::map<PieceIndex, FirstCopy> first_copies_;

  std::map<ReadId, ParkedRead> reads_;
  ReadTurns turns_;  ///< of all in reads_
  std::map<PieceIndex, std::vector<ReadId>> reads_by_piece_;
  std::map<HandleId, Window> windows_;
  unsigned pressing_run_ = 0;  ///< blocks of pressing windows since the last of a parked read

  /// Proven leaf hashes of pieces in flight, by block.
  std::map<PieceIndex, std::vector<std::optional<Sha256Hash>>> leaves_;
  LeafCache leaf_cache_;
  std::map<Sha256Hash, FileIndex> file_roots_;  ///< filled on first use
  std::map<FileIndex, metainfo::merkle::HashTree> trees_;
  std::map<PieceIndex, std::vector<std::pair<PeerId, wire::HashRef>>> leaf_requests_;
  std::set<FileIndex> lacking_;  ///< their piece layer is not complete

  bool paused_ = false;
  RateGate down_gate_, up_gate_;
  bool held_back_ = false;         ///< by the down limit, what a reader waits for as well
  std::deque<PeerId> send_turns_;  ///< who gets blocks under the up limit, whose turn it is first
  Bitfield pinned_;
  WantedPieces pinned_missing_;  ///< of those
  WantedPieces prefetch_;        ///< all missing

  bool contradicted_ = false;
  bool room_ = true;
  bool disk_full_ = false;
  TimePoint disk_failed_at_{};
  RateMeter down_, up_;
  std::uint64_t downloaded_ = 0, uploaded_ = 0, wasted_ = 0;
  std::uint64_t asked_blocks_ = 0;
  std::uint64_t duplicates_ = 0;  ///< of wasted_: what was here already when it came
  std::uint64_t hedged_ = 0;      ///< bytes asked twice though nobody waits for them yet
  std::uint32_t failed_pieces_ = 0, failed_blocks_ = 0;
  unsigned banned_ = 0;
  TimePoint wake_ = TimePoint::max();
};

}  // namespace swarmfs::engine
