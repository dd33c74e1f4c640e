// What has come from the other side and not been read yet.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "swarm/base/bytes.h"

namespace swarmfs::utp {

/// What all connections together may hold of bytes that nobody has read. Outlives them.
struct ReceiveBudget {
  std::size_t limit = std::size_t{64} << 20;
  std::size_t used = 0;
  std::size_t left() const { return used < limit ? limit - used : 0; }
};

/// Puts packets in order. Bytes are held once, in order or early, and bounded by the window that is
/// offered, whatever the other side sends.
class Receiver {
 public:
  static constexpr std::size_t kMaxHeld = std::size_t{4} << 20;
  /// A connection has this much, whatever others hold.
  static constexpr std::size_t kOwnShare = std::size_t{64} << 10;
  /// How far ahead of the next packet one may be.
  static constexpr std::uint64_t kMaxAhead = 8192;

  explicit Receiver(ReceiveBudget& budget) : budget_(budget) {}
  Receiver(const Receiver&) = delete;
  ~Receiver();

  /// The number of the first packet.
  void start(std::uint64_t first) { next_ = first; }
  /// Takes what is new and has room; the rest comes again. False if there was no room.
  bool on_data(std::uint64_t seq, ByteView payload);
  /// Nothing comes after this packet. Only the first word on that counts.
  void on_fin(std::uint64_t seq);

  /// Moves bytes out, in order.
  std::size_t read(MutableByteView into);
  std::size_t readable() const { return readable_; }
  /// Everything up to the end has come.
  bool ended() const { return fin_ && next_ > *fin_; }
  /// Forgets everything: nobody will read it.
  void discard();

  /// The number of the packet that is missing next.
  std::uint64_t next() const { return next_; }
  /// Bytes that may still come.
  std::size_t window() const;
  bool has_gaps() const { return !early_.empty(); }
  /// BEP 29: which packets from next() + 1 on are here; at least 4 bytes and at most
  /// kMaxSelectiveAck.
  Bytes selective_ack() const;

 private:
  /// What a packet that came early costs beside its bytes.
  static constexpr std::size_t kEarlyCost = 128;
  static constexpr std::size_t kChunk = std::size_t{16} << 10;
  struct Chunk {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t begin = 0, end = 0;
  };
  void append(ByteView payload);
  void hold(std::size_t n);
  void release(std::size_t n);

  ReceiveBudget& budget_;
  std::uint64_t next_ = 0;
  std::optional<std::uint64_t> fin_;
  std::deque<Chunk> chunks_;
  std::size_t readable_ = 0;
  std::map<std::uint64_t, Bytes> early_;
  std::size_t held_ = 0;  ///< bytes counted in the budget
};

}  // namespace swarmfs::utp
