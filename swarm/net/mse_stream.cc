#include "swarm/net/mse_stream.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <random>
#include <utility>

namespace swarmfs::net {

namespace asio = boost::asio;
using wire::mse::Chance;
using wire::mse::Exchange;
using wire::mse::Initiator;
using wire::mse::Responder;

namespace {

using Ready = std::function<void()>;

Bytes random_pad(std::random_device& random) {
  Bytes pad(random() % (wire::mse::kMaxPad + 1));
  std::minstd_rand filler(random());  // a pad is no secret
  for (std::uint8_t& byte : pad) byte = static_cast<std::uint8_t>(filler() >> 8);
  return pad;
}

Chance take_a_chance() {
  std::random_device random;
  Chance chance;
  for (std::size_t i = 0; i < chance.exponent.size(); i += 4)
    store_be<std::uint32_t>(chance.exponent.data() + i, random());
  chance.first_pad = random_pad(random);
  chance.second_pad = random_pad(random);
  return chance;
}

}  // namespace

/// `initiator` is the exchange, where it takes initial payload.
class MseStream::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor executor, std::unique_ptr<PeerStream> below,
       std::unique_ptr<Exchange> exchange, Initiator* initiator)
      : executor_(std::move(executor)),
        below_(std::move(below)),
        exchange_(std::move(exchange)),
        initiator_(initiator) {}

  void begin(ByteView first) {
    if (!first.empty()) exchange_->receive(first);
    progressed();
    if (under_way()) wait_for_exchange();
  }

  void wait_readable(Ready ready) {
    if (under_way()) {
      reader_ = std::move(ready);
    } else if (error_ != 0 || !early_.empty()) {
      post(std::move(ready));
    } else {
      below_->wait_readable(std::move(ready));
    }
  }

  void wait_writable(Ready ready) {
    if (error_ != 0) return post(std::move(ready));
    writer_ = std::move(ready);
    if (shaken()) wait_for_room();
  }

  ssize_t read(MutableByteView into) {
    if (!early_.empty()) {
      const std::size_t n = std::min(into.size(), early_.size());
      std::copy_n(early_.begin(), n, into.begin());
      early_.erase(early_.begin(), early_.begin() + static_cast<std::ptrdiff_t>(n));
      return static_cast<ssize_t>(n);
    }
    if (under_way()) return result(EAGAIN);
    if (error_ != 0) return result(error_);
    const ssize_t n = below_->read(into);
    if (n > 0 && exchange_->reader() != nullptr)
      exchange_->reader()->apply(into.first(static_cast<std::size_t>(n)));
    return n;
  }

  ssize_t write(std::span<const iovec> parts) {
    if (error_ == 0) send_unsent();
    if (error_ != 0) return result(error_);
    std::size_t offered = 0;
    std::size_t taken = 0;
    for (const iovec& part : parts) {
      ByteView bytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
      offered += bytes.size();
      while (!bytes.empty() && error_ == 0) {
        const std::size_t n = take(bytes);
        if (n == 0) break;
        taken += n;
        bytes = bytes.subspan(n);
      }
      if (taken < offered) break;
      if (first_words_ < kFirstWords) {  // what begins a packet goes on doing so
        first_words_ += part.iov_len;
        send_unsent();
      }
    }
    if (error_ == 0) send_unsent();
    if (error_ != 0) return result(error_);
    if (!unsent_.empty()) wait_for_room();
    return taken > 0 || offered == 0 ? static_cast<ssize_t>(taken) : result(EAGAIN);
  }

  std::optional<PathRtt> path_rtt() { return below_->path_rtt(); }

  PeerLink link() const {
    PeerLink link = below_->link();
    link.encrypted = !shaken() || exchange_->writer() != nullptr;
    return link;
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    if (error_ == 0) send_unsent();
    reader_ = writer_ = nullptr;
    below_->close();
  }

 private:
  static ssize_t result(int error) {
    errno = error;
    return -1;
  }
  bool under_way() const { return error_ == 0 && exchange_->state() == Exchange::State::under_way; }
  bool shaken() const { return exchange_->state() == Exchange::State::done; }
  void post(Ready ready) {
    asio::post(executor_, [self = shared_from_this(), ready = std::move(ready)] {
      if (!self->closed_) ready();
    });
  }
  static void call(Ready& ready) {
    if (const Ready now = std::exchange(ready, nullptr)) now();
  }

  /// How much of the bytes could be taken on: all that fits in with the exchange or the buffer.
  std::size_t take(ByteView bytes) {
    if (!shaken()) return initiator_ != nullptr ? initiator_->add_initial_payload(bytes) : 0;
    if (unsent_.size() >= kMaxUnsent) send_unsent();
    const std::size_t n = std::min(bytes.size(), kMaxUnsent - std::min(kMaxUnsent, unsent_.size()));
    const std::size_t before = unsent_.size();
    append(unsent_, bytes.first(n));
    if (wire::Rc4* const cipher = exchange_->writer())
      cipher->apply(MutableByteView(unsent_).subspan(before));
    return n;
  }

  /// Writes what the stream below takes of what is encrypted already.
  void send_unsent() {
    if (unsent_.empty()) return;
    const iovec part{unsent_.data(), unsent_.size()};
    const ssize_t n = below_->write({&part, 1});
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) return broken(errno);
    if (n > 0) unsent_.erase(unsent_.begin(), unsent_.begin() + n);
  }

  void wait_for_room() {
    if (std::exchange(waiting_for_room_, true)) return;
    below_->wait_writable([self = shared_from_this()] {
      self->waiting_for_room_ = false;
      if (self->closed_) return;
      self->send_unsent();
      if (!self->unsent_.empty() && self->error_ == 0) return self->wait_for_room();
      if (self->shaken() || self->error_ != 0) call(self->writer_);
    });
  }

  void wait_for_exchange() {
    below_->wait_readable([self = shared_from_this()] {
      if (self->closed_) return;
      self->read_exchange();
      if (self->under_way()) self->wait_for_exchange();
    });
  }

  void read_exchange() {
    std::array<std::uint8_t, 4096> buffer;
    const ssize_t n = below_->read(buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return broken(n < 0 ? errno : ECONNRESET);
    exchange_->receive(ByteView(buffer).first(static_cast<std::size_t>(n)));
    progressed();
  }

  /// After the exchange got something: says what it says, and tells who can go on.
  void progressed() {
    if (exchange_->state() == Exchange::State::failed) return broken(EPROTO);
    append(unsent_, exchange_->take_output());
    append(early_, exchange_->take_payload());
    send_unsent();
    if (error_ != 0) return;
    if (!unsent_.empty() || (shaken() && writer_)) wait_for_room();
    if (under_way() || !reader_) return;
    if (early_.empty()) {
      below_->wait_readable(std::exchange(reader_, nullptr));
    } else {
      call(reader_);
    }
  }

  void broken(int error) {
    error_ = error;
    unsent_.clear();
    for (Ready* const waiting : {&reader_, &writer_})
      if (*waiting) post(std::exchange(*waiting, nullptr));
  }

  static constexpr std::size_t kFirstWords = 512;

  asio::any_io_executor executor_;
  std::unique_ptr<PeerStream> below_;
  std::size_t first_words_ = 0;  ///< bytes written, as long as parts are kept apart
  std::unique_ptr<Exchange> exchange_;
  Initiator* initiator_;
  Bytes early_;   ///< payload that came with the end of the exchange
  Bytes unsent_;  ///< encrypted, to be written
  Ready reader_;  ///< waits for the exchange to end
  Ready writer_;  ///< waits for room
  bool waiting_for_room_ = false;
  bool closed_ = false;
  int error_ = 0;
};

