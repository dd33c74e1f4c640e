// Looks at a mount as many programs at once do, and prints what it saw; judges nothing.
//
//   mount_probe crowd FILE FIRST COUNT STRIDE
//                                          COUNT threads read 4 KiB each, STRIDE bytes apart from
//                                          byte FIRST on. Prints "<errno> <threads>" for each
//                                          outcome (0: bytes) when all have ended.
//   mount_probe metadata FOLDER NAME N     N rounds of each operation that needs no content, on
//                                          FOLDER and the file NAME in it. Prints for each, and for
//                                          "all" of them: "<operation> <p50> <p99> <p99.9> <max>"
//                                          in microseconds.
//   mount_probe stream FILE                Reads FILE to its end. Prints "<MB/s>".
//
// A program of its own, never built with sanitizers: thousands of threads cannot be started in a
// process that was forked from one with threads.
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Reader {
  pthread_t thread{};
  int fd = -1;
  off_t offset = 0;
  int outcome = 0;
};

void* read_page(void* argument) {
  Reader& reader = *static_cast<Reader*>(argument);
  char page[4096];
  if (::pread(reader.fd, page, sizeof page, reader.offset) < 0) reader.outcome = errno;
  return nullptr;
}

int crowd(const char* path, unsigned long first, unsigned long count, unsigned long stride) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::perror(path), 1;
  std::vector<Reader> readers(count);
  pthread_attr_t small;
  ::pthread_attr_init(&small);
  ::pthread_attr_setstacksize(&small, 64 << 10);
  for (std::size_t i = 0; i < readers.size(); ++i) {
    readers[i].fd = fd;
    readers[i].offset = static_cast<off_t>(first + i * stride);
    if (::pthread_create(&readers[i].thread, &small, read_page, &readers[i]) != 0)
      return std::fprintf(stderr, "mount_probe: cannot start %lu threads\n", count), 1;
  }
  std::map<int, unsigned> outcomes;
  for (Reader& reader : readers) {
    ::pthread_join(reader.thread, nullptr);
    ++outcomes[reader.outcome];
  }
  for (const auto& [error, threads] : outcomes) std::printf("%d %u\n", error, threads);
  return 0;
}

void print_quantiles(const char* name, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double share) {
    const auto i = static_cast<std::size_t>(share * static_cast<double>(us.size()));
    return us[std::min(i, us.size() - 1)];
  };
  std::printf("%s %.0f %.0f %.0f %.0f\n", name, at(0.5), at(0.99), at(0.999), us.back());
}

bool list(const char* folder) {
  DIR* dir = ::opendir(folder);
  if (dir == nullptr) return false;
  while (::readdir(dir) != nullptr) {
  }
  return ::closedir(dir) == 0;
}

int metadata(const std::string& folder, const std::string& name, unsigned long rounds) {
  const std::string file = folder + "/" + name;
  const std::string absent = folder + "/no such name";
  struct stat st {};
  struct statx stx {};
  struct statvfs fs {};
  char value[4096];
  int fd = -1;
  // Those that the kernel would answer from what it remembers are made to ask.
  const std::pair<const char*, std::function<bool()>> operations[] = {
      {"lookup", [&] { return ::stat(absent.c_str(), &st) != 0 && errno == ENOENT; }},
      {"getattr",
       [&] {
         return ::statx(AT_FDCWD, file.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) == 0;
       }},
      {"readdir", [&] { return list(folder.c_str()); }},
      {"statfs", [&] { return ::statvfs(folder.c_str(), &fs) == 0; }},
      {"getxattr",
       [&] { return ::getxattr(file.c_str(), "user.swarmfs.progress", value, sizeof value) > 0; }},
      {"listxattr", [&] { return ::listxattr(file.c_str(), value, sizeof value) > 0; }},
      {"open", [&] { return (fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC)) >= 0; }},
      {"close", [&] { return ::close(fd) == 0; }},
  };
  std::vector<double> all;
  std::map<std::string, std::vector<double>> each;
  for (unsigned long i = 0; i < rounds; ++i) {
    for (const auto& [operation, run] : operations) {
      const auto start = Clock::now();
      if (!run()) return std::fprintf(stderr, "%s: %s\n", operation, std::strerror(errno)), 1;
      const double us = us_since(start);
      all.push_back(us);
      each[operation].push_back(us);
    }
  }
  for (const auto& [operation, us] : each) print_quantiles(operation.c_str(), us);
  print_quantiles("all", std::move(all));
  return 0;
}

int stream(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::perror(path), 1;
  std::vector<char> buffer(256 << 10);
  const auto start = Clock::now();
  double bytes = 0;
  ssize_t n = 0;
  while ((n = ::read(fd, buffer.data(), buffer.size())) > 0) bytes += static_cast<double>(n);
  if (n < 0) return std::perror(path), 1;
  std::printf("%.1f\n", bytes / us_since(start));
  return 0;
}

unsigned long number(const char* text) { return std::strtoul(text, nullptr, 10); }

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "crowd" && argc == 6)
    return crowd(argv[2], number(argv[3]), number(argv[4]), number(argv[5]));
  if (what == "metadata" && argc == 5) return metadata(argv[2], argv[3], number(argv[4]));
  if (what == "stream" && argc == 3) return stream(argv[2]);
  std::fprintf(stderr, "usage: mount_probe crowd|metadata|stream ...\n");
  return 2;
}
