// Fetches the info dictionary of a torrent that is known by its hash alone (BEP 9).
//
// Sans-IO, in the manner of Torrent: events and `now` come in, calls on a MetadataHost go out, and
// deadline() says when to call on_timer().
//
// Peers that claim the same size fill one copy together, each piece being asked of another peer,
// and of a second one when none is left to ask. A copy whose hash is wrong names its liar if it is
// of one peer; else all who claim that size fill copies of their own from then on, so that none of
// them spoils another's. What a peer says costs memory only as its bytes arrive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/base/hash.h"
#include "swarm/base/result.h"
#include "swarm/base/strong_index.h"
#include "swarm/engine/adopted_peer.h"
#include "swarm/engine/message_framer.h"
#include "swarm/engine/peer_book.h"
#include "swarm/wire/handshake.h"
#include "swarm/wire/metadata_message.h"

namespace swarmfs::engine {

/// What MetadataFetch asks of the world: the same calls, with the same rules, as TorrentHost has.
class MetadataHost {
 public:
  virtual ~MetadataHost() = default;
  virtual void send(PeerId peer, Bytes bytes) = 0;
  virtual void disconnect(PeerId peer, std::string_view reason) = 0;
  virtual void dial(const Endpoint& endpoint) = 0;
  virtual void need_peers() = 0;
  virtual void log(int level, std::string_view line) = 0;
};

struct MetadataConfig {
  InfoHashes hashes;  ///< one at least; the dictionary must match all that are here
  wire::ClientId client_id{};
  std::string client_name = "swarmfs";
  std::uint16_t listen_port = 0;  ///< told to peers; 0: none
  PeerBookConfig peer_book;
};

class MetadataFetch {
 public:
  /// Bytes of unfinished copies; beyond, the largest goes, with the peers that fill it.
  static constexpr std::uint64_t kMaxHeld = 64 << 20;
  /// Bytes that a peer may say before the torrent is known, and its connection still be kept. The
  /// longest bitfield is 256 KiB.
  static constexpr std::size_t kMaxReceived = 320 * 1024;
  static constexpr unsigned kMaxPeers = 60;
  /// A request that nobody answers for so long is made to another peer.
  static constexpr Duration kRequestTimeout = std::chrono::seconds(4);
  /// Who brings nothing for so long gives its place to another.
  static constexpr Duration kUsefulWithin = std::chrono::seconds(30);
  /// Who rejects is asked again after this time: it may get the dictionary itself.
  static constexpr Duration kRejectRest = std::chrono::seconds(10);

  /// `host` outlives this.
  MetadataFetch(MetadataConfig config, MetadataHost& host, std::uint64_t seed);
  ~MetadataFetch();

  // As of Torrent.
  void add_candidates(std::span<const Endpoint> endpoints, PeerSource source, TimePoint now);
  std::optional<PeerId> add_peer(const Endpoint& endpoint, std::optional<wire::Handshake> theirs,
                                 std::optional<Duration> rtt, TimePoint now);
  void on_dial_failed(const Endpoint& endpoint, TimePoint now);
  /// Our network came back or is another: whom we did not reach is dialled again now.
  void network_changed(TimePoint now);
  void on_received(PeerId peer, ByteView bytes, TimePoint now);
  void on_closed(PeerId peer, TimePoint now);
  void set_filter(AddressFilterPtr filter, TimePoint now);
  TimePoint deadline() const { return wake_; }
  void on_timer(TimePoint now);
  bool is_our_hash(const Sha1Hash& hash) const;

  /// The info dictionary, once it is here. Connections stay, and are asked nothing more.
  const std::optional<Bytes>& metadata() const { return metadata_; }
  /// Why there will never be one: its two hashes are of two dictionaries.
  const std::optional<Error>& failed() const { return failed_; }

  struct Stats {
    unsigned peers = 0;                ///< whose handshake has come
    unsigned offering = 0;             ///< of them: say that they have it
    std::size_t known = 0;             ///< addresses
    std::uint32_t size = 0, here = 0;  ///< bytes: of the copy that is nearest to its end
  };
  Stats stats() const;

  /// A connected peer for the torrent to take over; nothing if it is not worth keeping or unknown.
  /// From then on it is not this object's any more.
  std::optional<AdoptedPeer> release(PeerId peer);
  /// All addresses that were given, with who gave them.
  const std::map<Endpoint, PeerSource>& candidates() const { return candidates_; }

 private:
  struct Asked {
    std::uint32_t piece = 0;
    TimePoint at;
    bool counted = true;  ///< in Piece::asked
  };
  struct Peer;
  struct Piece {
    Bytes bytes;         ///< empty: not here
    PeerId from;         ///< who brought it
    unsigned asked = 0;  ///< of so many peers that are expected to answer
  };
  /// A dictionary being put together, of a size that somebody claims.
  struct Copy {
    std::vector<Piece> pieces;
    std::uint32_t left = 0;  ///< pieces
    std::uint64_t held = 0;  ///< bytes
  };
  /// The size, and whose alone it is; nobody's in particular: PeerId(0).
  using CopyKey = std::pair<std::uint32_t, PeerId>;

  Peer* find(PeerId id);
  void greet(Peer& peer, const wire::Handshake* theirs);
  void accept_handshake(Peer& peer, const wire::Handshake& theirs, TimePoint now);
  void extend(Peer& peer);
  bool on_frame(Peer& peer, ByteView frame, bool is_handshake, TimePoint now);
  void on_extension_handshake(Peer& peer, ByteView payload, TimePoint now);
  void on_metadata_message(Peer& peer, ByteView payload, TimePoint now);
  void on_data(Peer& peer, const wire::MetadataMessage& message, TimePoint now);
  void keep_for_torrent(Peer& peer, ByteView frame);
  CopyKey copy_of(const Peer& peer) const;
  Copy* find_copy(const Peer& peer);
  void ask_all(TimePoint now);
  void ask(Peer& peer, TimePoint now);
  static std::optional<std::uint32_t> choose(const Peer& peer, const Copy& copy);
  void not_coming(const Peer& peer, const Asked& asked);
  void give_back(Peer& peer);
  void whole(const CopyKey& key, TimePoint now);
  void limit_memory(TimePoint now);
  void drop(Peer& peer, std::string_view reason, CloseReason kind, TimePoint now);
  void forget(Peer& peer, CloseReason kind, TimePoint now);
  void ban(Peer& peer, std::string_view why, TimePoint now);
  void check_timers(Peer& peer, TimePoint now);
  void dial_more(TimePoint now);
  void finish_event(TimePoint now);

  const MetadataConfig config_;
  MetadataHost& host_;
  PeerBook book_;
  std::map<Endpoint, PeerSource> candidates_;
  std::set<Endpoint> half_open_;
  std::set<Endpoint> shy_;  ///< hung up on all that came with our handshake
  std::uint64_t next_peer_ = 1;
  std::map<PeerId, std::unique_ptr<Peer>> peers_;
  std::map<CopyKey, Copy> copies_;
  std::set<std::uint32_t> spoilt_;  ///< sizes of which a shared copy was wrong
  std::uint64_t held_ = 0;
  std::optional<Bytes> metadata_;
  std::optional<Error> failed_;
  TimePoint wake_ = TimePoint::max();
};

}  // namespace swarmfs::engine
