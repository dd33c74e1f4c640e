// A MetadataFetch in virtual time, and peers of many kinds that it may meet, each behind a link of
// its own with a delay.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "swarm/engine/metadata_fetch.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/extension.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine::test {

using namespace std::chrono_literals;
using Message = wire::MetadataMessage;

inline Bytes some_metadata(std::uint32_t size, std::uint8_t salt = 0, std::uint32_t begin = 0) {
  Bytes info(size - begin);
  for (std::uint32_t i = begin; i < size; ++i)
    info[i - begin] = static_cast<std::uint8_t>((i * 2654435761U >> 13) ^ salt);
  return info;
}

/// What a peer is like. By default it has the metadata and gives it.
struct Behaviour {
  Duration delay = 20ms;  ///< one way
  bool refuses_connections = false;
  bool hangs_up_on_one_flight = false;  ///< as aria2: takes nothing but a handshake at first
  bool silent = false;                  ///< after its extension handshake
  bool never_shakes_hands = false;
  bool rejects = false;
  bool has_no_metadata = false;
  bool spoils = false;       ///< sends wrong bytes of the right size
  bool short_data = false;   ///< sends less than a piece
  double loses = 0;          ///< this share of its answers never comes
  std::uint32_t claims = 0;  ///< a size that is not the right one; 0: the right one
  bool dies_after_first = false;
  Duration think = 0ms;  ///< before each answer
  bool has_everything = true;
};

/// All of it in virtual time: run() goes from event to event.
class MetadataSwarm final : public MetadataHost {
 public:
  explicit MetadataSwarm(Bytes metadata, std::uint64_t seed = 1)
      : info(std::move(metadata)), random(seed) {
    hashes.v1 = sha1(info);
  }

  void begin() {
    MetadataConfig config;
    config.hashes = hashes;
    config.client_id[0] = 'W';
    config.listen_port = 6881;
    config.peer_book.allow_local = true;
    fetch = std::make_unique<MetadataFetch>(config, *this, 5);
  }
  /// Adds peers and tells the fetch of them.
  Endpoint add(const Behaviour& behaviour) {
    const auto n = static_cast<std::uint32_t>(remotes.size() + 1);
    const Endpoint endpoint{IpAddress::v4({20, 0, static_cast<std::uint8_t>(n / 250),
                                           static_cast<std::uint8_t>(n % 250 + 1)}),
                            6881};
    remotes[endpoint].behaviour = behaviour;
    return endpoint;
  }
  void tell_all() {
    std::vector<Endpoint> all;
    for (const auto& [endpoint, remote] : remotes) all.push_back(endpoint);
    fetch->add_candidates(all, PeerSource::tracker, now);
  }
  /// Until it is here, or `limit` has passed.
  bool run(Duration limit) {
    const TimePoint end = now + limit;
    while (!fetch->metadata() && !fetch->failed()) {
      const TimePoint due = events.empty() ? TimePoint::max() : events.top().at;
      const TimePoint next = std::min(due, fetch->deadline());
      if (next > end) break;
      now = std::max(now, next);
      if (due <= next) {
        const auto run = events.top().run;
        events.pop();
        run();
      } else {
        fetch->on_timer(now);
        // Never spin: a deadline in the past again is a fault.
        spins = fetch->deadline() <= now ? spins + 1 : 0;
        EXPECT_LT(spins, 100) << "its deadline stays in the past";
        if (spins >= 100) return false;
      }
    }
    if (!fetch->metadata()) now = std::max(now, end);
    return fetch->metadata().has_value();
  }
  /// Lets what is under way arrive.
  void settle(Duration time) {
    const TimePoint end = now + time;
    while (!events.empty() && events.top().at <= end) {
      now = std::max(now, events.top().at);
      const auto run = events.top().run;
      events.pop();
      run();
    }
    now = end;
  }

  // --- MetadataHost
  void dial(const Endpoint& endpoint) override {
    ++dials;
    Remote& remote = remotes.at(endpoint);
    if (remote.behaviour.refuses_connections) {
      later(remote.behaviour.delay * 2, [this, endpoint] { fetch->on_dial_failed(endpoint, now); });
      return;
    }
    later(remote.behaviour.delay * 2, [this, endpoint] {
      Remote& r = remotes.at(endpoint);
      r.said = {};
      r.shook = false;
      r.answers = 0;
      pending = endpoint;
      const auto id = fetch->add_peer(endpoint, std::nullopt, r.behaviour.delay * 2, now);
      pending.reset();
      if (id) peers[*id] = endpoint;
    });
  }
  void send(PeerId peer, Bytes bytes) override {
    if (!peers.contains(peer) && pending) peers[peer] = *pending;
    const Endpoint endpoint = peers.at(peer);
    later(remotes.at(endpoint).behaviour.delay, [this, peer, endpoint, bytes = std::move(bytes)] {
      if (peers.contains(peer)) hears(peer, endpoint, bytes);
    });
  }
  void disconnect(PeerId peer, std::string_view reason) override {
    closed.emplace_back(peers.at(peer), std::string(reason));
    peers.erase(peer);
  }
  void need_peers() override { ++asked_for_peers; }
  void log(int, std::string_view) override {}

  bool was_closed(const Endpoint& endpoint) const {
    return std::any_of(closed.begin(), closed.end(),
                       [&](const auto& entry) { return entry.first == endpoint; });
  }

