#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include "cache/disk.h"

namespace swarmfs::cache {
namespace {

Error error_here(std::string_view what, const fs::path& path) {
  return Error::from_errno(errno, std::string(what) + " " + path.string());
}

class PosixFile final : public DiskFile {
 public:
  PosixFile(Fd fd, fs::path path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read(MutableByteView out, std::uint64_t offset) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error_here("cannot read", path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  bool read_cached(MutableByteView out, std::uint64_t offset) override {
    iovec part{out.data(), out.size()};
    const ssize_t n = ::preadv2(fd_.get(), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    return n >= 0 && static_cast<std::size_t>(n) == out.size();
  }

  Result<> write(std::span<const ByteView> parts, std::uint64_t offset) override {
    std::size_t next = 0;  // first part not fully written
    std::size_t skip = 0;  // bytes of it already written
    while (next < parts.size()) {
      std::array<iovec, IOV_MAX> batch;
      std::size_t count = 0;
      for (std::size_t i = next; i < parts.size() && count < batch.size(); ++i) {
        const ByteView rest = parts[i].subspan(i == next ? skip : 0);
        // iovec has no const form; pwritev only reads.
        batch[count++] = {const_cast<std::uint8_t*>(rest.data()), rest.size()};
      }
      const ssize_t n =
          ::pwritev(fd_.get(), batch.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error_here("cannot write", path_);
      offset += static_cast<std::uint64_t>(n);
      skip += static_cast<std::size_t>(n);
      while (next < parts.size() && skip >= parts[next].size()) skip -= parts[next++].size();
    }
    return {};
  }

  Result<> sync() override {
    if (::fdatasync(fd_.get()) != 0) return error_here("cannot sync", path_);
    return {};
  }

  Result<> sync_filesystem() override {
    if (::syncfs(fd_.get()) != 0) return error_here("cannot sync the filesystem of", path_);
    return {};
  }

  Result<> resize(std::uint64_t length) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(length)) != 0)
      return error_here("cannot set the length of", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return error_here("cannot look at", path_);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Fd duplicate() const override { return Fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)); }

  bool has_data(std::uint64_t offset, std::uint64_t length) override {
    // The position that lseek moves is never used: every read and write names its own.
    const off_t hole = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_HOLE);
    if (hole < 0) return errno != ENXIO;  // past the end; or not supported: there may be data
    return static_cast<std::uint64_t>(hole) >= offset + length;
  }

 private:
  Fd fd_;
  fs::path path_;
};

class PosixLock final : public DiskLock {
 public:
  explicit PosixLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;
};

int open_flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    case OpenMode::update:
      return O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    case OpenMode::create:
      return O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    case OpenMode::folder:
      return O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  }
  return O_RDONLY;
}

class PosixDisk final : public Disk {
 public:
  Result<std::unique_ptr<DiskFile>> open(const fs::path& path, OpenMode mode) override {
    // O_NONBLOCK, so that a FIFO in the way cannot hang us; it means nothing for files.
    Fd fd(::open(path.c_str(), open_flags(mode), 0666));
    if (fd.get() < 0) return error_here("cannot open", path);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return error_here("cannot look at", path);
    if (mode != OpenMode::folder && !S_ISREG(info.st_mode))
      return fail(ErrorKind::bad_input, path.string() + " is not a regular file");
    return std::unique_ptr<DiskFile>(std::make_unique<PosixFile>(std::move(fd), path));
  }

  Result<bool> make_folder(const fs::path& path, unsigned permissions) override {
    if (::mkdir(path.c_str(), permissions) == 0) return true;
    if (errno != EEXIST) return error_here("cannot make folder", path);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return error_here("cannot look at", path);
    if (!S_ISDIR(info.st_mode))
      return fail(ErrorKind::exists, path.string() + " is in the way: it is not a folder");
    return false;
  }

  Result<> sync_folder(const fs::path& path) override {
    const Fd fd(::open(path.c_str(), open_flags(OpenMode::folder)));
    if (fd.get() < 0) return error_here("cannot open folder", path);
    if (::fsync(fd.get()) != 0) return error_here("cannot sync folder", path);
    return {};
  }

  Result<std::vector<std::string>> list(const fs::path& path) override {
    DIR* folder = ::opendir(path.c_str());
    if (folder == nullptr) return error_here("cannot list", path);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(folder);
    return names;
  }

  bool exists(const fs::path& path) override {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
  }

  Result<> remove(const fs::path& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return error_here("cannot remove", path);
    return {};
  }

  Result<> rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return error_here("cannot rename", from);
    return {};
  }

  Result<DiskSpace> space(const fs::path& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0)
      return error_here("cannot ask for the free space of", path);
    const std::uint64_t unit = info.f_frsize;
    return DiskSpace{info.f_bavail * unit, info.f_blocks * unit};
  }

  Result<std::unique_ptr<DiskLock>> lock(const fs::path& path) override {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) return error_here("cannot open lock file", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return error_here("cannot lock", path);
      return fail(ErrorKind::busy, path.parent_path().string() + " is in use by process " +
                                       owner_of(fd.get()) + ": stop it or use another folder");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    // The pid only serves the message above; a disk too full for it must not stop us.
    if (::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
    }
    return std::unique_ptr<DiskLock>(std::make_unique<PosixLock>(std::move(fd)));
  }

 private:
  static std::string owner_of(int fd) {
    std::array<char, 24> text{};
    const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
    const std::string pid(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    const std::string digits = pid.substr(0, pid.find_first_not_of("0123456789"));
    return digits.empty() ? "(unknown)" : digits;
  }
};

}  // namespace

Disk& posix_disk() {
  static PosixDisk disk;
  return disk;
}

}  // namespace swarmfs::cache
