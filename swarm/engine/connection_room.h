// How many connections there may be: of one torrent, and of all of them together.
//
// A connection counts as established once the other's handshake has come. Dials count against
// further dials alone, and not against whoever comes in: else peers that dial each other would all
// refuse each other, each because of its own dials. So there may be more connections than allowed
// for as long as dials are answered; when one is, and it is one too many, pair_rank() says who
// goes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "swarm/wire/handshake.h"

namespace swarmfs::engine {

struct ConnectionCounts {
  unsigned established = 0;
  unsigned opening = 0;  ///< dials on their way, and those not answered yet
};

/// Of all torrents together.
struct CommonRoom {
  unsigned most = 0;  ///< 0: as many as the torrents may have
  ConnectionCounts now{};

  bool full() const { return most != 0 && now.established >= most; }
  bool over() const { return most != 0 && now.established > most; }
  bool may_dial() const { return most == 0 || now.established + now.opening < most; }
};

/// One torrent's part. Not thread-safe.
class ConnectionRoom {
 public:
  /// `common` is shared with the other torrents, and may be null. `most` is over 0.
  ConnectionRoom(unsigned most, std::shared_ptr<CommonRoom> common)
      : most_(most), common_(std::move(common)) {}
  ~ConnectionRoom() { leave(); }
  ConnectionRoom(const ConnectionRoom&) = delete;
  ConnectionRoom& operator=(const ConnectionRoom&) = delete;

  void set_most(unsigned most) { most_ = most; }
  unsigned most() const { return most_; }
  /// How many there are now.
  void count(const ConnectionCounts& counts) {
    if (common_) {
      common_->now.established += counts.established - counts_.established;
      common_->now.opening += counts.opening - counts_.opening;
    }
    counts_ = counts;
  }

  /// Gives all back, and touches what is shared no more: before the end, where that is on another
  /// thread.
  void leave() {
    count({});
    common_.reset();
  }

  /// Nobody more may come in.
  bool full() const { return counts_.established >= most_ || (common_ && common_->full()); }
  /// There are too many.
  bool over() const { return counts_.established > most_ || (common_ && common_->over()); }
  /// Only the other torrents are in the way of another dial.
  bool others_in_the_way() const { return common_ && !common_->may_dial(); }

 private:
  unsigned most_;
  std::shared_ptr<CommonRoom> common_;
  ConnectionCounts counts_;
};

/// Which connection is kept where two peers have too many of them: that of the higher rank. Both
/// ends compute the same one, whoever asks first. So of connections that peers make to each other
/// all at once, the one with the highest rank is given up by neither of its ends.
std::uint32_t pair_rank(const wire::ClientId& a, const wire::ClientId& b);

/// The number of connections that each torrent may keep, so that all together have `most` at most;
/// those with fewer keep all of theirs.
unsigned fair_share(std::span<const unsigned> connections, unsigned most);

}  // namespace swarmfs::engine