  struct Remote {
    Behaviour behaviour;
    Bytes said;  ///< what it has heard and not understood yet
    bool shook = false;
    bool dialled_us = false;
    unsigned answers = 0;
    unsigned requests = 0;
  };
  Bytes info;
  InfoHashes hashes;
  Rng random;
  TimePoint now = TimePoint{} + 1h;
  std::unique_ptr<MetadataFetch> fetch;
  std::map<Endpoint, Remote> remotes;
  std::map<PeerId, Endpoint> peers;
  std::vector<std::pair<Endpoint, std::string>> closed;
  unsigned asked_for_peers = 0;
  unsigned dials = 0;

 private:
  struct Event {
    TimePoint at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::tie(other.at, other.order) < std::tie(at, order);
    }
  };
  void later(Duration delay, std::function<void()> run) {
    events.push({now + delay, next_event++, std::move(run)});
  }
  void hang_up(PeerId peer, const Endpoint& endpoint) {
    later(remotes.at(endpoint).behaviour.delay, [this, peer] {
      if (peers.erase(peer) > 0) fetch->on_closed(peer, now);
    });
  }
  void say(PeerId peer, const Endpoint& endpoint, Bytes bytes) {
    const Behaviour& b = remotes.at(endpoint).behaviour;
    later(b.delay + b.think, [this, peer, bytes = std::move(bytes)] {
      if (peers.contains(peer)) fetch->on_received(peer, bytes, now);
    });
  }
  void hears(PeerId peer, const Endpoint& endpoint, const Bytes& bytes) {
    Remote& remote = remotes.at(endpoint);
    const Behaviour& b = remote.behaviour;
    if (b.never_shakes_hands) return;
    append(remote.said, bytes);
    if (!remote.shook) {
      if (remote.said.size() < wire::kHandshakeSize) return;
      if (b.hangs_up_on_one_flight && remote.said.size() > wire::kHandshakeSize)
        return hang_up(peer, endpoint);
      const auto ours = wire::parse_handshake(ByteView(remote.said).first(wire::kHandshakeSize));
      ASSERT_TRUE(ours);
      remote.said.erase(remote.said.begin(), remote.said.begin() + wire::kHandshakeSize);
      remote.shook = true;
      wire::Handshake theirs = *ours;
      theirs.peer_id = {};
      theirs.peer_id[0] = static_cast<std::uint8_t>(endpoint.address.bytes()[3]);
      theirs.peer_id[1] = static_cast<std::uint8_t>(endpoint.address.bytes()[2]);
      Bytes out;
      if (!remote.dialled_us) wire::append_handshake(out, theirs);
      wire::append_plain(out,
                         b.has_everything ? wire::MessageId::have_all : wire::MessageId::have_none);
      wire::ExtensionHandshake mine;
      mine.ids.ut_metadata = 3;
      if (!b.has_no_metadata)
        mine.metadata_size = b.claims != 0 ? b.claims : static_cast<std::uint32_t>(info.size());
      wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(mine));
      say(peer, endpoint, std::move(out));
    }
    while (remote.said.size() >= 4) {
      const std::size_t length = load_be<std::uint32_t>(remote.said.data());
      if (remote.said.size() < length + 4) return;
      const Bytes frame(remote.said.begin() + 4,
                        remote.said.begin() + 4 + static_cast<std::ptrdiff_t>(length));
      remote.said.erase(remote.said.begin(),
                        remote.said.begin() + 4 + static_cast<std::ptrdiff_t>(length));
      on_message(peer, endpoint, frame);
    }
  }
  void on_message(PeerId peer, const Endpoint& endpoint, const Bytes& frame) {
    Remote& remote = remotes.at(endpoint);
    const Behaviour& b = remote.behaviour;
    const auto message = wire::parse_message(frame);
    ASSERT_TRUE(message);
    if (std::holds_alternative<wire::Interested>(*message)) {
      Bytes out;
      wire::append_plain(out, wire::MessageId::unchoke);
      return say(peer, endpoint, std::move(out));
    }
    const auto* const extended = std::get_if<wire::Extended>(&*message);
    if (extended == nullptr || extended->id != 3) return;
    const auto request = wire::parse_metadata_message(extended->payload);
    ASSERT_TRUE(request);
    ++remote.requests;
    if (request->kind != Message::Kind::request || b.silent) return;
    if (b.dies_after_first && remote.answers > 0) return hang_up(peer, endpoint);
    if (b.loses > 0 && static_cast<double>(random() % 1000) < b.loses * 1000) return;
    ++remote.answers;
    Bytes out;
    const auto size = b.claims != 0 ? b.claims : static_cast<std::uint32_t>(info.size());
    ASSERT_LT(request->piece, wire::metadata_pieces(size));
    if (b.rejects) {
      wire::append_extended(out, limits::kMetadataId,
                            wire::encode({Message::Kind::reject, request->piece, 0, {}}));
      return say(peer, endpoint, std::move(out));
    }
    const std::uint32_t begin = request->piece * wire::kMetadataPiece;
    const std::uint32_t end = std::min(begin + wire::kMetadataPiece, size);
    Bytes piece = b.claims != 0 ? some_metadata(end, 99, begin)
                                : Bytes(info.begin() + begin, info.begin() + end);
    if (b.spoils) piece[piece.size() / 2] ^= 1;
    if (b.short_data) piece.pop_back();
    wire::append_extended(out, limits::kMetadataId,
                          wire::encode({Message::Kind::data, request->piece, size, piece}));
    say(peer, endpoint, std::move(out));
  }

  std::priority_queue<Event> events;
  std::uint64_t next_event = 0;
  std::optional<Endpoint> pending;
  int spins = 0;
};

}  // namespace swarmfs::engine::test
