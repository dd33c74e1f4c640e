// What tests of whole sessions share: a session with a torrent, and strangers that connect to it.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "swarm/net/addresses.h"
#include "swarm/net/session.h"
#include "tests/support/memory_store.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::net::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using swarmfs::test::MemoryStore;
using swarmfs::test::TestContent;
using namespace std::chrono_literals;

inline constexpr auto kPatience = 60s;

inline SessionConfig config_of(const char* listen, Encryption encryption) {
  SessionConfig config;
  config.listen = {*Endpoint::parse(listen)};
  config.encryption = encryption;
  return config;
}

/// A session on a thread of its own, with one torrent.
class Node {
 public:
  Node(const TestContent& content, bool seed, std::vector<Endpoint> peers = {},
       const char* listen = "127.0.0.1:0", Encryption encryption = Encryption::prefer)
      : store(content.layout()),
        session_(io_, config_of(listen, encryption),
                 std::make_shared<spdlog::logger>(
                     "test", std::make_shared<spdlog::sinks::null_sink_mt>())) {
    if (seed)
      for (std::uint32_t p = 0; p < content.pieces.size(); ++p)
        store.put_piece(PieceIndex(p), content.pieces[p]);
    EXPECT_TRUE(session_.listen());
    TorrentSetup setup;
    setup.roots = std::make_shared<metainfo::PieceRoots>(content.metainfo);
    setup.store = &store;
    setup.keep = &store;
    setup.peers = std::move(peers);
    driver_ = session_.add(std::move(setup));
    driver_->on_complete([this] { driver_->when_stored([this] { stored_.set_value(); }); });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Node() { stop(); }

  Endpoint endpoint(const char* host = "127.0.0.1") const {
    return {*IpAddress::parse(host), session_.port()};
  }
  bool complete(std::chrono::milliseconds wait = kPatience) {
    return done_.wait_for(wait) == std::future_status::ready;
  }
  engine::TorrentStats stats() {
    std::promise<engine::TorrentStats> promise;
    driver_->query([&](const engine::TorrentStats& s) { promise.set_value(s); });
    return promise.get_future().get();
  }
  std::vector<engine::PeerView> peers() {
    std::promise<std::vector<engine::PeerView>> promise;
    driver_->list_peers([&](std::vector<engine::PeerView> views) { promise.set_value(views); });
    return promise.get_future().get();
  }
  TorrentDriver& driver() { return *driver_; }
  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] { session_.stop([this] { io_.stop(); }); });
    thread_.join();
  }

 private:
  asio::io_context io_{1};

 public:
  MemoryStore store;

 private:
  Session session_;
  std::shared_ptr<TorrentDriver> driver_;
  std::promise<void> stored_;
  std::future<void> done_ = stored_.get_future();
  std::thread thread_;
};

inline void expect_same(const Node& node, const TestContent& content) {
  for (std::uint32_t p = 0; p < content.pieces.size(); ++p)
    ASSERT_EQ(node.store.piece(PieceIndex(p)), content.pieces[p]) << "piece " << p;
}

/// A raw connection to a node, for what no client would say.
class Stranger {
 public:
  explicit Stranger(const Endpoint& to) : socket_(io_) { socket_.connect(to_asio(to), error_); }
  void say(ByteView bytes) {
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), error_);
  }
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0), error_);
    socket_.close(error_);
  }
  /// Bytes that came before that.
  std::size_t heard() const { return heard_; }
  /// True once the other side has closed; reads and throws away what comes before.
  bool closed_within(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    socket_.non_blocking(true, error_);
    std::array<char, 4096> buffer;
    while (std::chrono::steady_clock::now() < until) {
      boost::system::error_code ec;
      heard_ += socket_.read_some(asio::buffer(buffer), ec);
      if (ec && ec != asio::error::would_block) return true;
      if (ec) std::this_thread::sleep_for(5ms);
    }
    return false;
  }

 private:
  asio::io_context io_;
  tcp::socket socket_;
  boost::system::error_code error_;
  std::size_t heard_ = 0;
};

inline Bytes handshake_for(const TestContent& content) {
  wire::Handshake h;
  h.info_hash = content.metainfo->hashes.primary();
  h.peer_id.fill('x');
  h.fast = h.extended = true;
  Bytes out;
  wire::append_handshake(out, h);
  return out;
}

}  // namespace swarmfs::net::test
