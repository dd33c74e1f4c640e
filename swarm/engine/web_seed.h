// A web server that looks like one more peer: speaks the peer wire protocol to our own engine, and
// asks HTTP ranges for it (BEP 19, BEP 17).
//
// Sans-IO: bytes of both protocols and `now` come in, calls on a WebSeedHost go out. To the engine
// it is a peer that has everything, never chokes and answers requests; so requests, verification,
// blame, limits and everything said about them are the same as for any peer.
//
// Runs of adjacent blocks become one range. What continues the last range waits until it is worth
// a request of its own, so that a server that closes after so many requests is asked for few long
// ranges; what lies elsewhere, which somebody may be waiting for, goes out at once. Ranges are
// pipelined on few connections that are kept. A block goes to the engine when its last byte is
// here, while the rest of its range still comes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/engine/address_policy.h"
#include "swarm/engine/message_framer.h"
#include "swarm/engine/peer_pace.h"
#include "swarm/engine/web_seed_files.h"
#include "swarm/wire/handshake.h"
#include "swarm/wire/http_head.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

/// A connection to a web server; never reused.
using WebLine = StrongIndex<struct WebLineTag>;

/// Why a web seed is no peer any more.
struct WebSeedEnd {
  std::string why;                      ///< for people, without the URL
  std::optional<Duration> retry_after;  ///< as the server wishes
  bool for_good = false;                ///< trying again is of no use
};

/// What has been learnt of a web seed, kept from one connection to the next.
struct WebSeedMemory {
  struct Moved {
    wire::Url url;
    Scope scope;
    unsigned hops = 0;
    bool worked = false;  ///< it has brought something
  };
  std::map<WebSource, Moved> moved;          ///< by redirects
  std::map<WebSource, std::string> missing;  ///< what cannot be had there, and why
  std::uint64_t brought = 0;                 ///< bytes
  bool one_at_a_time = false;                ///< closes after each answer
};

/// What a WebSeed asks of the world. Calls come from inside its methods and must not call back
/// into it before they return.
class WebSeedHost {
 public:
  virtual ~WebSeedHost() = default;
  /// Connects to the server of a URL. Answer: on_open or on_lost.
  virtual void open(WebLine line, const wire::Url& url, Scope scope) = 0;
  /// Sends a GET, behind those sent on the line before. `range`: first and last byte, for a Range
  /// header. Answers: on_head, on_body ..., on_end; or on_lost.
  virtual void get(WebLine line, const wire::Url& url,
                   std::optional<std::pair<std::uint64_t, std::uint64_t>> range) = 0;
  /// Nothing comes of the line any more.
  virtual void close(WebLine line) = 0;
  /// The server took a connection: what say() gave and gives is from a peer at this address.
  virtual void ready(const Endpoint& server, Duration rtt) = 0;
  /// Bytes of the peer wire protocol for the engine, after the handshake.
  virtual void say(Bytes bytes) = 0;
  /// Worth a line for people.
  virtual void note(std::string line) = 0;
  /// Nothing is asked or said any more.
  virtual void ended(const WebSeedEnd& end) = 0;
};

class WebSeed {
 public:
  /// Longest run asked in one request.
  static constexpr std::uint32_t kMaxRange = 4 << 20;
  /// Connections to one server, and to all that redirects lead to.
  static constexpr unsigned kMaxLines = 2;
  static constexpr unsigned kMaxLinesInAll = 4;
  /// Answers waited for on one connection.
  static constexpr std::size_t kMaxPipelined = 16;
  /// A server that sends nothing for so long while it owes an answer has stalled.
  static constexpr Duration kSilence = std::chrono::seconds(10);
  /// Failures in a row, without a byte between them, that end it.
  static constexpr unsigned kMaxFailures = 3;
  /// A server that ignores ranges sends whole files: what lies deeper in one is not waited for.
  static constexpr std::uint64_t kNear = 1 << 20;
  static constexpr unsigned kMaxHops = 5;
  /// Bytes that nobody wants and that are taken all the same, to keep a connection.
  static constexpr std::uint64_t kDrained = 64 << 10;
  /// So many files that are not there, before any byte of another came, are all of them.
  static constexpr std::size_t kHopeless = 8;
  /// Requests kept at a time, which is more than the engine makes.
  static constexpr std::size_t kMaxWanted = 2000;
  static constexpr unsigned kReqq = 1000;

  /// `name`: how the peer calls itself. `host` outlives it.
  WebSeed(std::shared_ptr<const WebSeedFiles> files, std::shared_ptr<WebSeedMemory> memory,
          Scope scope, std::string name, WebSeedHost& host);

