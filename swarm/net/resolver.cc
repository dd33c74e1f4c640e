#include "swarm/net/resolver.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>

#include "swarm/net/asio_glue.h"

namespace swarmfs::net {
namespace {

using asio::ip::tcp;

/// Shared with the resolver's handler, which may run long after the coroutine has gone.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), ended(executor) {}
  tcp::resolver resolver;
  asio::steady_timer ended;  ///< cancelled when the answer is there
  bool answered = false;
  boost::system::error_code error;
  std::vector<IpAddress> addresses;
};

}  // namespace

asio::awaitable<Result<std::vector<IpAddress>>> resolve(std::string host, Hosts hosts,
                                                        Duration timeout) {
  if (const auto literal = IpAddress::parse(host)) co_return std::vector<IpAddress>{*literal};
  if (const auto known = hosts.find(host); known != hosts.end()) co_return known->second;

  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto lookup = std::make_shared<Lookup>(executor);
  lookup->ended.expires_after(timeout);
  lookup->resolver.async_resolve(
      host, "", [lookup](const boost::system::error_code& error, const auto& results) {
        lookup->answered = true;
        lookup->error = error;
        for (const auto& entry : results) {
          const IpAddress address = from_asio(entry.endpoint().address());
          if (std::find(lookup->addresses.begin(), lookup->addresses.end(), address) ==
              lookup->addresses.end())
            lookup->addresses.push_back(address);
        }
        lookup->ended.cancel();
      });
  co_await lookup->ended.async_wait(kAwait);
  if (!lookup->answered) {
    lookup->resolver.cancel();
    co_return fail(ErrorKind::timed_out, "looking up " + host + ": no answer in time");
  }
  if (lookup->error || lookup->addresses.empty())
    co_return fail(ErrorKind::not_found,
                   "looking up " + host + ": " +
                       (lookup->error ? lookup->error.message() : "it has no address"));
  co_return lookup->addresses;
}

}  // namespace swarmfs::net
