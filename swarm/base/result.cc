#include "swarm/base/result.h"

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace swarmfs {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
      return "bad input";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::io:
      return "input/output error";
    case ErrorKind::no_space:
      return "no space";
    case ErrorKind::not_found:
      return "not found";
    case ErrorKind::permission:
      return "permission denied";
    case ErrorKind::busy:
      return "busy";
    case ErrorKind::exists:
      return "exists";
    case ErrorKind::timed_out:
      return "timed out";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::protocol:
      return "protocol error";
    case ErrorKind::mismatch:
      return "hash mismatch";
    case ErrorKind::network:
      return "network error";
    case ErrorKind::gone:
      return "gone";
  }
  return "unknown";
}

static ErrorKind kind_of_errno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::no_space;
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::permission;
    case EBUSY:
    case EAGAIN:
    case EADDRINUSE:
      return ErrorKind::busy;
    case EEXIST:
      return ErrorKind::exists;
    case ETIMEDOUT:
      return ErrorKind::timed_out;
    case ECANCELED:
    case EINTR:
      return ErrorKind::cancelled;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EPIPE:
      return ErrorKind::network;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return ErrorKind::bad_input;
    default:
      return ErrorKind::io;
  }
}

Error Error::from_errno(int error_number, std::string_view what) {
  return Error{kind_of_errno(error_number),
               std::string(what) + ": " + std::generic_category().message(error_number)};
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.message);
}

}  // namespace swarmfs
