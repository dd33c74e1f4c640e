#include "swarm/net/tcp_transport.h"

#include <utility>

#include "swarm/net/task.h"
#include "swarm/net/tcp_stream.h"

namespace swarmfs::net {

namespace {

class Handle final : public PeerTransport::Attempt {
 public:
  explicit Handle(std::shared_ptr<Task> task) : task_(std::move(task)) {}
  ~Handle() override { task_->cancel(); }

 private:
  std::shared_ptr<Task> task_;
};

}  // namespace

std::unique_ptr<PeerTransport::Attempt> TcpTransport::connect(const Endpoint& endpoint, Done done) {
  using Opened = std::unique_ptr<Route::Connected>;
  std::function<void(Result<Opened>)> opened = [done = std::move(done)](Result<Opened> result) {
    if (!result) return done(result.error());
    Route::Connected& made = **result;
    done(Connected{std::make_unique<TcpStream>(std::move(made.socket), made.proxied), made.rtt});
  };
  // The route's own limit comes first; this one is there for what that may not hold.
  return std::make_unique<Handle>(Task::start<Opened>(
      executor_, kTimeout + std::chrono::seconds(5), endpoint.to_string(),
      Route::connect(route_, wire::ProxyTarget(endpoint), kTimeout), std::move(opened)));
}

}  // namespace swarmfs::net
