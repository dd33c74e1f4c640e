#include "swarm/net/opening.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "swarm/base/now.h"
#include "swarm/net/mse_stream.h"
#include "swarm/wire/handshake.h"

namespace swarmfs::net {

namespace asio = boost::asio;
using boost::system::error_code;

static ssize_t result(int error) {
  errno = error;
  return -1;
}

class Opening::Stream final : public PeerStream {
 public:
  explicit Stream(std::shared_ptr<Opening> opening) : opening_(std::move(opening)) {}
  ~Stream() override { opening_->close(); }

  void wait_readable(std::function<void()> ready) override {
    opening_->wait_readable(std::move(ready));
  }
  void wait_writable(std::function<void()> ready) override {
    opening_->wait_writable(std::move(ready));
  }
  ssize_t read(MutableByteView into) override { return opening_->read(into); }
  ssize_t write(std::span<const iovec> parts) override { return opening_->write(parts); }
  std::optional<PathRtt> path_rtt() override {
    PeerStream* const stream = opening_->open_stream();
    return stream != nullptr ? stream->path_rtt() : std::nullopt;
  }
  PeerLink link() const override {
    PeerStream* const stream = opening_->open_stream();
    return stream != nullptr ? stream->link() : PeerLink{};
  }
  void close() override { opening_->close(); }

