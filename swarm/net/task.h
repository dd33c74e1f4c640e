// One coroutine with a deadline whose result is delivered once, or never after cancel().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "swarm/base/clock.h"
#include "swarm/base/result.h"

namespace swarmfs::net {

/// Shared by its owner, its timer and its coroutine's end: whichever is last frees it, since Asio
/// completes a cancelled operation only on a later turn of the loop.
class Task : public std::enable_shared_from_this<Task> {
 public:
  explicit Task(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  /// Runs `body`; its operations are cancelled after `timeout`, and `done` then gets a timed_out
  /// error that begins with `what`. `done` is never called from inside start().
  template <class T>
  static std::shared_ptr<Task> start(const boost::asio::any_io_executor& executor, Duration timeout,
                                     std::string what, boost::asio::awaitable<Result<T>> body,
                                     std::function<void(Result<T>)> done) {
    auto task = std::make_shared<Task>(executor);
    task->timer_.expires_after(timeout);
    task->timer_.async_wait([task](const boost::system::error_code& error) {
      if (error || task->ended_) return;
      task->timed_out_ = true;
      task->signal_.emit(boost::asio::cancellation_type::terminal);
    });
    auto finish = [task, what = std::move(what), done = std::move(done)](
                      const std::exception_ptr& thrown, Result<T> result) {
      task->ended_ = true;
      task->timer_.cancel();
      if (task->dropped_) return;
      if (task->timed_out_) {
        done(fail(ErrorKind::timed_out, what + ": no answer in time"));
      } else if (thrown) {
        done(fail(ErrorKind::network, what + ": " + reason(thrown)));
      } else {
        done(std::move(result));
      }
    };
    boost::asio::co_spawn(
        executor, std::move(body),
        boost::asio::bind_cancellation_slot(task->signal_.slot(), std::move(finish)));
    return task;
  }

  /// Ends the coroutine soon; `done` is not called any more.
  void cancel() {
    if (ended_ || std::exchange(dropped_, true)) return;
    timer_.cancel();
    // On a turn of the loop, where co_spawn passes the signal on at once: put off, it would find
    // the coroutine's slot freed if that ended first (Boost 1.81 keeps no owner of it).
    boost::asio::dispatch(timer_.get_executor(), [self = shared_from_this()] {
      if (!self->ended_) self->signal_.emit(boost::asio::cancellation_type::terminal);
    });
  }

 private:
  static std::string reason(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      return e.what();
    }
  }

  boost::asio::steady_timer timer_;
  boost::asio::cancellation_signal signal_;
  bool ended_ = false;
  bool timed_out_ = false;
  bool dropped_ = false;
};

}  // namespace swarmfs::net
