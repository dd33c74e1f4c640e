// A mount with a file to wait for.
#pragma once

#include <string>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {

/// A file "a" nothing of which is here, and a file "b" all of which is.
struct WaitingMount : FakeMount {
  static constexpr std::uint64_t kMebi = 1 << 20;
  explicit WaitingMount(mount::FuseOptions options = {})
      : FakeMount({{"a", 64 * kMebi}, {"b", 4 * kMebi}}, options), a(path("a")), b(path("b")) {
    source->hold(FileIndex{0}, 0, 64 * kMebi);
  }
  int read_a(std::uint64_t offset = 0, std::size_t length = 4096) const {
    return read_and_compare(a.c_str(), FileIndex{0}, static_cast<off_t>(offset), length);
  }
  int read_b() const { return read_and_compare(b.c_str(), FileIndex{1}, 0, 4 * kMebi); }
  std::string a, b;
};

}  // namespace swarmfs::test
