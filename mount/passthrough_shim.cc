// Passthrough with a libfuse that does not know of it (before 3.17, as in Debian 12): the answer to
// INIT is completed on its way out, and OPEN is answered in the kernel's own words.
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "mount/fuse_ops.h"
#include "mount/libfuse.h"
#include "mount/passthrough.h"

namespace swarmfs::mount {

namespace {

// The kernel's side of the protocol, <linux/fuse.h> of 6.9, which Debian 12's headers precede.
constexpr std::uint32_t kOpInit = 26;
constexpr std::uint32_t kInitExt = 1U << 30;         // FUSE_INIT_EXT: flags2 counts
constexpr std::uint32_t kPassthrough2 = 1U << 5;     // FUSE_PASSTHROUGH (bit 37), in flags2
constexpr std::uint32_t kOpenPassthrough = 1U << 7;  // FOPEN_PASSTHROUGH
constexpr std::uint32_t kOpenNoFlush = 1U << 5;      // FOPEN_NOFLUSH
/// Of filesystems below ours: one, so that ours may still be below an overlay.
constexpr std::uint32_t kStackDepth = 1;

// Where fields stand: in fuse_in_header and the fuse_init_in behind it, and in fuse_init_out.
constexpr std::size_t kInOpcode = 4, kInUnique = 8, kInHeader = 40;
constexpr std::size_t kInitFlags = kInHeader + 12, kInitFlags2 = kInHeader + 16;
constexpr std::size_t kOutFlags = 12, kOutFlags2 = 32, kOutStackDepth = 36, kInitOutSize = 64;
constexpr std::size_t kOutHeader = 16, kOutUnique = 8;

struct OpenOut {
  std::uint64_t handle;
  std::uint32_t flags;
  std::int32_t backing;
};

template <class T>
T field(const void* base, std::size_t offset) {
  T value;
  std::memcpy(&value, static_cast<const char*>(base) + offset, sizeof value);
  return value;
}

void set_bits(void* base, std::size_t offset, std::uint32_t bits) {
  const auto value = field<std::uint32_t>(base, offset) | bits;
  std::memcpy(static_cast<char*>(base) + offset, &value, sizeof value);
}

ssize_t read_request(int fd, void* buffer, std::size_t size, void*) {
  return ::read(fd, buffer, size);
}

}  // namespace

void Passthrough::attach(fuse_session* session) {
  fuse_custom_io io{};
  io.writev = &Passthrough::write_reply;
  io.read = &read_request;
  const int fd = fuse_session_fd(session);
  if (fuse_session_custom_io(session, &io, fd) == 0) device_ = fd;
}

void Passthrough::see_request(ByteView request) {
  if (device_ < 0 || enabled_ || request.size() < kInitFlags2 + 4 ||
      field<std::uint32_t>(request.data(), kInOpcode) != kOpInit)
    return;
  const bool extended = (field<std::uint32_t>(request.data(), kInitFlags) & kInitExt) != 0;
  if (extended && (field<std::uint32_t>(request.data(), kInitFlags2) & kPassthrough2) != 0)
    init_ = field<std::uint64_t>(request.data(), kInUnique);
}

std::ptrdiff_t Passthrough::write_reply(int fd, iovec* parts, int count, void* userdata) {
  Passthrough& self = static_cast<FuseBridge*>(userdata)->passthrough;
  if (self.init_ != 0) self.complete_init(parts, count);
  return ::writev(fd, parts, count);
}

void Passthrough::complete_init(iovec* parts, int count) {
  if (count < 2 || parts[0].iov_len < kOutHeader || parts[1].iov_len < kInitOutSize ||
      field<std::uint64_t>(parts[0].iov_base, kOutUnique) != init_)
    return;
  init_ = 0;
  void* const out = parts[1].iov_base;
  set_bits(out, kOutFlags, kInitExt);
  set_bits(out, kOutFlags2, kPassthrough2);
  std::memcpy(static_cast<char*>(out) + kOutStackDepth, &kStackDepth, sizeof kStackDepth);
  enabled_ = true;
}

void Passthrough::negotiate(fuse_conn_info*) {}

int Passthrough::reply_open(fuse_req* req, fuse_file_info* fi, std::int32_t backing) {
  const OpenOut out{fi->fh, kOpenPassthrough | kOpenNoFlush, backing};
  return fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof out);
}

}  // namespace swarmfs::mount
