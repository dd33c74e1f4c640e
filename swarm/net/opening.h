// A dial under way, and the stream that comes of it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "swarm/base/hash.h"
#include "swarm/net/dial_memory.h"
#include "swarm/net/dial_race.h"
#include "swarm/net/peer_dialer.h"

namespace swarmfs::net {

struct PeerDialer::Shared {
  std::vector<Lane> lanes;
  DialMemory memory;
};

/// Carries out a DialRace. The stream is handed over when the first way connects. Until a way is
/// answered, what is written is kept, and given to every way that connects; from then on everything
/// goes to the one that won. If that one hangs up when it has said its handshake and no more, all
/// is said again, carefully, on a new connection: whoever has the stream does not notice.
class Opening final : public std::enable_shared_from_this<Opening> {
 public:
  /// What may be written before the peer has answered.
  static constexpr std::size_t kMaxGreeting = 64 * 1024;

  Opening(boost::asio::any_io_executor executor, std::shared_ptr<PeerDialer::Shared> shared,
          const Endpoint& endpoint, const Sha1Hash& info_hash, std::vector<DialWay> ways,
          PeerDialer::Done done);
  void begin();
  /// Nobody waits for the dial any more: ends it if nothing was handed over.
  void let_go();

 private:
  class Stream;
  struct Runner {
    std::unique_ptr<PeerTransport::Attempt> attempt;
    std::unique_ptr<PeerStream> stream;
    std::size_t fed = 0;  ///< of what is to be said
    bool waits_to_write = false;
  };

  void act();
  void start(std::size_t way);
  void connected(std::size_t way, PeerTransport::Connected connected);
  void hear(std::size_t way);
  void feed(std::size_t way);
  void won(std::size_t way);
  void lost();
  void wake_later(std::function<void()> ready);
  PeerStream* open_stream() const;
  bool greeted() const;
  ssize_t heard(MutableByteView bytes);
  bool say_again();
  void note_said(std::span<const iovec> parts, std::size_t taken);

  // What the stream does.
  void wait_readable(std::function<void()> ready);
  void wait_writable(std::function<void()> ready);
  ssize_t read(MutableByteView into);
  ssize_t write(std::span<const iovec> parts);
  void close();

  boost::asio::any_io_executor executor_;
  std::shared_ptr<PeerDialer::Shared> shared_;
  Endpoint endpoint_;
  Sha1Hash info_hash_;
  DialRace race_;
  boost::asio::steady_timer timer_;
  std::vector<Runner> runners_;
  PeerStream* winner_ = nullptr;
  PeerDialer::Done done_;  ///< until something is handed over
  Error why_lost_;
  Bytes greeting_;  ///< what is to be said to whoever wins
  Bytes first_;     ///< what the winner said first
  /// Until the winner has said more than a handshake: what was written so far, if that may be said
  /// again, and the handshake as far as it came.
  std::optional<Bytes> said_ = Bytes();
  Bytes heard_;
  std::size_t repeated_ = 0;  ///< of heard_, when all is said again
  bool again_ = false;
  std::vector<Runner> buried_;  ///< of the first time: they may be what called
  std::function<void()> reader_, writer_;
  bool closed_ = false;
};

}  // namespace swarmfs::net
