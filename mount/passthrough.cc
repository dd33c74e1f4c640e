#include "mount/passthrough.h"

#include <linux/types.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace swarmfs::mount {

namespace {

// From <linux/fuse.h> of 6.9, which Debian 12's headers precede.
struct BackingMap {
  std::int32_t fd;
  std::uint32_t flags;
  std::uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, std::uint32_t);

}  // namespace

std::optional<std::int32_t> Passthrough::add_handle(fs::Ino ino,
                                                    const std::function<Fd()>& verified) {
  const auto join = [&](File& file) {
    ++file.handles;
    if (file.backing) opened_.fetch_add(1, std::memory_order_relaxed);
    return file.backing;
  };
  if (enabled_) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = files_.find(ino); it != files_.end()) return join(it->second);
    }
    // No lock while the disk is asked: other files are opened meanwhile, and maybe this one.
    if (const Fd file = verified(); file.valid()) {
      if (const auto backing = register_backing(file)) {
        const std::lock_guard lock(mutex_);
        const auto [it, added] = files_.try_emplace(ino);
        if (added) {
          it->second.backing = backing;
        } else {
          release_backing(*backing);
        }
        return join(it->second);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  return join(files_[ino]);
}

void Passthrough::remove_handle(fs::Ino ino) {
  const std::lock_guard lock(mutex_);
  const auto it = files_.find(ino);
  if (it == files_.end() || --it->second.handles > 0) return;
  if (it->second.backing) release_backing(*it->second.backing);
  files_.erase(it);
}

std::optional<std::int32_t> Passthrough::register_backing(const Fd& file) {
  BackingMap map{file.get(), 0, 0};
  const int id = ::ioctl(device_, kBackingOpen, &map);
  if (id > 0) return id;
  // Without the privilege no other file will fare better. Anything else is about this file, as
  // when it lies on an overlay: too deep a stack.
  if (errno == EPERM || errno == ENOTTY) enabled_ = false;
  return std::nullopt;
}

void Passthrough::release_backing(std::int32_t id) const {
  auto number = static_cast<std::uint32_t>(id);
  ::ioctl(device_, kBackingClose, &number);
}

}  // namespace swarmfs::mount
