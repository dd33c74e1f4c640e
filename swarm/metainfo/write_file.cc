#include "swarm/metainfo/write_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace swarmfs::metainfo {
namespace {

/// 0, or the errno of the step that failed.
int write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(fd, 0666 & ~mask) != 0) return errno;
  return ::fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

Result<> write_file_atomically(const std::filesystem::path& path, ByteView bytes) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return Error::from_errno(EISDIR, path.string());
  std::string temporary = path.string() + ".XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, path.string());
  int error = write_all(fd, bytes);
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  ::unlink(temporary.c_str());
  return Error::from_errno(error, path.string());
}

}  // namespace swarmfs::metainfo
