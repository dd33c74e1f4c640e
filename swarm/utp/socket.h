// One uTP connection (BEP 29) as a state machine: packets and `now` in, packets out, one deadline.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>

#include "swarm/base/clock.h"
#include "swarm/base/endpoint.h"
#include "swarm/utp/congestion.h"
#include "swarm/utp/delay_history.h"
#include "swarm/utp/packet.h"
#include "swarm/utp/receiver.h"
#include "swarm/utp/rtt.h"
#include "swarm/utp/sender.h"

namespace swarmfs::utp {

/// Where packets go.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  /// Sends datagrams to one endpoint, in order; the views are good for the call. False means that
  /// the network takes no more for now, and that some of these are lost, or will go later.
  virtual bool send(const Endpoint& to, std::span<const ByteView> datagrams) = 0;
};

/// Who uses a connection.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// Something has come, there is room again, or the state has changed. May call the socket.
  virtual void changed() = 0;
};

/// Made and owned by a Mux. Calls that make something to send take effect at the Mux's next flush.
class Socket {
 public:
  /// The connection's own number among all of the Mux, for order.
  using Id = std::uint64_t;
  enum class State : std::uint8_t {
    syn_sent,      ///< we asked
    syn_received,  ///< we were asked, and nothing shows yet that our answer has arrived
    connected,
    ended,  ///< by a reset, or because nothing came any more: error() says which
  };

  /// Bounds of time, all from the last sign of life.
  static constexpr Duration kConnectLimit = std::chrono::seconds(10);
  static constexpr Duration kSilenceLimit = std::chrono::seconds(60);  ///< with something under way
  static constexpr Duration kLinger = std::chrono::seconds(5);         ///< after close()
  /// NATs forget a UDP flow after 30 s and more.
  static constexpr Duration kKeepAlive = std::chrono::seconds(25);
  static constexpr Duration kDelayedAck = std::chrono::milliseconds(10);

  struct Start {
    Id id = 0;
    Endpoint remote;
    std::uint16_t receive_id = 0;  ///< BEP 29: conn_id_recv
    std::uint16_t send_id = 0;     ///< BEP 29: conn_id_send
    std::uint16_t seq = 1;         ///< the first number that we use
  };
  /// Asks for a connection.
  Socket(const Start& start, ReceiveBudget& budget, TimePoint now);
  /// Answers a SYN.
  Socket(const Start& start, const Packet& syn, ReceiveBudget& budget, TimePoint now);

  // For its user.
  State state() const { return state_; }
  /// An errno once it has ended, else 0.
  int error() const { return error_; }
  const Endpoint& remote() const { return remote_; }
  void watch(Watcher* watcher) { watcher_ = watcher; }
  /// As recv(2): bytes, 0 at the end, -1 with `error` set to an errno, EAGAIN among them.
  std::ptrdiff_t read(MutableByteView into, int& error);
  /// As send(2); takes less than it is given when there is no room for more.
  std::ptrdiff_t write(ByteView bytes, int& error);
  /// What is written next begins a packet.
  void cut() { sender_.cut(); }
  bool readable() const;
  bool writable() const;
  std::optional<Duration> shortest_rtt() const { return rtt_.shortest(); }
  /// Has the watcher called once more in the next flush, news or not.
  void poke() { news_ = true; }
  /// What was written still goes out, for kLinger at most; then a FIN. Nothing more is read, and
  /// the watcher is not called any more. The socket is the Mux's alone from here on.
  void close(TimePoint now);

  // For the Mux.
  Id id() const { return id_; }
  std::uint16_t receive_id() const { return receive_id_; }
  std::uint16_t send_id() const { return send_id_; }
  void on_packet(const Packet& packet, TimePoint now);
  void on_timer(TimePoint now);
  /// Sends what may go now. False if the sink took no more.
  bool flush(PacketSink& sink, TimePoint now);
  /// Tells the watcher, if there is news since the last time.
  void tell();
  bool has_news() const { return news_ && watcher_ != nullptr; }
  /// Ends it at once, without a word to the other side.
  void abort() { end(ECONNABORTED); }
  std::optional<TimePoint> deadline() const;
  /// Nobody needs it any more.
  bool finished() const { return closed_ && (state_ == State::ended || sender_.drained()); }
  /// What tells the other side that there is no such connection any more.
  Packet reset(TimePoint now) const;
  bool closed() const { return closed_; }
  const Congestion& congestion() const { return congestion_; }

 private:
  bool on_answer(const Packet& packet, TimePoint now);
  void on_ack(const Packet& packet, std::uint64_t acked, TimePoint now);
  void on_reset(const Packet& packet);
  void take(const Packet& packet, TimePoint now);
  Duration measure(const Packet& packet, TimePoint now);
  void end(int error);
  void on_silence(TimePoint now);
  void arm(TimePoint now);
  Packet head(PacketType type, std::uint64_t seq, TimePoint now) const;
  bool send_one(PacketSink& sink, const Packet& packet, TimePoint now);
  bool send_data(PacketSink& sink, TimePoint now);
  bool may_send(TimePoint now);
  bool in_pace(TimePoint now);
  void acked();

  Id id_;
  Endpoint remote_;
  std::uint16_t receive_id_;
  std::uint16_t send_id_;
  State state_;
  int error_ = 0;
  Watcher* watcher_ = nullptr;
  bool news_ = false;
  bool closed_ = false;
  TimePoint closed_at_{};

  Sender sender_;
  Receiver receiver_;
  Congestion congestion_;
  Rtt rtt_;
  DelayHistory ours_;    ///< of our packets, as the other side tells
  DelayHistory theirs_;  ///< of theirs, as we see it
  std::uint32_t their_delay_us_ = 0;
  std::uint32_t peer_window_ = 0;
  bool limited_ = false;   ///< by the congestion window, since the last ack
  bool was_full_ = false;  ///< write() has refused something
  std::uint32_t told_window_ = 0;

  bool ack_now_ = false;
  unsigned unacked_packets_ = 0;
  std::optional<TimePoint> ack_at_, again_at_, probe_at_, pace_at_;
  bool window_probe_ = false;  ///< one packet may go although the other side has no room
  unsigned timeouts_ = 0;      ///< in a row
  bool syn_due_ = false;
  TimePoint began_, last_heard_, last_sent_, waiting_since_;
  double pace_credit_ = 0;
  TimePoint paced_at_{};
};

}  // namespace swarmfs::utp
