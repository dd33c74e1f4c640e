// Between Asio's types and ours.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <string>

#include "swarm/base/result.h"
#include "swarm/net/addresses.h"

namespace swarmfs::net {

namespace asio = boost::asio;

/// Completion token: `const auto [error, ...] = co_await op(..., kAwait)`.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// "<what>: <reason>". `what` must not hold a URL's path or query.
inline Error net_error(const boost::system::error_code& code, std::string_view what) {
  if (code == boost::system::errc::operation_canceled)
    return fail(ErrorKind::cancelled, std::string(what) + ": given up");
  if (code.category() == boost::system::system_category() ||
      code.category() == boost::system::generic_category())
    return Error::from_errno(code.value(), what);
  return fail(ErrorKind::network, std::string(what) + ": " + code.message());
}

}  // namespace swarmfs::net
