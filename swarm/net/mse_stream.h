// A stream in MSE over another stream.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string_view>

#include "swarm/net/peer_stream.h"
#include "swarm/wire/mse.h"

namespace swarmfs::net {

/// Shakes hands on its own as soon as it is made, and takes what is written meanwhile as far as it
/// fits in with that. Afterwards bytes are decrypted where they were read to, and encrypted into a
/// buffer of at most kMaxUnsent, from which they leave in the background. A handshake that fails
/// is an error of read() and write(): EPROTO. Its time limit is the owner's.
class MseStream final : public PeerStream {
 public:
  static constexpr std::size_t kMaxUnsent = 64 * 1024;

  /// `below` is connected, and nothing was written to it.
  static std::unique_ptr<MseStream> initiate(const boost::asio::any_io_executor& executor,
                                             std::unique_ptr<PeerStream> below,
                                             const Sha1Hash& info_hash, std::uint32_t provide);
  /// `first`: what was read of the stream already.
  static std::unique_ptr<MseStream> respond(const boost::asio::any_io_executor& executor,
                                            std::unique_ptr<PeerStream> below, ByteView first,
                                            std::uint32_t allowed,
                                            wire::mse::Responder::FindTorrent find);
  ~MseStream() override;

  void wait_readable(std::function<void()> ready) override;
  void wait_writable(std::function<void()> ready) override;
  ssize_t read(MutableByteView into) override;
  ssize_t write(std::span<const iovec> parts) override;
  std::optional<PathRtt> path_rtt() override;
  PeerLink link() const override;
  void close() override;

 private:
  class Core;
  explicit MseStream(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;  ///< shared with what waits for the stream below
};

}  // namespace swarmfs::net
