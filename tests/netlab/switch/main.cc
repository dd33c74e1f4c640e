// netlab_switch: the switch of a Netlab (tests/netlab/netlab.py), which starts it.
//
// Usage: netlab_switch SOCKET SEED. Takes commands at the Unix socket SOCKET (control.h); SEED
// decides what is lost and how late things are. Needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN.
#include <sched.h>
#include <sys/prctl.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/netlab/switch/loop.h"

int main(int argc, char** argv) {
  std::uint64_t seed = 0;
  if (argc != 3 ||
      std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), seed).ec != std::errc{}) {
    std::fprintf(stderr, "usage: netlab_switch SOCKET SEED\n");
    return 2;
  }
  // A network does not wait for a CPU that the programs on it use. Without the right to that
  // (in some containers) delays are less exact on a busy machine, and nothing else.
  const sched_param priority{1};
  if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
    std::fprintf(stderr, "netlab_switch: no real-time priority: %s\n", std::strerror(errno));
  }
  ::prctl(PR_SET_TIMERSLACK, 1);  // ns; otherwise 50 us
  try {
    swarmfs::netlab::Loop loop(argv[1], seed);
    loop.run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "netlab_switch: %s\n", error.what());
    return 1;
  }
}
