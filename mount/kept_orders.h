// What `pause`, `resume` and `limit` ordered while a mount ran, kept so that a new process with the
// same options goes on from there: somebody who pays for every byte must not find that a crash has
// set it going again.
//
// One JSON file beside the control socket, {"for","limits","torrents":{HASH:{"paused","limits"}}},
// replaced as a whole.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "mount/limits.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

/// Thread-safe.
class KeptOrders {
 public:
  /// As a torrent was last ordered to be.
  struct Order {
    bool paused = false;
    Limits limits;
  };

  /// Reads what was kept if it was for the same `options`, any text; else removes it, as it does
  /// with what it cannot read.
  KeptOrders(std::filesystem::path file, const std::string& options);

  /// Of all torrents together, if they were changed.
  std::optional<Limits> limits() const;
  /// `hash`: the primary info hash, in hexadecimal. Never waits for the disk.
  std::optional<Order> of(const std::string& hash) const;

  // Each holds from now on, whether or not it could be written down; may wait for the disk.
  Result<> set_limits(const Limits& limits);
  Result<> set(const std::string& hash, const Order& order);
  /// The torrent has left: if it comes again it begins anew.
  Result<> forget(const std::string& hash);
  /// The mount has ended in order: nothing is kept.
  void clear();

 private:
  void load();
  Result<> write();

  const std::filesystem::path file_;
  const std::string made_for_;  ///< of the options: they may be any bytes
  std::mutex writing_;          ///< one at a time, the latest last
  mutable std::mutex mutex_;    ///< guards what follows; not held while the disk is waited for
  std::optional<Limits> limits_;
  std::map<std::string, Order> orders_;
};

}  // namespace swarmfs::mount