MseStream::MseStream(std::shared_ptr<Core> core) : core_(std::move(core)) {}
MseStream::~MseStream() { core_->close(); }

std::unique_ptr<MseStream> MseStream::initiate(const asio::any_io_executor& executor,
                                               std::unique_ptr<PeerStream> below,
                                               const Sha1Hash& info_hash, std::uint32_t provide) {
  auto exchange = std::make_unique<Initiator>(info_hash, provide, take_a_chance());
  Initiator* const initiator = exchange.get();
  auto core = std::make_shared<Core>(executor, std::move(below), std::move(exchange), initiator);
  core->begin({});
  return std::unique_ptr<MseStream>(new MseStream(std::move(core)));
}

std::unique_ptr<MseStream> MseStream::respond(const asio::any_io_executor& executor,
                                              std::unique_ptr<PeerStream> below, ByteView first,
                                              std::uint32_t allowed, Responder::FindTorrent find) {
  auto exchange = std::make_unique<Responder>(allowed, take_a_chance(), std::move(find));
  auto core = std::make_shared<Core>(executor, std::move(below), std::move(exchange), nullptr);
  core->begin(first);
  return std::unique_ptr<MseStream>(new MseStream(std::move(core)));
}

void MseStream::wait_readable(Ready ready) { core_->wait_readable(std::move(ready)); }
void MseStream::wait_writable(Ready ready) { core_->wait_writable(std::move(ready)); }
ssize_t MseStream::read(MutableByteView into) { return core_->read(into); }
ssize_t MseStream::write(std::span<const iovec> parts) { return core_->write(parts); }
std::optional<PathRtt> MseStream::path_rtt() { return core_->path_rtt(); }
PeerLink MseStream::link() const { return core_->link(); }
void MseStream::close() { core_->close(); }

}  // namespace swarmfs::net
