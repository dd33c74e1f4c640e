// Two streams that are each other's far end, in memory, with as little room as a test wants.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "swarm/net/peer_stream.h"

namespace swarmfs::net::test {

/// One direction: bytes under way, at most `room`.
struct Pipe {
  std::size_t room = 0;
  std::deque<std::uint8_t> bytes;
  bool closed = false;  ///< by either end
  std::function<void()> reader, writer;

  void wake(const boost::asio::any_io_executor& executor) {
    if (reader && (!bytes.empty() || closed))
      boost::asio::post(executor, std::exchange(reader, nullptr));
    if (writer && (bytes.size() < room || closed))
      boost::asio::post(executor, std::exchange(writer, nullptr));
  }
};

class MemoryStream final : public PeerStream {
 public:
  using Pair = std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>>;
  static Pair pair(const boost::asio::any_io_executor& executor, std::size_t room) {
    auto there = std::make_shared<Pipe>();
    auto back = std::make_shared<Pipe>();
    there->room = back->room = room;
    return {std::make_unique<MemoryStream>(executor, back, there),
            std::make_unique<MemoryStream>(executor, there, back)};
  }

  MemoryStream(boost::asio::any_io_executor executor, std::shared_ptr<Pipe> in,
               std::shared_ptr<Pipe> out)
      : executor_(std::move(executor)), in_(std::move(in)), out_(std::move(out)) {}
  ~MemoryStream() override { close(); }

  void wait_readable(std::function<void()> ready) override {
    in_->reader = std::move(ready);
    in_->wake(executor_);
  }
  void wait_writable(std::function<void()> ready) override {
    out_->writer = std::move(ready);
    out_->wake(executor_);
  }
  ssize_t read(MutableByteView into) override {
    if (in_->bytes.empty()) return in_->closed ? 0 : failed(EAGAIN);
    std::size_t n = 0;
    for (; n < into.size() && !in_->bytes.empty(); ++n) {
      into[n] = in_->bytes.front();
      in_->bytes.pop_front();
    }
    in_->wake(executor_);
    return static_cast<ssize_t>(n);
  }
  ssize_t write(std::span<const iovec> parts) override {
    if (out_->closed) return failed(EPIPE);
    ssize_t taken = 0;
    for (const iovec& part : parts) {
      const auto* const bytes = static_cast<const std::uint8_t*>(part.iov_base);
      for (std::size_t i = 0; i < part.iov_len && out_->bytes.size() < out_->room; ++i, ++taken)
        out_->bytes.push_back(bytes[i]);
    }
    out_->wake(executor_);
    return taken > 0 ? taken : failed(EAGAIN);
  }
  std::optional<PathRtt> path_rtt() override { return std::nullopt; }
  void close() override {
    in_->reader = out_->writer = nullptr;
    in_->closed = out_->closed = true;
    in_->wake(executor_);
    out_->wake(executor_);
  }

 private:
  static ssize_t failed(int error) {
    errno = error;
    return -1;
  }

  boost::asio::any_io_executor executor_;
  std::shared_ptr<Pipe> in_, out_;
};

}  // namespace swarmfs::net::test
