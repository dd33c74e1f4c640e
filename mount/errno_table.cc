#include "mount/errno_table.h"

#include <cerrno>

namespace swarmfs::mount {

int errno_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
      return EINVAL;
    case ErrorKind::unsupported:
      return EOPNOTSUPP;
    case ErrorKind::io:
      return EIO;
    case ErrorKind::no_space:
      return ENOSPC;
    case ErrorKind::not_found:
      return ENOENT;
    case ErrorKind::permission:
      return EACCES;
    case ErrorKind::busy:
      return EBUSY;
    case ErrorKind::exists:
      return EEXIST;
    case ErrorKind::timed_out:
      return ETIMEDOUT;
    case ErrorKind::cancelled:
      return EINTR;
    case ErrorKind::protocol:
      return EIO;
    case ErrorKind::mismatch:
      return EIO;
    case ErrorKind::network:
      return EIO;
    case ErrorKind::gone:
      return ESTALE;
  }
  return EIO;
}

}  // namespace swarmfs::mount
