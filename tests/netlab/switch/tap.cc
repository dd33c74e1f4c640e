#include "tests/netlab/switch/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tests/netlab/switch/units.h"

namespace swarmfs::netlab {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw ControlError("tap_failed", what + ": " + std::strerror(errno));
}

/// The thread is in another network namespace while this lives.
class Visit {
 public:
  explicit Visit(const std::string& netns)
      : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    const Fd there(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (!home_.valid() || !there.valid() || ::setns(there.get(), CLONE_NEWNET) != 0) fail(netns);
  }
  ~Visit() {
    // Anywhere else nothing would be right any more.
    if (::setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  Fd home_;
};

/// A super-frame is 64 KiB at most, with its IP and without its Ethernet header.
constexpr std::size_t kMostBytes = 65536 + 64;

}  // namespace

Tap::Tap(const std::string& netns, const std::string& device) {
  const Visit visit(netns);
  fd_ = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd_.valid()) fail("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  device.copy(request.ifr_name, sizeof request.ifr_name - 1);
  if (::ioctl(fd_.get(), TUNSETIFF, &request) != 0) fail(device + " in " + netns);
  const int header = sizeof(Offload);
  if (::ioctl(fd_.get(), TUNSETVNETHDRSZ, &header) != 0) fail("TUNSETVNETHDRSZ");
  const unsigned long offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (::ioctl(fd_.get(), TUNSETOFFLOAD, offload) != 0) fail("TUNSETOFFLOAD");
}

bool Tap::read(Frame& frame) {
  static thread_local std::array<std::uint8_t, kMostBytes> buffer;
  std::array<iovec, 2> parts{
      {{&frame.offload, sizeof frame.offload}, {buffer.data(), buffer.size()}}};
  const ssize_t got = ::readv(fd_.get(), parts.data(), parts.size());
  if (got <= static_cast<ssize_t>(sizeof frame.offload)) return false;
  frame.bytes.assign(buffer.begin(),
                     buffer.begin() + (got - static_cast<ssize_t>(sizeof frame.offload)));
  return true;
}

void Tap::write(const Frame& frame) {
  // writev() takes what it only reads as not const.
  std::array<iovec, 2> parts{{{const_cast<Offload*>(&frame.offload), sizeof frame.offload},
                              {const_cast<std::uint8_t*>(frame.bytes.data()), frame.bytes.size()}}};
  [[maybe_unused]] const ssize_t sent = ::writev(fd_.get(), parts.data(), parts.size());
}

}  // namespace swarmfs::netlab