 private:
  std::shared_ptr<Opening> opening_;
};

Opening::Opening(asio::any_io_executor executor, std::shared_ptr<PeerDialer::Shared> shared,
                 const Endpoint& endpoint, const Sha1Hash& info_hash, std::vector<DialWay> ways,
                 PeerDialer::Done done)
    : executor_(std::move(executor)),
      shared_(std::move(shared)),
      endpoint_(endpoint),
      info_hash_(info_hash),
      race_(ways),
      timer_(executor_),
      runners_(ways.size()),
      done_(std::move(done)) {}

void Opening::begin() {
  race_.begin(now());
  act();
}

void Opening::let_go() {
  if (!done_) return;
  done_ = nullptr;
  close();
}

// --- the race

/// What the race wants done, after each event.
void Opening::act() {
  for (const std::size_t way : race_.take_drops()) {
    runners_[way].attempt.reset();
    // Kept until all is over: it may be what called.
    if (runners_[way].stream) runners_[way].stream->close();
  }
  for (const std::size_t way : race_.take_starts()) start(way);
  if (race_.lost()) return lost();
  if (race_.deadline() == TimePoint::max()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(race_.deadline());
  timer_.async_wait([weak = weak_from_this()](const error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self || self->closed_) return;
    self->race_.on_timer(now());
    self->act();
  });
}

void Opening::start(std::size_t way) {
  PeerTransport& transport = *shared_->lanes[race_.way(way).transport].transport;
  runners_[way].attempt = transport.connect(
      endpoint_, [weak = weak_from_this(), way](Result<PeerTransport::Connected> result) {
        const auto self = weak.lock();
        if (!self || self->closed_) return;
        if (result) return self->connected(way, std::move(*result));
        self->why_lost_ = result.error();
        self->race_.on_failed(way, now());
        self->act();
      });
}

void Opening::connected(std::size_t way, PeerTransport::Connected connected) {
  std::unique_ptr<PeerStream> stream = std::move(connected.stream);
  // RC4 alone is offered: who insists on encryption speaks it.
  if (race_.way(way).encrypted)
    stream = MseStream::initiate(executor_, std::move(stream), info_hash_, wire::mse::kRc4);
  race_.on_connected(way, now());
  if (done_ && race_.alone(way) && race_.way(way).encrypted) {  // there is nothing to choose
    race_.on_answered(way);
    return std::exchange(done_, nullptr)(PeerDialer::Dialled{std::move(stream), connected.rtt});
  }
  runners_[way].stream = std::move(stream);
  act();
  hear(way);
  if (const auto done = std::exchange(done_, nullptr))
    return done(PeerDialer::Dialled{std::make_unique<Stream>(shared_from_this()), connected.rtt});
  feed(way);
}

/// Waits for the first bytes of a way.
void Opening::hear(std::size_t way) {
  runners_[way].stream->wait_readable([self = shared_from_this(), way] {
    if (self->closed_ || self->winner_ != nullptr) return;
    std::array<std::uint8_t, 2048> buffer;
    const ssize_t n = self->runners_[way].stream->read(buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return self->hear(way);
    if (n > 0) {
      self->first_.assign(buffer.begin(), buffer.begin() + n);
      return self->won(way);
    }
    self->why_lost_ = Error::from_errno(n < 0 ? errno : ECONNRESET, self->endpoint_.to_string());
    self->runners_[way].stream->close();
    self->race_.on_failed(way, now());
    self->act();
  });
}

/// Gives a way what it has not got of the greeting.
void Opening::feed(std::size_t way) {
  Runner& runner = runners_[way];
  if (runner.waits_to_write) return;
  const bool held = race_.way(way).careful && winner_ == nullptr;
  const std::size_t end =
      held ? std::min(greeting_.size(), wire::kHandshakeSize) : greeting_.size();
  while (runner.fed < end) {
    const std::size_t head = std::min(end, std::max(runner.fed, wire::kHandshakeSize));
    const std::array parts{iovec{greeting_.data() + runner.fed, head - runner.fed},
                           iovec{greeting_.data() + head, end - head}};
    const ssize_t n = runner.stream->write(parts);
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) return;  // hear() notices
    if (n > 0) runner.fed += static_cast<std::size_t>(n);
    if (runner.fed == end) break;
    runner.waits_to_write = true;
    return runner.stream->wait_writable([self = shared_from_this(), way] {
      self->runners_[way].waits_to_write = false;
      if (!self->closed_) self->feed(way);
    });
  }
  if (!greeted()) return;
  greeting_ = {};
  if (const auto writer = std::exchange(writer_, nullptr)) writer();
}

void Opening::won(std::size_t way) {
  winner_ = runners_[way].stream.get();
  race_.on_answered(way);
  shared_->memory.on_won(endpoint_, race_.way(way));
  act();
  for (Runner& runner : runners_) runner.attempt.reset();
  feed(way);
  if (const auto reader = std::exchange(reader_, nullptr)) reader();
}

void Opening::lost() {
  const bool reached =
      std::ranges::any_of(runners_, [](const Runner& r) { return r.stream != nullptr; });
  if (reached) shared_->memory.on_refused(endpoint_);
  if (const auto done = std::exchange(done_, nullptr)) return done(why_lost_);
  for (auto* const waiting : {&reader_, &writer_})
    if (*waiting) wake_later(std::exchange(*waiting, nullptr));
}

// --- the stream

void Opening::wake_later(std::function<void()> ready) {
  asio::post(executor_, [self = shared_from_this(), ready = std::move(ready)] {
    if (!self->closed_) ready();
  });
}

/// The winner, or else the first that is connected.
PeerStream* Opening::open_stream() const {
  if (winner_ != nullptr) return winner_;
  for (const Runner& runner : runners_)
    if (runner.stream) return runner.stream.get();
  return nullptr;
}

/// The winner has got all that was written before it was one.
bool Opening::greeted() const {
  if (winner_ == nullptr) return false;
  const Runner& runner = runners_[*race_.winner()];
  return runner.fed >= greeting_.size() && !runner.waits_to_write;
}

void Opening::wait_readable(std::function<void()> ready) {
  if (race_.lost() || !first_.empty()) return wake_later(std::move(ready));
  if (winner_ != nullptr) return winner_->wait_readable(std::move(ready));
  reader_ = std::move(ready);
}

void Opening::wait_writable(std::function<void()> ready) {
  if (race_.lost() || (winner_ == nullptr && greeting_.size() < kMaxGreeting))
    return wake_later(std::move(ready));
  if (greeted()) return winner_->wait_writable(std::move(ready));
  writer_ = std::move(ready);
}

ssize_t Opening::read(MutableByteView into) {
  if (race_.lost()) return result(ECONNRESET);
  if (!first_.empty()) {
    const std::size_t n = std::min(into.size(), first_.size());
    std::copy_n(first_.begin(), n, into.begin());
    first_.erase(first_.begin(), first_.begin() + static_cast<std::ptrdiff_t>(n));
    return heard(into.first(n));
  }
  if (winner_ == nullptr) return result(EAGAIN);
  const ssize_t n = winner_->read(into);
  if (!said_) return n;
  if (n > 0) return heard(into.first(static_cast<std::size_t>(n)));
  const bool hung_up = n == 0 || (errno != EAGAIN && errno != EINTR);
  return hung_up && say_again() ? result(EAGAIN) : n;
}

/// Bytes of the winner, on their way to the reader: how many of them, at the front, are news to it.
ssize_t Opening::heard(MutableByteView bytes) {
  if (!said_) return static_cast<ssize_t>(bytes.size());
  // The handshake comes once more when all is said again.
  const std::size_t known = again_ ? std::min(bytes.size(), heard_.size() - repeated_) : 0;
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(known),
                  heard_.begin() + static_cast<std::ptrdiff_t>(repeated_)))
    return result(ECONNRESET);  // another peer by now
  repeated_ += known;
  const std::size_t news = bytes.size() - known;
  if (news == 0) return result(EAGAIN);
  std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(known), bytes.end(), bytes.begin());
  append(heard_, bytes.first(news));
  if (again_ || heard_.size() > wire::kHandshakeSize) {
    said_.reset();
    heard_ = {};
  }
  return static_cast<ssize_t>(news);
}

