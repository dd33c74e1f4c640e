// What the kernel says about a thread that has a read here, from /proc.
#pragma once

#include <sys/types.h>

namespace swarmfs::mount {

/// True if the thread is gone or on its way out: nobody waits for what it asked for.
bool thread_is_gone(pid_t tid);

/// How a thread with an unanswered READ stands.
enum class WaitKind {
  page,     ///< not inside that READ: it waits for the page, or for something else; or it is gone
  request,  ///< inside a request: an error in the answer would reach the program
  unknown,
};
WaitKind wait_kind(pid_t tid);

}  // namespace swarmfs::mount
