// Hears from the kernel when this machine's networks change.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "swarm/base/fd.h"
#include "swarm/base/result.h"
#include "swarm/engine/network_changes.h"

namespace swarmfs::net {

/// On the executor's thread.
class NetworkWatch {
 public:
  using Changed = std::function<void(const engine::NetworkChange&)>;

  /// `changed` is called from the loop. Errors: the system's, where it
  /// does not let us listen (netlink(7)).
  static Result<std::unique_ptr<NetworkWatch>> start(boost::asio::any_io_executor executor,
                                                     Changed changed);

 private:
  NetworkWatch(const boost::asio::any_io_executor& executor, Fd socket, Changed changed);
  void wait_for_news();
  void arm();

  boost::asio::posix::stream_descriptor news_;
  boost::asio::steady_timer timer_;
  engine::NetworkChanges changes_;
  Changed changed_;
  /// Held weakly by what is under way: gone means we are.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
