// A mount of a fake torrent for tests with the real kernel, and readers in processes of their own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mount/fuse_session.h"
#include "tests/support/fake_source.h"

namespace swarmfs::test {

/// A new folder under /tmp, removed at the end if empty by then.
class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/swarmfs-test-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
  }
  ~TempFolder() { ::rmdir(path_.c_str()); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// "/t/<name>" for each file of these lengths, file i called names[i].
class FakeMount {
 public:
  using Files = std::vector<std::pair<std::string, std::uint64_t>>;

  explicit FakeMount(const Files& files, mount::FuseOptions options = {}) : tree(1'000'000) {
    std::vector<std::uint64_t> lengths;
    fs::TorrentSpec spec;
    spec.name = "t";
    for (const auto& [name, length] : files) {
      fs::FileSpec file;
      file.path = {name};
      file.length = length;
      file.index = FileIndex{static_cast<std::uint32_t>(lengths.size())};
      spec.files.push_back(std::move(file));
      lengths.push_back(length);
    }
    source = std::make_shared<FakeSource>(lengths);
    spec.source = source;
    EXPECT_TRUE(tree.add_torrent(std::move(spec)));
    auto mounted = mount::FuseSession::mount(folder.path(), tree, options);
    if (!mounted) {
      ADD_FAILURE() << mounted.error().message;
      return;
    }
    session = std::move(*mounted);
    session->start();
  }

  std::string path(const std::string& name) const { return folder.path() + "/t/" + name; }
  /// Makes the kernel forget the bytes of a file that nobody uses.
  void drop_pages(const std::string& name) const {
    const int fd = ::open(path(name).c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    ::close(fd);
  }

  TempFolder folder;
  fs::Tree tree;
  std::shared_ptr<FakeSource> source;
  std::unique_ptr<mount::FuseSession> session;
};

/// A process that runs `body` and exits with what it returns, 0 to 255.
class Child {
 public:
  explicit Child(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ == 0) ::_exit(body());
  }
  ~Child() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      static_cast<void>(wait());
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void kill(int signal) const { ::kill(pid_, signal); }
  /// The wait status, or nothing if it has not ended in time.
  std::optional<int> wait(Duration at_most = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    int status = 0;
    do {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        reaped_ = true;
        return status;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } while (std::chrono::steady_clock::now() < deadline);
    return std::nullopt;
  }
  /// Exit status, -1 if killed by a signal, -2 if it has not ended in time.
  int exit_code(Duration at_most = std::chrono::seconds(10)) {
    const auto status = wait(at_most);
    if (!status) return -2;
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }

 private:
  pid_t pid_;
  bool reaped_ = false;
};

/// For reads with O_DIRECT by a forked child, which must not allocate: another thread may have held
/// the allocator's lock when it was forked.
inline std::uint8_t* direct_buffer() {
  alignas(4096) static std::uint8_t buffer[256 << 10];
  return buffer;
}

/// 0 if [offset, offset + length) of the path is the pattern of `file`, else the errno, or 255 for
/// other bytes. Uses system calls only: fit for a forked child.
inline int read_and_compare(const char* path, FileIndex file, off_t offset, std::size_t length) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  static thread_local char buffer[256 << 10];
  int result = 0;
  while (length > 0) {
    const ssize_t n = ::pread(fd, buffer, std::min(length, sizeof buffer), offset);
    if (n <= 0) {
      result = n < 0 ? errno : 254;
      break;
    }
    for (ssize_t i = 0; i < n; ++i) {
      if (static_cast<std::uint8_t>(buffer[i]) !=
          Pattern::at(file, static_cast<std::uint64_t>(offset + i))) {
        ::close(fd);
        return 255;
      }
    }
    offset += n;
    length -= static_cast<std::size_t>(n);
  }
  ::close(fd);
  return result;
}

}  // namespace swarmfs::test
