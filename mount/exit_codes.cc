#include "mount/exit_codes.h"

namespace swarmfs::mount {

ExitCode exit_code_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::bad_input:
    case ErrorKind::unsupported:
      return kBadManifest;
    case ErrorKind::io:
    case ErrorKind::no_space:
    case ErrorKind::not_found:
    case ErrorKind::permission:
    case ErrorKind::exists:
      return kFile;
    case ErrorKind::mismatch:
      return kMismatch;
    case ErrorKind::timed_out:
    case ErrorKind::protocol:
    case ErrorKind::network:
      return kNetwork;
    case ErrorKind::busy:
      return kBusy;
    case ErrorKind::cancelled:
    case ErrorKind::gone:
      return kFailed;
  }
  return kFailed;
}

}  // namespace swarmfs::mount