/// Begins anew, carefully, with a peer that has said its handshake and hung up on what came along
/// with ours. False if that is not what has happened.
bool Opening::say_again() {
  if (again_ || heard_.size() != wire::kHandshakeSize || said_->size() <= wire::kHandshakeSize)
    return false;
  DialWay way = race_.way(*race_.winner());
  if (way.careful) return false;
  way.careful = true;
  way.stage = 0;
  way.after = {};
  winner_->close();
  winner_ = nullptr;
  again_ = true;
  buried_ = std::exchange(runners_, std::vector<Runner>(1));
  greeting_ = *said_;
  race_ = DialRace({way});
  begin();
  return true;
}

ssize_t Opening::write(std::span<const iovec> parts) {
  if (race_.lost()) return result(ECONNRESET);
  if (greeted()) {
    const ssize_t n = winner_->write(parts);
    if (said_ && n > 0) note_said(parts, static_cast<std::size_t>(n));
    return n;
  }
  const std::size_t before = greeting_.size();
  for (const iovec& part : parts) {
    const ByteView bytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    append(greeting_, bytes.first(std::min(bytes.size(), kMaxGreeting - greeting_.size())));
  }
  const std::size_t taken = greeting_.size() - before;
  if (said_ && taken > 0) note_said(parts, taken);
  for (std::size_t way = 0; way < runners_.size(); ++way)
    if (runners_[way].stream && race_.running(way)) feed(way);
  return taken > 0 ? static_cast<ssize_t>(taken) : result(EAGAIN);
}

/// The first `taken` bytes of these were written.
void Opening::note_said(std::span<const iovec> parts, std::size_t taken) {
  for (const iovec& part : parts) {
    const std::size_t n = std::min(taken, part.iov_len);
    append(*said_, ByteView(static_cast<const std::uint8_t*>(part.iov_base), n));
    taken -= n;
  }
  if (said_->size() > kMaxGreeting) said_.reset();
}

void Opening::close() {
  if (std::exchange(closed_, true)) return;
  timer_.cancel();
  reader_ = writer_ = nullptr;
  for (Runner& runner : runners_) {
    runner.attempt.reset();
    if (runner.stream) runner.stream->close();
  }
}

}  // namespace swarmfs::net
