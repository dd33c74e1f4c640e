// A TAP device in somebody's network namespace: the host's end of a cable whose other end is here.
#pragma once

#include <cstdint>
#include <string>

#include "tests/netlab/switch/fd.h"
#include "tests/netlab/switch/frame.h"

namespace swarmfs::netlab {

class Tap {
 public:
  /// Makes `device` in the namespace of that path (/run/netns/NAME), where the thread goes for a
  /// moment. The kernel there leaves checksums and the cutting of TCP data to us, so frames can
  /// be super-frames. The device ends with the Tap. Throws ControlError tap_failed.
  Tap(const std::string& netns, const std::string& device);

  /// Readable when the host has sent something. Not blocking.
  int fd() const { return fd_.get(); }

  /// A frame the host has sent; false when there is none now.
  bool read(Frame& frame);

  /// Gives the host a frame. One that the host does not take, its device being down, is lost.
  void write(const Frame& frame);

 private:
  Fd fd_;
};

}  // namespace swarmfs::netlab
