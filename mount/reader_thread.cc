#include "mount/reader_thread.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace swarmfs::mount {

namespace {

/// The start of /proc/<tid>/<name>; empty with errno set if it cannot be read.
std::string proc_text(pid_t tid, const char* name) {
  const std::string path = "/proc/" + std::to_string(tid) + "/" + name;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char buffer[1024];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  const int error = n < 0 ? errno : 0;
  ::close(fd);
  errno = error;
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
}

bool no_such_thread(int error) { return error == ENOENT || error == ESRCH; }

}  // namespace

bool thread_is_gone(pid_t tid) {
  if (tid <= 0) return false;  // of another pid namespace: cannot tell
  const std::string stat = proc_text(tid, "stat");
  if (stat.empty()) return no_such_thread(errno);
  // "tid (name) state ppid pgrp session tty tpgid flags ...": the name may hold anything.
  const std::size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos || end_of_name + 2 >= stat.size()) return false;
  const char state = stat[end_of_name + 2];
  if (state == 'Z' || state == 'X' || state == 'x') return true;
  const char* at = stat.c_str() + end_of_name + 3;
  char* next = nullptr;
  unsigned long value = 0;
  for (int field = 4; field <= 9; ++field, at = next) {
    value = std::strtoul(at, &next, 10);
    if (next == at) return false;
  }
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING of linux/sched.h
  return (value & kExiting) != 0;
}

/// Its process; 0 if it cannot be told.
static pid_t process_of(pid_t tid) {
  const std::string status = proc_text(tid, "status");
  static constexpr std::string_view kKey = "\nTgid:";
  const auto at = status.find(kKey);
  if (at == std::string::npos) return 0;
  return static_cast<pid_t>(std::strtol(status.c_str() + at + kKey.size(), nullptr, 10));
}

pid_t ReaderProcesses::of(pid_t tid) {
  if (tid <= 0) return 0;
  auto& slot = slots_[static_cast<std::size_t>(tid) % kSlots];
  const std::uint64_t known = slot.load(std::memory_order_relaxed);
  if (known >> 32 == static_cast<std::uint64_t>(tid)) return static_cast<pid_t>(known & 0xffffffff);
  const pid_t process = process_of(tid);
  slot.store(static_cast<std::uint64_t>(tid) << 32 | static_cast<std::uint64_t>(process),
             std::memory_order_relaxed);
  return process;
}

Reader reader_of(pid_t tid) {
  Reader reader;
  reader.tid = tid;
  if (tid <= 0) return reader;
  reader.comm = proc_text(tid, "comm");
  if (reader.comm.ends_with('\n')) reader.comm.pop_back();
  reader.pid = process_of(tid);
  return reader;
}

WaitKind wait_kind(pid_t tid) {
  if (tid <= 0) return WaitKind::unknown;
  const std::string place = proc_text(tid, "wchan");
  if (place.empty()) return no_such_thread(errno) ? WaitKind::page : WaitKind::unknown;
  if (place == "0") return WaitKind::unknown;  // it runs, or we may not know
  const bool in_request = place.find("fuse") != std::string::npos ||
                          place.find("request_wait_answer") != std::string::npos;
  return in_request ? WaitKind::request : WaitKind::page;
}

}  // namespace swarmfs::mount
