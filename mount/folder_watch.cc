#include "mount/folder_watch.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

namespace swarmfs::mount {

namespace {

using namespace std::chrono_literals;

/// How long what went may take to come back under another or the same name.
constexpr Duration kRenameTime = 150ms;
constexpr int kRetryMs = 1000;

bool counts(std::string_view name) {
  const auto ends_with = [&](std::string_view suffix) {
    return name.size() > suffix.size() && name.ends_with(suffix);
  };
  return !name.starts_with('.') && (ends_with(".torrent") || ends_with(".magnet"));
}

std::int64_t nanoseconds(const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

}  // namespace

FolderWatch::FolderWatch(std::string folder, FolderEvents events)
    : folder_(std::move(folder)), events_(std::move(events)), wake_(::eventfd(0, EFD_CLOEXEC)) {}

Result<std::unique_ptr<FolderWatch>> FolderWatch::start(const std::string& folder,
                                                        FolderEvents events) {
  std::unique_ptr<FolderWatch> watch(new FolderWatch(folder, std::move(events)));
  if (auto begun = watch->begin(); !begun) return begun.error();
  watch->scan();
  watch->thread_ =
      std::jthread([raw = watch.get()](const std::stop_token& stop) { raw->run(stop); });
  return watch;
}

FolderWatch::~FolderWatch() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;  // cannot fail on an eventfd
}

Result<> FolderWatch::begin() {
  inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::uint32_t what = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (!inotify_.valid() || ::inotify_add_watch(inotify_.get(), folder_.c_str(), what) < 0) {
    const int error = errno;
    inotify_ = Fd();
    return Error::from_errno(error, "cannot watch the folder " + folder_);
  }
  watching_ = true;
  return {};
}

void FolderWatch::rescan() {
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;
}

void FolderWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd fds[] = {{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};
    int wait_ms = watching_ ? -1 : kRetryMs;
    if (!missing_.empty()) {
      const auto left = missing_since_ + kRenameTime - std::chrono::steady_clock::now();
      wait_ms = std::max(0, static_cast<int>(left / 1ms) + 1);
    }
    if (::poll(fds, watching_ ? 2 : 1, wait_ms) < 0 && errno != EINTR) return;
    if (stop.stop_requested()) return;
    if ((fds[0].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      if (::read(wake_.get(), &count, sizeof count) > 0) scan_due_ = true;
    }
    if (watching_ && (fds[1].revents & POLLIN) != 0) read_events();
    if (!watching_ && begin()) scan_due_ = true;
    if (std::exchange(scan_due_, false)) scan();
    if (!missing_.empty() && std::chrono::steady_clock::now() >= missing_since_ + kRenameTime)
      tell_gone();
  }
}

void FolderWatch::read_events() {
  alignas(inotify_event) char buffer[16 << 10];
  while (true) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
    if (size <= 0) return;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) scan_due_ = true;
      if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
        // Another folder may be there under the name now, or soon.
        watching_ = false;
        inotify_ = Fd();
        scan_due_ = true;
        if (auto again = begin(); !again) events_.lost(again.error());
        return;
      }
      if (event->len > 0 && counts(event->name))
        look_at(event->name, (event->mask & IN_CREATE) == 0);
    }
  }
}

void FolderWatch::scan() {
  std::set<std::string> there;
  if (DIR* folder = ::opendir(folder_.c_str()); folder != nullptr) {
    while (const dirent* entry = ::readdir(folder))
      if (counts(entry->d_name)) there.insert(entry->d_name);
    ::closedir(folder);
  }
  for (const std::string& name : there) look_at(name, true);
  for (const auto& [name, stamp] : known_)
    if (!there.contains(name)) {
      if (missing_.empty()) missing_since_ = std::chrono::steady_clock::now();
      missing_.insert(name);
    }
}

/// `closed`: not just created, to be written by somebody yet.
void FolderWatch::look_at(const std::string& name, bool closed) {
  const std::string path = folder_ + "/" + name;
  struct stat st {};
  struct stat link {};
  const bool there =
      ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::lstat(path.c_str(), &link) == 0;
  if (!there) {
    if (!known_.contains(name)) return;
    if (missing_.empty()) missing_since_ = std::chrono::steady_clock::now();
    missing_.insert(name);
    return;
  }
  missing_.erase(name);
  // A link is there whole when it is made, and nobody closes it.
  if (!closed && !S_ISLNK(link.st_mode) && st.st_nlink < 2) return;
  const Stamp stamp{st.st_ino, st.st_size, nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
  const auto [it, added] = known_.try_emplace(name, stamp);
  if (!added && it->second == stamp) return;
  it->second = stamp;
  events_.there(path);
}

void FolderWatch::tell_gone() {
  for (const std::string& name : std::exchange(missing_, {})) {
    const std::string path = folder_ + "/" + name;
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) {
      look_at(name, true);
    } else {
      known_.erase(name);
      events_.gone(path);
    }
  }
}

}  // namespace swarmfs::mount
