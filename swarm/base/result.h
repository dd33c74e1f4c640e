// Result<T>: a value or an Error that says what happened, to what, and what to do.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace swarmfs {

/// What kind of failure it is; decides exit codes and errnos, each in one place.
enum class ErrorKind : std::uint8_t {
  bad_input,    ///< malformed manifest, message or argument
  unsupported,  ///< well-formed, but beyond what this version does
  io,           ///< the local disk failed
  no_space,     ///< the local disk is full
  not_found,    ///< a file, folder or name that is not there
  permission,   ///< the system refused
  busy,         ///< locked or in use by another
  exists,       ///< already there and not to be replaced
  timed_out,    ///< nothing came in time
  cancelled,    ///< given up by the caller or at shutdown
  protocol,     ///< a peer or tracker broke its protocol
  mismatch,     ///< data and hash differ
  network,      ///< no connection, refused, unreachable
  gone,         ///< what it belonged to has been removed meanwhile
};

std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::io;
  /// One line for a person; no trailing full stop or newline.
  std::string message;

  /// From an errno: "<what>: <strerror>", with the kind that fits the errno.
  static Error from_errno(int error_number, std::string_view what);
};

template <class T = void>
using Result = boost::system::result<T, Error>;

/// Result::value() on an error lands here (found by ADL); throws std::runtime_error.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

inline Error fail(ErrorKind kind, std::string message) { return Error{kind, std::move(message)}; }

}  // namespace swarmfs
