#include "swarm/net/resolver.h"

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>

#include "swarm/net/asio_glue.h"
#include "swarm/net/bound_lookup.h"
#include "swarm/net/name_threads.h"

namespace swarmfs::net {
namespace {

/// So that names nobody answers for do not hold up the others.
constexpr unsigned kThreads = 16;

/// Never destroyed: its threads may outlive main().
NameThreads& system_threads() {
  static auto& threads = *new NameThreads(ask_system, kThreads);
  return threads;
}

}  // namespace

asio::awaitable<Result<std::vector<IpAddress>>> resolve(RoutePtr route, std::string host,
                                                        Hosts hosts, Duration timeout) {
  return resolve(std::move(route), std::move(host), std::move(hosts), timeout, system_threads());
}

asio::awaitable<Result<std::vector<IpAddress>>> resolve(RoutePtr route, std::string host,
                                                        Hosts hosts, Duration timeout,
                                                        NameThreads& threads) {
  if (const auto literal = IpAddress::parse(host)) co_return std::vector<IpAddress>{*literal};
  if (const auto known = hosts.find(host); known != hosts.end()) co_return known->second;
  if (!route->direct())
    co_return fail(ErrorKind::permission, "looking up " + host + ": not with a proxy");
  if (route->bound()) {
    auto looking = bound_lookup(std::move(route), std::move(host), timeout);
    auto found = co_await std::move(looking);
    co_return found;
  }

  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto question = threads.ask(host);
  // A descriptor of its own, which the thread does not know: it may answer when the loop is gone.
  const int fd = ::fcntl(question->fd(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) co_return Error::from_errno(errno, "looking up " + host);
  const auto answered = std::make_shared<asio::posix::stream_descriptor>(executor, fd);
  asio::steady_timer limit(executor, timeout);
  limit.async_wait([answered](const boost::system::error_code& error) {
    if (!error) answered->cancel();
  });
  const auto [error] =
      co_await answered->async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
  if (error) co_return fail(ErrorKind::timed_out, "looking up " + host + ": no answer in time");
  co_return question->take();
}

Result<std::vector<IpAddress>> resolve_now(RoutePtr route, const std::string& host) {
  constexpr Duration kTime = std::chrono::seconds(20);
  asio::io_context io(1);
  Result<Addresses> out = fail(ErrorKind::not_found, "looking up " + host + ": it failed");
  auto looking = resolve(std::move(route), host, {}, kTime);
  asio::co_spawn(io, std::move(looking),
                 [&](const std::exception_ptr& thrown, Result<Addresses> found) {
                   if (!thrown) out = std::move(found);
                 });
  io.run();
  return out;
}

}  // namespace swarmfs::net
