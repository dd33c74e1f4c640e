// All uTP connections behind one UDP port: which packet is whose, and when what is due.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "swarm/base/clock.h"
#include "swarm/utp/socket.h"

namespace swarmfs::utp {

/// Sans-IO and single-threaded. What comes is put in with on_datagram() or on_timer(); nothing is
/// sent and nobody is told anything before the flush() after that, so that packets that came
/// together are answered together.
class Mux {
 public:
  static constexpr std::size_t kMaxSockets = 2000;
  /// Asked for by others, who have not shown yet that they get our answers; the oldest gives way.
  static constexpr std::size_t kMaxHalfOpen = 128;
  /// RFC 1122's spirit: answers to packets of connections that do not exist, a second.
  static constexpr unsigned kMaxResets = 50;

  /// `accepted` gets every connection that others have opened, in flush(). It is used as one of
  /// connect(). `sink` outlives the Mux. The seed must not be known to strangers.
  Mux(PacketSink& sink, std::function<void(Socket&)> accepted, std::uint64_t seed);

  /// Opens a connection. It is there until its user has called close() on it, and then it is gone
  /// with the next flush() or later. nullptr if there are too many.
  Socket* connect(const Endpoint& remote, TimePoint now);
  /// To be called after read, write or close of a socket: the next flush() looks at it.
  void touch(Socket& socket);

  /// Any datagram: what is no packet of uTP is ignored.
  void on_datagram(const Endpoint& from, ByteView datagram, TimePoint now);
  void on_timer(TimePoint now);
  /// The network takes datagrams again.
  void on_writable() { blocked_ = false; }
  /// Tells users what is new, and sends what may be sent.
  void flush(TimePoint now);
  /// Ends all connections with a reset to each peer. Their users are told.
  void shutdown(TimePoint now);

  /// When on_timer() is due; nothing while there are no connections.
  std::optional<TimePoint> deadline() const;
  /// The sink has refused something: on_writable() is awaited.
  bool blocked() const { return blocked_; }
  /// There is more for flush() to do, after a bounded part of it.
  bool busy() const { return !touched_.empty(); }
  std::size_t size() const { return sockets_.size(); }
  ReceiveBudget& budget() { return budget_; }

 private:
  struct Key {
    Endpoint remote;
    std::uint16_t receive_id = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    template <class... Args>
    explicit Entry(Args&&... args) : socket(std::forward<Args>(args)...) {}
    Socket socket;
    bool touched = false;
    std::optional<TimePoint> timer;  ///< as it stands in timers_
  };
  static Key key_of(const Socket& socket) { return {socket.remote(), socket.receive_id()}; }
  Entry* find(const Key& key);
  Entry* find_for_reset(const Endpoint& from, std::uint16_t id);
  void touch(Entry& entry);
  void on_syn(const Endpoint& from, const Packet& syn, TimePoint now);
  void answer_stranger(const Endpoint& to, const Packet& packet, TimePoint now);
  void set_timer(Entry& entry);
  void erase(Entry& entry);

  PacketSink& sink_;
  std::function<void(Socket&)> accepted_;
  Rng rng_;
  ReceiveBudget budget_;
  std::map<Key, Entry> sockets_;
  Entry* latest_ = nullptr;  ///< whose packet came last: mostly the next one's too
  std::map<Socket::Id, Entry*> half_open_;
  std::vector<Entry*> touched_;
  std::set<std::pair<TimePoint, Key>> timers_;
  Socket::Id next_id_ = 1;
  bool blocked_ = false;
  unsigned resets_ = 0;  ///< since resets_from_
  TimePoint resets_from_{};
};

}  // namespace swarmfs::utp
