// Carries out what a MetadataFetch decides: connections, and who is told of the end.
#pragma once

#include <spdlog/logger.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "swarm/engine/metadata_fetch.h"
#include "swarm/net/peer_connection.h"
#include "swarm/net/peer_dialer.h"

namespace swarmfs::net {

class Task;

/// A torrent that is known by its hash alone.
struct MetadataSetup {
  InfoHashes hashes;
  std::vector<std::vector<std::string>> trackers;  ///< tiers
  std::vector<Endpoint> peers;                     ///< given by the user
  /// Named by the link: host (an address or a name to look up) and port.
  std::vector<std::pair<std::string, std::uint16_t>> link_peers;
  /// The info dictionary, its hash checked; or why there will never be one. Once, on the io thread,
  /// never from inside a call of the session; never after the end of the driver.
  std::function<void(Result<Bytes>)> done;
};

/// Lives on the io_context's thread. Once the metadata is here its connections wait for the torrent
/// to take them over.
class MetadataDriver final : public engine::MetadataHost,
                             public std::enable_shared_from_this<MetadataDriver> {
 public:
  MetadataDriver(boost::asio::io_context& io, PeerDialer& dialer, engine::MetadataConfig config,
                 MetadataSetup setup, std::shared_ptr<spdlog::logger> logger);
  ~MetadataDriver() override;
  void start();
  /// Closes all that is left. Idempotent.
  void stop();

  bool wants(const Sha1Hash& hash) const { return fetch_.is_our_hash(hash); }
  void accept(std::unique_ptr<PeerStream> stream, const Endpoint& from,
              const wire::Handshake& theirs);
  void add_candidates(const std::vector<Endpoint>& endpoints, engine::PeerSource source);
  /// See engine::MetadataFetch.
  void network_changed();
  void set_filter(engine::AddressFilterPtr filter);
  const engine::MetadataFetch& fetch() const { return fetch_; }

  /// Called when more addresses are wanted.
  void on_need_peers(std::function<void()> callback) { need_peers_callback_ = std::move(callback); }
  /// Asked for what is said of the search for peers, a line each.
  void set_search_words(std::function<std::vector<std::string>()> words) {
    search_words_ = std::move(words);
  }
  std::vector<std::string> search_words() const {
    return search_words_ ? search_words_() : std::vector<std::string>{};
  }

  using Adopt = std::function<void(std::shared_ptr<PeerConnection>, engine::AdoptedPeer)>;
  /// Gives away every connection worth keeping, and closes the others. Ends the driver.
  void hand_over(const Adopt& adopt);

  // --- MetadataHost
  void send(PeerId peer, Bytes bytes) override;
  void disconnect(PeerId peer, std::string_view reason) override;
  void dial(const Endpoint& endpoint) override;
  void need_peers() override;
  void log(int level, std::string_view line) override;

 private:
  template <class Event>
  void event(Event&& event);
  void arm_timer();
  void look_up(const std::string& host, std::uint16_t port);
  void connected(std::unique_ptr<PeerStream> stream, const Endpoint& endpoint,
                 std::optional<wire::Handshake> theirs, std::optional<Duration> rtt);
  std::shared_ptr<PeerConnection> connection_of(PeerId peer);

  boost::asio::io_context& io_;
  PeerDialer& dialer_;
  MetadataSetup setup_;
  std::shared_ptr<spdlog::logger> logger_;
  engine::MetadataFetch fetch_;
  boost::asio::steady_timer timer_;
  std::map<PeerId, std::shared_ptr<PeerConnection>> connections_;
  std::shared_ptr<PeerConnection> pending_;                 ///< its PeerId is being made
  std::vector<std::shared_ptr<PeerConnection>> unflushed_;  ///< have something new to write
  std::map<Endpoint, std::unique_ptr<PeerDialer::Dial>> dialling_;
  std::vector<std::shared_ptr<Task>> look_ups_;
  std::function<void()> need_peers_callback_;
  std::function<std::vector<std::string>()> search_words_;
  bool told_ = false;
  bool stopped_ = false;
};

}  // namespace swarmfs::net
