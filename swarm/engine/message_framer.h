// Cuts a peer's byte stream into its handshake and its length-prefixed messages.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"
#include "swarm/wire/handshake.h"
#include "swarm/wire/peer_message.h"

namespace swarmfs::engine {

/// Copies only what straddles two deliveries, so a whole message in one delivery is parsed in
/// place. Memory is bounded by one message of the longest size and grows with the bytes that came,
/// never with a claimed length.
class MessageFramer {
 public:
  /// `expect_handshake`: the stream begins with the 68 bytes of BEP 3. `longest`: of a message,
  /// its length prefix not counted.
  explicit MessageFramer(bool expect_handshake, std::uint32_t longest = wire::kMaxMessageSize)
      : in_handshake_(expect_handshake), longest_(longest) {}

  /// Calls `on_frame(ByteView frame, bool is_handshake)` for each complete frame (a message's body
  /// without its prefix); it returns false to stop, and the rest is dropped. Error: protocol, for
  /// an oversized message.
  template <class OnFrame>
  Result<> feed(ByteView data, OnFrame&& on_frame) {
    while (!data.empty() || !pending_.empty()) {
      const auto need = frame_size(pending_.empty() ? data : ByteView(pending_));
      if (!need) return need.error();
      if (pending_.empty()) {
        if (*need == 0 || data.size() < *need) {
          append(pending_, data);
          return {};
        }
        if (!deliver(data.first(*need), on_frame)) return {};
        data = data.subspan(*need);
        continue;
      }
      // Complete the frame begun earlier: first its prefix, then its body.
      const std::size_t target = *need == 0 ? prefix_size() : *need;
      const std::size_t take = std::min(data.size(), target - std::min(target, pending_.size()));
      append(pending_, data.first(take));
      data = data.subspan(take);
      if (pending_.size() < target) return {};
      if (*need == 0) continue;
      const Bytes frame = std::exchange(pending_, {});
      if (!deliver(frame, on_frame)) return {};
    }
    return {};
  }

  /// The beginning of a frame whose rest is still to come.
  ByteView pending() const { return pending_; }

 private:
  std::size_t prefix_size() const { return in_handshake_ ? wire::kHandshakeSize : 4; }

  /// Bytes of the frame at the front, prefix included; 0 if its prefix is not all there.
  Result<std::size_t> frame_size(ByteView front) const {
    if (in_handshake_) return wire::kHandshakeSize;
    if (front.size() < 4) return std::size_t{0};
    const auto length = load_be<std::uint32_t>(front.data());
    if (length > longest_)
      return fail(ErrorKind::protocol, "a message of " + std::to_string(length) + " bytes");
    return std::size_t{length} + 4;
  }

  template <class OnFrame>
  bool deliver(ByteView frame, OnFrame& on_frame) {
    const bool handshake = std::exchange(in_handshake_, false);
    return on_frame(handshake ? frame : frame.subspan(4), handshake);
  }

  bool in_handshake_;
  std::uint32_t longest_;
  Bytes pending_;
};

}  // namespace swarmfs::engine
