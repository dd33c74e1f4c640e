#include "swarm/net/web_seed_link.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

namespace swarmfs::net {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

/// What the driver has of it.
class WebSeedLink::Stream final : public PeerStream {
 public:
  explicit Stream(std::shared_ptr<WebSeedLink> link) : link_(std::move(link)) {}
  ~Stream() override { close(); }

  void wait_readable(std::function<void()> ready) override {
    link_->reader_ = std::move(ready);
    link_->notify();
  }
  void wait_writable(std::function<void()> ready) override {
    link_->later([ready = std::move(ready)](WebSeedLink&) { ready(); });
  }
  ssize_t read(MutableByteView into) override { return link_->read(into); }
  ssize_t write(std::span<const iovec> parts) override {
    if (link_->seed_.ended()) {
      errno = EPIPE;
      return -1;
    }
    std::size_t sum = 0;
    link_->step([&](engine::WebSeed& seed, TimePoint now) {
      for (const iovec& part : parts) {
        seed.on_wire(ByteView(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len), now);
        sum += part.iov_len;
      }
    });
    return static_cast<ssize_t>(sum);
  }
  std::optional<PathRtt> path_rtt() override {
    std::optional<PathRtt> best;
    for (const auto& [id, line] : link_->lines_)
      if (const auto rtt = line->path_rtt(); rtt && (!best || rtt->shortest < best->shortest))
        best = rtt;
    return best;
  }
  void distrust() override {
    link_->step([](engine::WebSeed& seed, TimePoint) {
      seed.end({"sent wrong bytes", std::nullopt, true});
    });
  }
  void close() override {
    link_->reader_ = nullptr;
    link_->step([](engine::WebSeed& seed, TimePoint) { seed.end({}); });
  }

 private:
  std::shared_ptr<WebSeedLink> link_;
};

WebSeedLink::WebSeedLink(asio::any_io_executor executor, std::shared_ptr<HttpContext> context,
                         std::shared_ptr<const engine::WebSeedFiles> files,
                         std::shared_ptr<engine::WebSeedMemory> memory, engine::Scope scope,
                         std::string name, Events events)
    : executor_(std::move(executor)),
      context_(std::move(context)),
      events_(std::move(events)),
      seed_(std::move(files), std::move(memory), scope, std::move(name), *this),
      timer_(executor_) {}

void WebSeedLink::start() {
  step([](engine::WebSeed& seed, TimePoint now) { seed.start(now); });
}

void WebSeedLink::stop() {
  stopped_ = true;
  step([](engine::WebSeed& seed, TimePoint) { seed.end({}); });
}

/// Every call into the seed goes through here: its next deadline is armed afterwards.
template <class Event>
void WebSeedLink::step(Event&& event) {
  event(seed_, Clock::now());
  arm();
}

/// A call back, on a turn of the loop of its own.
template <class Call>
void WebSeedLink::later(Call call) {
  asio::post(executor_, [self = shared_from_this(), call = std::move(call)]() mutable {
    if (!self->stopped_) call(*self);
  });
}

void WebSeedLink::arm() {
  const TimePoint deadline = seed_.ended() ? TimePoint::max() : seed_.deadline();
  if (deadline == TimePoint::max()) {
    timer_.cancel();
    return;
  }
  if (timer_.expiry() == deadline) return;
  timer_.expires_at(deadline);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self) return;
    self->step([&](engine::WebSeed& seed, TimePoint now) {
      self->congested() ? seed.pardon(now) : seed.on_timer(now);
    });
  });
}

// --- for the driver

void WebSeedLink::notify() {
  if (!reader_ || notified_ || (outbox_.empty() && !seed_.ended())) return;
  notified_ = true;
  later([](WebSeedLink& self) {
    self.notified_ = false;
    if (const auto ready = std::exchange(self.reader_, nullptr)) ready();
  });
}

ssize_t WebSeedLink::read(MutableByteView into) {
  std::size_t sum = 0;
  while (!outbox_.empty() && sum < into.size()) {
    const ByteView rest = ByteView(outbox_.front()).subspan(taken_);
    const std::size_t n = std::min(rest.size(), into.size() - sum);
    std::copy_n(rest.begin(), n, into.begin() + static_cast<std::ptrdiff_t>(sum));
    sum += n;
    taken_ += n;
    if (n < rest.size()) break;
    outbox_.pop_front();
    taken_ = 0;
  }
  const bool was = congested();
  unread_ -= sum;
  if (was && !congested())
    for (const auto& [id, line] : lines_) line->resume();
  if (sum > 0 || seed_.ended()) return static_cast<ssize_t>(sum);
  errno = EAGAIN;
  return -1;
}

// --- engine::WebSeedHost

void WebSeedLink::open(engine::WebLine id, const wire::Url& url, engine::Scope scope) {
  HttpLine::Events events;
  const auto tell = [weak = weak_from_this(), id](auto call) {
    if (const auto self = weak.lock(); self && self->lines_.contains(id))
      self->step([&](engine::WebSeed& seed, TimePoint now) { call(*self, seed, now); });
  };
  events.on_open = [tell, id](const Endpoint& server, Duration rtt) {
    tell([&](WebSeedLink&, engine::WebSeed& seed, TimePoint now) {
      seed.on_open(id, server, rtt, now);
    });
  };
  events.on_head = [tell, id](const wire::HttpHead& head) {
    tell([&](WebSeedLink&, engine::WebSeed& seed, TimePoint now) { seed.on_head(id, head, now); });
  };
  events.on_body = [tell, id](ByteView bytes) {
    tell([&](WebSeedLink&, engine::WebSeed& seed, TimePoint now) { seed.on_body(id, bytes, now); });
  };
  events.on_end = [tell, id](bool kept) {
    tell([&](WebSeedLink&, engine::WebSeed& seed, TimePoint now) { seed.on_end(id, kept, now); });
  };
  events.on_lost = [tell, id](const std::string& why) {
    tell([&](WebSeedLink& self, engine::WebSeed& seed, TimePoint now) {
      self.lines_.erase(id);
      seed.on_lost(id, why, now);
    });
  };
  events.congested = [weak = weak_from_this()] {
    const auto self = weak.lock();
    return self && self->congested();
  };
  auto line = std::make_shared<HttpLine>(executor_, context_, std::move(events));
  lines_.emplace(id, line);
  HttpRequest request;
  request.url = url;
  request.scope = scope;
  line->open(std::move(request));
}

void WebSeedLink::get(engine::WebLine line, const wire::Url& url,
                      std::optional<std::pair<std::uint64_t, std::uint64_t>> range) {
  if (const auto it = lines_.find(line); it != lines_.end()) it->second->get(url, range);
}

void WebSeedLink::close(engine::WebLine line) {
  auto node = lines_.extract(line);
  if (!node.empty()) node.mapped()->close();
}

void WebSeedLink::ready(const Endpoint& server, Duration rtt) {
  later([server, rtt](WebSeedLink& self) {
    if (!self.seed_.ended())
      self.events_.on_ready(std::make_unique<Stream>(self.shared_from_this()), server, rtt);
  });
}

void WebSeedLink::say(Bytes bytes) {
  unread_ += bytes.size();
  outbox_.push_back(std::move(bytes));
  notify();
}

void WebSeedLink::note(std::string line) {
  later([line = std::move(line)](WebSeedLink& self) { self.events_.on_note(line); });
}

void WebSeedLink::ended(const engine::WebSeedEnd& end) {
  notify();
  later([end](WebSeedLink& self) { self.events_.on_ended(end); });
}

}  // namespace swarmfs::net
