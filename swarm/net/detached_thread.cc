#include "swarm/net/detached_thread.h"

#include <csignal>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace swarmfs::net {

Result<> run_detached(std::function<void()> work) {
  // A thread begins with the mask of the one that starts it.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<> started;
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error& e) {
    started = fail(ErrorKind::io, std::string("cannot start a thread: ") + e.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace swarmfs::net
