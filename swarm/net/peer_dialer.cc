#include "swarm/net/peer_dialer.h"

#include <utility>

#include "swarm/net/opening.h"
#include "swarm/net/tcp_transport.h"

namespace swarmfs::net {

namespace {

class Handle final : public PeerDialer::Dial {
 public:
  explicit Handle(std::shared_ptr<Opening> opening) : opening_(std::move(opening)) {}
  ~Handle() override { opening_->let_go(); }

 private:
  std::shared_ptr<Opening> opening_;
};

}  // namespace

PeerDialer::PeerDialer(boost::asio::any_io_executor executor, RoutePtr route, Encryption encryption)
    : executor_(std::move(executor)),
      route_(std::move(route)),
      encryption_(encryption),
      shared_(std::make_shared<Shared>()) {
  std::vector<Lane> lanes;
  lanes.push_back({std::make_unique<TcpTransport>(executor_, route_), Duration{}});
  set_lanes(std::move(lanes));
}

PeerDialer::~PeerDialer() = default;

void PeerDialer::set_lanes(std::vector<Lane> lanes) { shared_->lanes = std::move(lanes); }

std::unique_ptr<PeerDialer::Dial> PeerDialer::dial(const Endpoint& endpoint,
                                                   const Sha1Hash& info_hash, Done done) {
  std::vector<Duration> delays;
  for (const Lane& lane : shared_->lanes) delays.push_back(lane.after);
  auto opening = std::make_shared<Opening>(executor_, shared_, endpoint, info_hash,
                                           shared_->memory.ways_to(endpoint, encryption_, delays),
                                           std::move(done));
  opening->begin();
  return std::make_unique<Handle>(std::move(opening));
}

}  // namespace swarmfs::net
