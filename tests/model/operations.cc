// What workers do, how often, and which errnos each may end with.
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "tests/model/worker.h"

extern char** environ;

namespace swarmfs::model {

std::span<const Worker::Operation> Worker::operations() {
  static const std::vector<Operation> table = {
      {"open", 60, &Worker::open_file, {}},
      {"read", 150, &Worker::read_on, {}},
      {"pread", 250, &Worker::read_at, {}},
      {"preadv", 60, &Worker::read_vector, {}},
      {"lseek", 30, &Worker::seek, {}},
      {"mmap", 20, &Worker::map, {}},
      {"touch", 100, &Worker::touch, {}},
      {"munmap", 10, &Worker::unmap, {}},
      {"sendfile", 25, &Worker::send, {}},
      {"splice", 25, &Worker::splice_out, {}},
      // Between file systems the kernel may leave it to the program.
      {"copy_file_range", 15, &Worker::copy_range, {EXDEV}},
      {"fadvise", 10, &Worker::advise, {}},
      {"dup", 10, &Worker::duplicate, {}},
      {"close", 45, &Worker::close_file, {}},
      {"readdir", 15, &Worker::list, {}},
      {"stat", 60, &Worker::look, {}},
      {"getxattr", 30, &Worker::attribute, {}},
      {"readlink", 10, &Worker::follow, {}},
      {"absent", 15, &Worker::absent, {}},
      {"write", 15, &Worker::refuse_writing, {}},
      {"execve", 1, &Worker::execute, {}},
  };
  return table;
}

void Worker::open_file() {
  constexpr int kFlags[] = {0, 0, 0, 0, O_NONBLOCK, O_SYNC, O_NOATIME, O_DIRECT};
  while (handles_.size() >= 16) close_file();
  const Entry& file = one_of(job_.source.files);
  const int flags = kFlags[below(std::size(kFlags))];
  say("open %s with %#o", file.path.c_str(), static_cast<unsigned>(flags));
  while (true) {
    const int fd = ::open(path(file).c_str(), O_RDONLY | O_CLOEXEC | flags);
    if (fd >= 0) return handles_.push_back({fd, &file, 0, flags == O_DIRECT});
    refused(errno);
  }
}

void Worker::read_on() {
  Handle& handle = some_handle();
  const std::uint64_t length = some_length();
  say("read %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(handle.position), handle.file->path.c_str());
  const ssize_t n = ::read(handle.fd, buffer_.data(), length);
  if (compare(n, buffer_.data(), *handle.file, handle.position, length))
    handle.position += static_cast<std::uint64_t>(n);
}

void Worker::read_at() {
  const Handle& handle = some_handle();
  const std::uint64_t length = some_length(), offset = some_offset(handle.file->bytes.size());
  say("pread %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  compare(::pread(handle.fd, buffer_.data(), length, static_cast<off_t>(offset)), buffer_.data(),
          *handle.file, offset, length);
}

void Worker::read_vector() {
  const Handle& handle = some_handle();
  const std::uint64_t offset = some_offset(handle.file->bytes.size());
  std::vector<iovec> parts;
  std::uint64_t length = 0;
  for (std::uint64_t i = below(5) + 1; i > 0; --i) {
    parts.push_back({buffer_.data() + length, below(9000)});
    length += parts.back().iov_len;
  }
  say("preadv %llu in %zu at %llu of %s", static_cast<unsigned long long>(length), parts.size(),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  compare(
      ::preadv(handle.fd, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset)),
      buffer_.data(), *handle.file, offset, length);
}

void Worker::seek() {
  Handle& handle = some_handle();
  const std::uint64_t size = handle.file->bytes.size(), to = some_offset(size);
  const auto offset = static_cast<off_t>(to);
  say("lseek to %llu of %s", static_cast<unsigned long long>(to), handle.file->path.c_str());
  off_t at = 0;
  switch (below(3)) {
    case 0:
      at = ::lseek(handle.fd, offset, SEEK_SET);
      break;
    case 1:
      at = ::lseek(handle.fd, offset - static_cast<off_t>(handle.position), SEEK_CUR);
      break;
    default:
      at = ::lseek(handle.fd, offset - static_cast<off_t>(size), SEEK_END);
      break;
  }
  if (at < 0) return refused(errno);
  if (at != offset) fail("went to " + std::to_string(at));
  handle.position = to;
}

void Worker::map() {
  while (mappings_.size() >= 6) unmap();
  const Handle& handle = some_handle();
  const std::uint64_t size = handle.file->bytes.size();
  if (size == 0) return;
  const std::uint64_t offset = below(size) / 4096 * 4096;
  const std::uint64_t length = std::min(size - offset, below(4 << 20) + 1);
  const int kind = one_in(2) ? MAP_SHARED : MAP_PRIVATE;
  say("mmap %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  void* const at = ::mmap(nullptr, length, PROT_READ, kind, handle.fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return refused(errno);
  if (one_in(4)) ::madvise(at, length, MADV_RANDOM);
  mappings_.push_back({static_cast<const char*>(at), offset, length, handle.file});
}

namespace {
sigjmp_buf on_sigbus;
}  // namespace

void Worker::touch() {
  if (mappings_.empty()) map();
  if (mappings_.empty()) return;
  const Mapping& mapping = mappings_[below(mappings_.size())];
  struct sigaction action {};
  action.sa_handler = [](int) { ::siglongjmp(on_sigbus, 1); };
  ::sigaction(SIGBUS, &action, nullptr);
  if (sigsetjmp(on_sigbus, 1) != 0) {
    if (job_.shared.ending) throw Ended{};
    fail("SIGBUS");
  }
  for (std::uint64_t i = below(8) + 1; i > 0; --i) {
    const std::uint64_t at = below(mapping.length);
    const std::uint64_t length = std::min(mapping.length - at, below(300) + 1);
    say("touch %llu at %llu of %s", static_cast<unsigned long long>(length),
        static_cast<unsigned long long>(mapping.offset + at), mapping.file->path.c_str());
    compare(static_cast<long>(length), mapping.at + at, *mapping.file, mapping.offset + at, length);
  }
}

void Worker::unmap() {
  if (mappings_.empty()) return;
  const std::size_t i = below(mappings_.size());
  ::munmap(const_cast<char*>(mappings_[i].at), mappings_[i].length);
  mappings_.erase(mappings_.begin() + static_cast<std::ptrdiff_t>(i));
}

void Worker::send() {
  const Handle& handle = some_handle();
  const std::uint64_t length = some_length(), offset = some_offset(handle.file->bytes.size());
  say("sendfile %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  auto at = static_cast<off_t>(offset);
  ::lseek(scratch_, 0, SEEK_SET);
  const ssize_t n = ::sendfile(scratch_, handle.fd, &at, length);
  if (n > 0 && ::pread(scratch_, buffer_.data(), static_cast<std::size_t>(n), 0) != n)
    fail("the copy is short");
  // With O_DIRECT it goes in steps, one of which the disk below may take for badly aligned.
  compare(n, buffer_.data(), *handle.file, offset, length, direct_);
}

void Worker::splice_out() {
  const Handle& handle = some_handle();
  const std::uint64_t length = std::min<std::uint64_t>(some_length(), 60'000);
  const std::uint64_t offset = some_offset(handle.file->bytes.size());
  say("splice %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  auto at = static_cast<loff_t>(offset);
  const ssize_t n = ::splice(handle.fd, &at, pipe_[1], nullptr, length, 0);
  for (ssize_t got = 0; got < n;) {
    const ssize_t more = ::read(pipe_[0], buffer_.data() + got, static_cast<std::size_t>(n - got));
    if (more > 0) got += more;
  }
  compare(n, buffer_.data(), *handle.file, offset, length, true);  // what a pipe holds
}

void Worker::copy_range() {
  const Handle& handle = some_handle();
  const std::uint64_t length = some_length(), offset = some_offset(handle.file->bytes.size());
  say("copy_file_range %llu at %llu of %s", static_cast<unsigned long long>(length),
      static_cast<unsigned long long>(offset), handle.file->path.c_str());
  auto from = static_cast<loff_t>(offset);
  loff_t to = 0;
  const ssize_t n = ::copy_file_range(handle.fd, &from, scratch_, &to, length, 0);
  if (n > 0 && ::pread(scratch_, buffer_.data(), static_cast<std::size_t>(n), 0) != n)
    fail("the copy is short");
  compare(n, buffer_.data(), *handle.file, offset, length, true);
}

void Worker::advise() {
  constexpr int kAdvice[] = {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                             POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED};
  const Handle& handle = some_handle();
  const int advice = kAdvice[below(std::size(kAdvice))];
  const auto offset = static_cast<off_t>(some_offset(handle.file->bytes.size()));
  const auto length = static_cast<off_t>(some_length());
  if (const int error = ::posix_fadvise(handle.fd, offset, length, advice)) refused(error);
}

void Worker::duplicate() {
  Handle& handle = some_handle();
  const int fd = ::fcntl(handle.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) fail(std::strerror(errno));
  ::close(handle.fd);
  handle.fd = fd;
}

void Worker::close_file() {
  if (handles_.empty()) return;
  const std::size_t i = below(handles_.size());
  say("close %s", handles_[i].file->path.c_str());
  if (::close(handles_[i].fd) != 0) refused(errno);
  handles_.erase(handles_.begin() + static_cast<std::ptrdiff_t>(i));
}

void Worker::list() {
  const Entry& folder = one_of(job_.source.folders);
  say("readdir of /%s", folder.path.c_str());
  DIR* const dir = ::opendir(path(folder).c_str());
  if (dir == nullptr) return refused(errno);
  std::set<std::string> names;
  const std::uint64_t stop = below(folder.names.size() + 2);
  long place = -1;
  std::string next;
  errno = 0;
  for (std::uint64_t i = 0; true; ++i) {
    const long at = ::telldir(dir);
    const dirent* const entry = ::readdir(dir);
    if (entry == nullptr) break;
    if (i == stop) place = at, next = entry->d_name;
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && !names.insert(name).second) fail(name + " comes twice");
  }
  const int error = errno;
  if (error == 0 && place >= 0) {
    ::seekdir(dir, place);
    const dirent* const entry = ::readdir(dir);
    if (entry != nullptr && entry->d_name != next) fail("went back to another entry");
  }
  ::closedir(dir);
  if (error != 0) return refused(error);
  if (job_.shared.ending && names.empty()) throw Ended{};  // the folder that was mounted on
  if (names != folder.names) fail(std::to_string(names.size()) + " names, or other ones");
}

void Worker::look() {
  const Entry& entry = one_of(job_.source.entries);
  say("stat /%s", entry.path.c_str());
  struct stat st {};
  if (::lstat(path(entry).c_str(), &st) != 0) return refused(errno);
  switch (entry.kind) {
    case Entry::Kind::folder:
      if (!S_ISDIR(st.st_mode)) fail("it is no folder");
      break;
    case Entry::Kind::link:
      if (!S_ISLNK(st.st_mode)) fail("it is no link");
      break;
    case Entry::Kind::file:
      if (!S_ISREG(st.st_mode) || st.st_nlink != 1) fail("it is no file");
      if (static_cast<std::uint64_t>(st.st_size) != entry.bytes.size())
        fail("its size is " + std::to_string(st.st_size));
      if ((st.st_mode & 0777) != (entry.executable ? 0555U : 0444U)) fail("its mode is another");
      if (static_cast<std::uint64_t>(st.st_blocks) > (entry.bytes.size() + 511) / 512)
        fail("more blocks than bytes");
      break;
  }
}

void Worker::attribute() {
  const Entry& file = one_of(job_.source.files);
  char value[64] = {};
  say("getxattr progress of %s", file.path.c_str());
  const ssize_t n =
      ::getxattr(path(file).c_str(), "user.swarmfs.progress", value, sizeof value - 1);
  if (n < 0) return refused(errno);
  const double progress = std::strtod(value, nullptr);
  if (n != 6 || progress < 0 || progress > 1) fail(std::string("it is ") + value);
}

void Worker::follow() {
  if (job_.source.links.empty()) return;
  const Entry& link = one_of(job_.source.links);
  say("readlink %s", link.path.c_str());
  const ssize_t n = ::readlink(path(link).c_str(), buffer_.data(), buffer_.size());
  if (n < 0) return refused(errno);
  if (std::string_view(buffer_.data(), static_cast<std::size_t>(n)) != link.target)
    fail("it leads elsewhere");
}

void Worker::absent() {
  const std::string name = path(one_of(job_.source.folders)) + "/no such name";
  say("stat %s", name.c_str());
  struct stat st {};
  expect_error(::stat(name.c_str(), &st), ENOENT);
}

void Worker::refuse_writing() {
  const std::string name = path(one_of(job_.source.files));
  say("change %s", name.c_str());
  switch (below(4)) {
    case 0:
      return expect_error(::open(name.c_str(), O_RDWR | O_CLOEXEC), EROFS);
    case 1:
      return expect_error(::truncate(name.c_str(), 0), EROFS);
    case 2:
      return expect_error(::unlink(name.c_str()), EROFS);
    default:
      return expect_error(::access(name.c_str(), W_OK), EROFS);
  }
}

/// Programs of the source end with status 42.
void Worker::execute() {
  if (job_.source.programs.empty()) return;
  const std::string name = path(one_of(job_.source.programs));
  say("execve %s", name.c_str());
  std::string word = name;
  char* const argv[] = {word.data(), nullptr};
  pid_t child = 0;
  posix_spawn_file_actions_t quiet;  // the shell says that its script has gone with the mount
  ::posix_spawn_file_actions_init(&quiet);
  ::posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const int error = ::posix_spawn(&child, name.c_str(), &quiet, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  if (error != 0) return refused(error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 42) return;
  if (job_.shared.ending) throw Ended{};
  fail("ended with " + std::to_string(status));
}

}  // namespace swarmfs::model
