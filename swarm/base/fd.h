// A file descriptor with an owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace swarmfs {

/// Closes what it holds when it goes; -1 is nothing.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  /// Hands it to another owner.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace swarmfs