  /// The handshake of such a peer: of the v1 hash if there is one, since no hashes of BEP 52 are to
  /// be had from it. `client` distinguishes it from other web seeds.
  static wire::Handshake handshake(const InfoHashes& hashes, const wire::ClientId& client);

  void start(TimePoint now);
  /// Bytes that the engine sends its peer, from its handshake on.
  void on_wire(ByteView bytes, TimePoint now);

  void on_open(WebLine line, const Endpoint& server, Duration rtt, TimePoint now);
  void on_head(WebLine line, const wire::HttpHead& head, TimePoint now);
  void on_body(WebLine line, ByteView bytes, TimePoint now);
  /// An answer is complete; `kept`: the line takes more requests.
  void on_end(WebLine line, bool kept, TimePoint now);
  /// It could not be opened, or has ended.
  void on_lost(WebLine line, const std::string& why, TimePoint now);

  TimePoint deadline() const;
  void on_timer(TimePoint now);
  /// It was us who did not read: silence until now is not held against the servers.
  void pardon(TimePoint now);
  /// Ends it from outside: it lied (for good), or is not needed.
  void end(WebSeedEnd why);
  bool ended() const { return ended_; }

 private:
  using WantedId = std::uint64_t;
  /// A request of the engine.
  struct Wanted {
    wire::BlockRef block;
    Bytes message;  ///< the piece message to be
    std::uint32_t missing = 0;
  };
  /// Bytes of a source that belong to a request.
  struct Segment {
    WantedId wanted;
    std::uint32_t at;  ///< in its message
    WebSource source;
    std::uint64_t offset;
    std::uint32_t length;
  };
  /// What is still to come of a range asked for.
  struct Range {
    WebSource source;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::deque<Segment> segments;
    wire::Url url;  ///< that was asked
  };
  enum class Body : std::uint8_t { none, wanted, unwanted, seconds };
  struct Line {
    std::string origin;
    Scope scope;
    bool open = false;
    Endpoint server;
    Duration rtt{};
    std::deque<Range> flying;
    Body body = Body::none;
    std::uint64_t skip = 0;   ///< bytes of the body before the wanted ones
    std::uint64_t after = 0;  ///< and behind them
    std::string text;         ///< Body::seconds
    bool answered = false;
    bool delivered = false;
    TimePoint heard;
    std::uint64_t bytes() const;
  };
  struct Place {
    wire::Url url;
    Scope scope;
  };

  // The engine's side
  bool on_message(ByteView frame, TimePoint now);
  void on_request(const wire::BlockRef& block);
  void on_cancel(const wire::BlockRef& block, TimePoint now);
  void reject(const wire::BlockRef& block);
  void greet();
  bool has(PieceIndex piece) const;
  void hand_on(WantedId id);

  // Asking
  bool alive(const Segment& segment) const { return wanted_.contains(segment.wanted); }
  bool worth_sending() const;
  void send(TimePoint now);
  Range take_run();
  Place place_of(const Range& range) const;
  Line* line_for(const Range& range, WebLine& id);
  void open_line(const wire::Url& url, Scope scope);

  // The server's side
  Line* find(WebLine line);
  std::string judge_range(const Range& range, const wire::HttpHead& head) const;
  void take_part(Line& line, const wire::HttpHead& head);
  void take_whole(Line& line, const wire::HttpHead& head);
  void redirected(Line& line, const wire::HttpHead& head);
  std::string follow(const Line& line, const wire::HttpHead& head);
  void ask_again(Line& line);
  void busy(Line& line, const wire::HttpHead& head);
  ByteView deliver(Line& line, ByteView bytes);
  void worked(const Line& line);
  void refuse(Line& line);
  void failed(Line& line, const std::string& why);
  void lose(WebSource source, const std::string& why);
  void requeue(Line& line);
  void drop_line(WebLine id, bool close);
  void trouble(WebLine id, const std::string& why, bool close, TimePoint now);
  void drop_dead(TimePoint now);

  std::shared_ptr<const WebSeedFiles> files_;
  std::shared_ptr<WebSeedMemory> memory_;
  Scope scope_;
  std::string name_;
  WebSeedHost& host_;
  MessageFramer framer_;
  std::uint8_t dont_have_id_ = 0;
  bool introduced_ = false;
  bool ended_ = false;
  std::map<WantedId, Wanted> wanted_;
  std::map<wire::BlockRef, WantedId> by_block_;
  WantedId next_wanted_ = 0;
  std::deque<Segment> unsent_;
  std::map<WebLine, Line> lines_;
  WebLine next_line_;
  bool one_line_ = false;                                          ///< more were not to be had
  std::optional<std::pair<WebSource, std::uint64_t>> last_asked_;  ///< where the last range ended
  unsigned failures_ = 0;
  RateMeter rate_;
};

}  // namespace swarmfs::engine
