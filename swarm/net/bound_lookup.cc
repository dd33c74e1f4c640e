#include "swarm/net/bound_lookup.h"

#include <ares.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <memory>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {
namespace {

using boost::system::error_code;

/// One lookup: c-ares has the protocol, and Asio waits for it. Held by what it waits for.
class Lookup : public std::enable_shared_from_this<Lookup> {
 public:
  Lookup(const asio::any_io_executor& executor, RoutePtr route)
      : executor_(executor), route_(std::move(route)), tick_(executor), ended_(executor) {}
  ~Lookup() { close(); }

  bool begin(const std::string& host, Duration timeout) {
    ended_.expires_after(timeout);
    ares_options options{};
    options.timeout = 2000;  // ms; doubles with each try
    options.tries = 3;
    options.sock_state_cb = [](void* self, int fd, int read, int write) {
      static_cast<Lookup*>(self)->watch(fd, read != 0, write != 0);
    };
    options.sock_state_cb_data = this;
    if (ares_init_options(&channel_, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) !=
        ARES_SUCCESS) {
      channel_ = nullptr;
      return false;
    }
    // What cannot be put on the interface is not connected.
    ares_set_socket_configure_callback(
        channel_,
        [](ares_socket_t fd, int, void* self) {
          int family = AF_INET;
          socklen_t size = sizeof family;
          ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
          return static_cast<Lookup*>(self)->route_->hold(fd, family == AF_INET) ? 0 : -1;
        },
        this);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(
        channel_, host.c_str(), nullptr, &hints,
        [](void* self, int result, int, ares_addrinfo* found) {
          static_cast<Lookup*>(self)->answered(result, found);
        },
        this);
    tick();
    return true;
  }
  auto wait() { return ended_.async_wait(kAwait); }
  void close() {
    closed_ = true;
    tick_.cancel();
    if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
    watched_.clear();
  }

  std::optional<int> status;
  std::vector<IpAddress> addresses;

 private:
  struct Watched {
    Watched(const asio::any_io_executor& executor, int fd) : descriptor(executor, fd) {}
    ~Watched() { let_go(); }
    /// Before c-ares closes it, after which the number may be another's.
    void let_go() {
      if (descriptor.is_open()) descriptor.release();
    }
    asio::posix::stream_descriptor descriptor;
    bool read = false, write = false;       ///< wanted
    bool reading = false, writing = false;  ///< waited for
  };

  void answered(int result, ares_addrinfo* found) {
    if (result == ARES_EDESTRUCTION) return;
    status = result;
    for (const ares_addrinfo_node* node = found != nullptr ? found->nodes : nullptr;
         node != nullptr; node = node->ai_next) {
      IpAddress address;
      if (node->ai_family == AF_INET) {
        std::array<std::uint8_t, 4> four;
        const auto* in = reinterpret_cast<const sockaddr_in*>(node->ai_addr);
        std::copy_n(reinterpret_cast<const std::uint8_t*>(&in->sin_addr), 4, four.begin());
        address = IpAddress::v4(four);
      } else {
        std::array<std::uint8_t, 16> sixteen;
        const auto* in = reinterpret_cast<const sockaddr_in6*>(node->ai_addr);
        std::copy_n(reinterpret_cast<const std::uint8_t*>(&in->sin6_addr), 16, sixteen.begin());
        address = IpAddress::v6(sixteen);
      }
      if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
    if (found != nullptr) ares_freeaddrinfo(found);
    ended_.cancel();
  }

  void watch(int fd, bool read, bool write) {
    if (!read && !write) {
      const auto found = watched_.find(fd);
      if (found == watched_.end()) return;
      found->second->let_go();  // its handler may be what runs, and hold it
      watched_.erase(found);
      return;
    }
    auto& watched = watched_[fd];
    if (!watched) watched = std::make_shared<Watched>(executor_, fd);
    watched->read = read;
    watched->write = write;
    wait_for(fd, watched);
  }

  void wait_for(int fd, const std::shared_ptr<Watched>& watched) {
    using Descriptor = asio::posix::stream_descriptor;
    const auto again = [this, fd, self = weak_from_this()](bool Watched::*waited, bool read) {
      return [this, self, fd, waited, read,
              weak = std::weak_ptr(watched_[fd])](const error_code& error) {
        const auto lookup = self.lock();
        const auto mine = weak.lock();
        if (!lookup || !mine) return;
        (*mine).*waited = false;
        if (error || closed_) return;
        ares_process_fd(channel_, read ? fd : ARES_SOCKET_BAD, read ? ARES_SOCKET_BAD : fd);
        if (!closed_ && weak.lock()) wait_for(fd, mine);
      };
    };
    if (watched->read && !std::exchange(watched->reading, true))
      watched->descriptor.async_wait(Descriptor::wait_read, again(&Watched::reading, true));
    if (watched->write && !std::exchange(watched->writing, true))
      watched->descriptor.async_wait(Descriptor::wait_write, again(&Watched::writing, false));
  }

  /// What is not answered is asked again in time.
  void tick() {
    if (closed_ || status) return;
    tick_.expires_after(std::chrono::milliseconds(250));
    tick_.async_wait([self = weak_from_this()](const error_code& cancelled) {
      const auto lookup = self.lock();
      if (cancelled || !lookup || lookup->closed_) return;
      ares_process_fd(lookup->channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      lookup->tick();
    });
  }

  asio::any_io_executor executor_;
  RoutePtr route_;
  ares_channel channel_ = nullptr;
  std::map<int, std::shared_ptr<Watched>> watched_;
  asio::steady_timer tick_;
  asio::steady_timer ended_;  ///< cancelled with the answer
  bool closed_ = false;
};

}  // namespace

asio::awaitable<Result<std::vector<IpAddress>>> bound_lookup(RoutePtr route, std::string host,
                                                             Duration timeout) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const std::string what = "looking up " + host + " by the interface";
  // Initialised once for the process, which is what the library asks for.
  static const int ready = ares_library_init(ARES_LIB_INIT_ALL);
  if (ready != ARES_SUCCESS) co_return fail(ErrorKind::not_found, what + ": no resolver");
  const auto lookup = std::make_shared<Lookup>(executor, std::move(route));
  if (!lookup->begin(host, timeout)) co_return fail(ErrorKind::not_found, what + ": no resolver");
  if (!lookup->status) co_await lookup->wait();
  lookup->close();
  if (!lookup->status) co_return fail(ErrorKind::timed_out, what + ": no answer in time");
  if (lookup->addresses.empty())
    co_return fail(ErrorKind::not_found, what + ": " + ares_strerror(*lookup->status));
  co_return lookup->addresses;
}

}  // namespace swarmfs::net
