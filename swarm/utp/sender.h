// What goes to the other side: packets that wait, are under way, or are lost.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "swarm/base/bytes.h"
#include "swarm/base/clock.h"
#include "swarm/utp/packet.h"

namespace swarmfs::utp {

/// Numbers packets, keeps their bytes until they have arrived, and finds out which are lost: those
/// that were sent some packets before one that has arrived (RFC 9002's packet threshold, which
/// knows retransmissions from originals). How much may be under way is not decided here.
class Sender {
 public:
  /// Bytes that may wait to be sent for the first time: what was taken cannot be overtaken by
  /// something more urgent, and with too little the line runs dry.
  static constexpr std::size_t kMinUnsent = std::size_t{16} << 10;
  static constexpr std::size_t kMaxUnsent = std::size_t{128} << 10;
  /// Packets that may be under way, so that their 16 bits tell them apart.
  static constexpr std::size_t kMaxUnderWay = 8192;

  struct Outgoing {
    std::unique_ptr<std::uint8_t[]> bytes;  ///< kHeaderSize for the header, then the payload
    std::size_t payload = 0;
    std::uint64_t order = 0;  ///< among all transmissions
    TimePoint sent{};
    std::uint8_t transmissions = 0;
    bool fin = false;
    bool arrived = false;
    bool lost = false;
  };
  struct Acked {
    std::size_t bytes = 0;  ///< that have arrived, as is now known
    bool progress = false;  ///< a packet has arrived, which may have no bytes
    std::optional<Duration> rtt;
    bool loss = false;  ///< a loss that is news: not of a window that was cut for one already
  };

  /// `first` is the number of the first packet; `max_payload` bytes are put into one at most.
  Sender(std::uint64_t first, std::size_t max_payload) : first_(first), max_payload_(max_payload) {}

  /// Takes bytes as far as there is room for them; returns how many.
  std::size_t write(ByteView bytes);
  /// What is written next begins a packet.
  void cut() { cut_ = true; }
  std::size_t room() const {
    return unsent_bytes_ < unsent_most_ ? unsent_most_ - unsent_bytes_ : 0;
  }
  /// There is room for a good part of what there may be.
  bool roomy() const { return room() >= unsent_most_ / 4; }
  /// As many bytes may wait as go in a round trip.
  void set_window(std::size_t window) { unsent_most_ = std::clamp(window, kMinUnsent, kMaxUnsent); }
  /// Ends the stream after what was written. Idempotent.
  void finish();

  /// A packet that is to go now, or nullptr: lost ones first. The caller sends it and says sent().
  const Outgoing* next(std::size_t window) const;
  std::uint64_t next_seq() const;
  bool next_is_fin() const { return packets_[next_index()].fin; }
  /// kHeaderSize bytes for the header, then the payload; stays until the packet has arrived.
  MutableByteView next_bytes();
  void sent(TimePoint now);
  /// Has one packet that is under way sent again, so that the answer says what has become of it and
  /// those before. False if there is none.
  bool probe();
  /// Takes everything that is under way for lost.
  void on_timeout();

  /// `acked` is the last packet that has arrived with all before it.
  Acked on_ack(std::uint64_t acked, ByteView selective_ack, bool pure, Duration min_rtt,
               TimePoint now);
  /// Whether a packet number that the other side names was given out: from one before the oldest
  /// that is under way, less `slack`.
  bool plausible(std::uint64_t acked, std::uint64_t slack) const {
    return acked + slack + 1 >= first_ && acked < end_of_sent();
  }

  std::uint64_t first() const { return first_; }
  /// The number after that of the last packet that was sent.
  std::uint64_t end_of_sent() const { return first_ + sent_; }
  bool idle() const { return sent_ == 0; }  ///< all that was sent has arrived
  bool all_sent() const { return sent_ == packets_.size() && lost_ == 0; }
  bool drained() const { return packets_.empty(); }
  std::size_t max_payload() const { return max_payload_; }

 private:
  std::size_t next_index() const;
  void arrive(Outgoing& packet, Acked& result, Duration min_rtt, TimePoint now);
  void lose(Outgoing& packet, Acked& result);
  void find_losses(Acked& result);

  std::uint64_t first_;  ///< the number of packets_.front()
  std::size_t max_payload_;
  std::deque<Outgoing> packets_;
  std::size_t sent_ = 0;  ///< how many of packets_ were sent at least once
  std::size_t lost_ = 0;
  bool cut_ = false;
  mutable std::size_t lost_hint_ = 0;  ///< no lost packet is before this one
  std::size_t unsent_bytes_ = 0;
  std::size_t unsent_most_ = kMaxUnsent;
  std::size_t flight_ = 0;
  std::uint64_t next_order_ = 1;
  std::uint64_t arrived_order_ = 0;  ///< the latest transmission that has arrived
  std::uint64_t cut_order_ = 0;      ///< losses of transmissions before this are no news
  std::uint64_t reordering_ = 3;     ///< by how many transmissions one may be late
  unsigned duplicate_acks_ = 0;
};

}  // namespace swarmfs::utp
