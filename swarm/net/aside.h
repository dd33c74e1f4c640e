// Work that may take as long as it likes, in a thread of its own that nobody ever waits for.
#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "swarm/base/fd.h"
#include "swarm/net/detached_thread.h"

namespace swarmfs::net {

/// Calls `work` in the thread, and `done` with its result on the executor's; not if this is gone by
/// then. What `work` holds has to live by itself. A T is movable and made from nothing. On the
/// executor's thread; only run() throws nothing, and is true if there is a thread.
template <class T>
class Aside {
 public:
  explicit Aside(const boost::asio::any_io_executor& executor) : ready_(executor) {}
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  /// Once.
  bool run(std::function<T()> work, std::function<void(T)> done) {
    // Descriptors of the loop's and the thread's own: either may end first.
    const int fd = ::fcntl(shared_->ready.get(), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return false;
    ready_.assign(fd);
    if (!start(std::move(work))) return false;
    ready_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [shared = shared_, alive = std::weak_ptr(alive_),
                       done = std::move(done)](const boost::system::error_code& error) {
                        if (error || alive.expired()) return;
                        std::unique_lock lock(shared->mutex);
                        T result = std::move(*shared->result);
                        lock.unlock();
                        done(std::move(result));
                      });
    return true;
  }

 private:
  struct Shared {
    Fd ready{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    std::mutex mutex;
    std::optional<T> result;  ///< guarded by mutex; written before `ready`
  };

  bool start(std::function<T()> work) {
    return run_detached([shared = shared_, work = std::move(work)] {
             T result = work();
             {
               const std::lock_guard lock(shared->mutex);
               shared->result = std::move(result);
             }
             const std::uint64_t one = 1;
             if (::write(shared->ready.get(), &one, sizeof one) < 0) return;  // it cannot fail
           })
        .has_value();
  }

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  boost::asio::posix::stream_descriptor ready_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace swarmfs::net
