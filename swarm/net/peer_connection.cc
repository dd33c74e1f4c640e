#include "swarm/net/peer_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "swarm/wire/handshake.h"

namespace swarmfs::net {

namespace asio = boost::asio;

static constexpr std::size_t kReadSize = 256 * 1024;
using boost::system::error_code;

/// Bytes on their way out: protocol bytes, or a block's header and, once it is there, its payload.
class PeerConnection::Slot {
 public:
  Bytes head;
  ByteView payload;
  std::shared_ptr<const void> owner;
  std::optional<wire::BlockRef> block;
  bool loading = false;
  std::size_t sent = 0;

  std::size_t size() const { return head.size() + payload.size(); }
};

PeerConnection::PeerConnection(asio::any_io_executor executor, std::unique_ptr<PeerStream> stream,
                               Events events)
    : executor_(std::move(executor)), stream_(std::move(stream)), events_(std::move(events)) {}

void PeerConnection::start() { wait_readable(); }

void PeerConnection::resume() {
  if (std::exchange(paused_, false)) wait_readable();
}

void PeerConnection::wait_readable() {
  if (closed_) return;
  stream_->wait_readable([self = shared_from_this()] { self->read_some(); });
}

void PeerConnection::read_some() {
  // One buffer for all connections of the thread: a connection at rest costs no buffer.
  // Not of static storage, of which every thread of the process would get its own at its start.
  static thread_local const auto room = std::make_unique_for_overwrite<std::uint8_t[]>(kReadSize);
  const MutableByteView buffer(room.get(), kReadSize);
  if (closed_) return;
  if (unsent_ > kMaxUnsent || events_.congested()) {
    paused_ = true;
    return;
  }
  const ssize_t n = stream_->read(buffer);
  if (n > 0) {
    // A reset may arrive while the bytes before it are handled; `this` stays alive through them.
    const auto self = shared_from_this();
    if (!closing_) events_.on_bytes(ByteView(buffer.data(), static_cast<std::size_t>(n)));
    return wait_readable();
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return wait_readable();
  fail_connection();
}

/// Behind the last message and what has begun to leave.
auto PeerConnection::before_blocks() {
  const auto last = std::find_if(queue_.rbegin(), queue_.rend(),
                                 [](const auto& slot) { return !slot->block || slot->sent > 0; });
  return last.base();
}

void PeerConnection::send(Bytes bytes, bool behind_blocks) {
  if (closed_ || closing_) return;
  if (!std::exchange(greeted_, true) && bytes.size() > wire::kHandshakeSize) {
    // The handshake is a part of its own: see PeerStream::write().
    send(Bytes(bytes.begin(), bytes.begin() + wire::kHandshakeSize), behind_blocks);
    bytes.erase(bytes.begin(), bytes.begin() + wire::kHandshakeSize);
  }
  auto slot = std::make_shared<Slot>();
  slot->head = std::move(bytes);
  unsent_ += slot->head.size();
  queue_.insert(behind_blocks ? queue_.end() : before_blocks(), std::move(slot));
}

std::shared_ptr<PeerConnection::Slot> PeerConnection::reserve_block(const wire::BlockRef& block) {
  auto slot = std::make_shared<Slot>();
  wire::append_piece_header(slot->head, block);
  slot->block = block;
  slot->loading = true;
  if (!closed_ && !closing_) queue_.push_back(slot);
  return slot;
}

void PeerConnection::fill_block(const std::shared_ptr<Slot>& slot,
                                std::shared_ptr<const void> owner, ByteView payload) {
  slot->loading = false;
  slot->owner = std::move(owner);
  slot->payload = payload;
  if (payload.empty()) slot->head.clear();
}

void PeerConnection::flush() { write_some(); }

void PeerConnection::write_some() {
  if (in_write_ || waiting_to_write_ || closed_) return;
  in_write_ = true;
  const auto self = shared_from_this();
  while (!queue_.empty() && !queue_.front()->loading && !closed_) {
    std::array<iovec, 64> parts;
    std::size_t count = 0;
    std::size_t offered = 0;
    for (const auto& slot : queue_) {
      if (slot->loading || count + 2 > parts.size()) break;
      std::size_t skip = slot->sent;
      for (const ByteView part : {ByteView(slot->head), slot->payload}) {
        const std::size_t cut = std::min(skip, part.size());
        skip -= cut;
        if (part.size() == cut) continue;
        parts[count++] = {const_cast<std::uint8_t*>(part.data() + cut), part.size() - cut};
        offered += part.size() - cut;
      }
    }
    ssize_t n = 0;
    if (offered > 0) n = stream_->write(std::span(parts).first(count));
    if (n < 0) {
      in_write_ = false;
      if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return wait_writable();
      return fail_connection();
    }
    auto left = static_cast<std::size_t>(n);
    std::vector<std::shared_ptr<Slot>> gone;  // blocks
    while (!queue_.empty() && !queue_.front()->loading) {
      const auto front = queue_.front();
      const std::size_t take = std::min(left, front->size() - front->sent);
      front->sent += take;
      left -= take;
      if (front->sent < front->size()) break;
      queue_.pop_front();
      if (front->block) {
        gone.push_back(front);
      } else {
        unsent_ -= front->size();
      }
    }
    // Only now, when all that was written is accounted for: this may queue more, also before the
    // blocks that are left, which the outer loop then sends.
    for (const auto& slot : gone)
      if (!closed_) events_.on_block_sent(*slot->block, !slot->payload.empty());
    if (unsent_ <= kMaxUnsent) resume();
    if (static_cast<std::size_t>(n) < offered) {
      in_write_ = false;
      return wait_writable();
    }
    if (closing_) drop_blocks();
  }
  in_write_ = false;
  if (closing_ && queue_.empty()) close();
}

void PeerConnection::wait_writable() {
  if (closed_) return;
  waiting_to_write_ = true;
  stream_->wait_writable([self = shared_from_this()] {
    self->waiting_to_write_ = false;
    self->write_some();
  });
}

void PeerConnection::fail_connection() {
  if (closed_) return;
  const bool told = closing_;
  close();
  // Later, because the engine may be in the middle of the event that wrote to us.
  if (!told) asio::post(executor_, [self = shared_from_this()] { self->events_.on_closed(); });
}

void PeerConnection::close_after_flush() {
  if (closed_ || closing_) return;
  closing_ = true;
  if (!in_write_) drop_blocks();  // else what is on its way out is not yet known
  auto timer = std::make_shared<asio::steady_timer>(executor_, std::chrono::seconds(1));
  timer->async_wait([self = shared_from_this(), timer](const error_code&) { self->close(); });
}

/// Blocks are not worth waiting for when it ends; a last protocol message is.
void PeerConnection::drop_blocks() {
  std::erase_if(queue_, [](const auto& slot) { return slot->block && slot->sent == 0; });
}

void PeerConnection::close() {
  if (std::exchange(closed_, true)) return;
  queue_.clear();
  unsent_ = 0;
  stream_->close();
}

}  // namespace swarmfs::net
