// What FUSE itself costs: a file system that answers from memory and does nothing else.
//
//   fuse_floor SOURCE MOUNTPOINT    as root; until it is unmounted
//
// It shows the folder SOURCE as it is at the start. Names and attributes are kept by the kernel for
// a day, as are pages and listings; files are read from SOURCE. One thread, no library between it
// and the device: what is slower than the disk here is the kernel's part, and no program's.

#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr std::uint64_t kForever = 86400;  // s
constexpr std::size_t kMostRead = 128 << 10;

struct Node {
  std::string path, name;
  struct stat stat {};
  std::vector<std::uint64_t> children;  // node ids
  std::unordered_map<std::string_view, std::uint64_t> by_name;
  int fd = -1;
};

class Floor {
 public:
  Floor(const char* source, int device) : device_(device), buffer_(1 << 20), answer_(1 << 20) {
    nodes_.resize(FUSE_ROOT_ID);  // ids begin there
    add(source, "");
  }

  void serve() {
    while (true) {
      const ssize_t got = ::read(device_, buffer_.data(), buffer_.size());
      if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
      if (got < 0) return;  // unmounted
      const auto& in = *reinterpret_cast<const fuse_in_header*>(buffer_.data());
      answer(in, buffer_.data() + sizeof in);
    }
  }

 private:
  std::uint64_t add(const std::string& path, const std::string& name) {
    const std::uint64_t id = nodes_.size();
    nodes_.emplace_back();
    Node& node = nodes_.back();
    node.path = path;
    node.name = name;
    ::lstat(path.c_str(), &node.stat);
    if (DIR* folder = S_ISDIR(node.stat.st_mode) ? ::opendir(path.c_str()) : nullptr) {
      while (const dirent* entry = ::readdir(folder)) {
        const std::string child = entry->d_name;
        if (child != "." && child != "..") node.children.push_back(add(path + "/" + child, child));
      }
      ::closedir(folder);
    }
    for (const std::uint64_t child : node.children) node.by_name[nodes_[child].name] = child;
    return id;
  }

  fuse_attr attributes(std::uint64_t id) const {
    const struct stat& from = nodes_[id].stat;
    fuse_attr to{};
    to.ino = id;
    to.size = static_cast<std::uint64_t>(from.st_size);
    to.blocks = static_cast<std::uint64_t>(from.st_blocks);
    to.mode = from.st_mode;
    to.nlink = static_cast<std::uint32_t>(from.st_nlink);
    to.blksize = 4096;
    to.mtime = static_cast<std::uint64_t>(from.st_mtime);
    return to;
  }

  fuse_entry_out entry(std::uint64_t id) const {
    fuse_entry_out to{};
    to.nodeid = id;
    to.generation = 1;
    to.entry_valid = to.attr_valid = kForever;
    to.attr = attributes(id);
    return to;
  }

  void reply(const fuse_in_header& in, int error, const void* data = nullptr,
             std::size_t size = 0) {
    fuse_out_header out{};
    out.len = static_cast<std::uint32_t>(sizeof out + size);
    out.error = -error;
    out.unique = in.unique;
    const std::array<iovec, 2> parts{{{&out, sizeof out}, {const_cast<void*>(data), size}}};
    // Nobody may wait for it any more: that is no matter.
    static_cast<void>(::writev(device_, parts.data(), size == 0 ? 1 : 2));
  }

  template <class Out>
  void give(const fuse_in_header& in, const Out& out) {
    reply(in, 0, &out, sizeof out);
  }

  void answer(const fuse_in_header& in, const char* body) {
    switch (in.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_readahead = reinterpret_cast<const fuse_init_in*>(body)->max_readahead;
        out.flags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                    FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;
        out.max_background = out.congestion_threshold = 65535;
        out.max_write = kMostRead;
        out.max_pages = kMostRead / 4096;
        return give(in, out);
      }
      case FUSE_LOOKUP: {
        const auto& names = nodes_[in.nodeid].by_name;
        const auto found = names.find(body);
        return found == names.end() ? reply(in, ENOENT) : give(in, entry(found->second));
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr_valid = kForever;
        out.attr = attributes(in.nodeid);
        return give(in, out);
      }
      case FUSE_OPENDIR:
      case FUSE_OPEN: {
        fuse_open_out out{};
        out.open_flags = FOPEN_KEEP_CACHE;
        out.open_flags |= in.opcode == FUSE_OPENDIR ? FOPEN_CACHE_DIR : FOPEN_NOFLUSH;
        return give(in, out);
      }
      case FUSE_READDIR:
      case FUSE_READDIRPLUS:
        return list(in, *reinterpret_cast<const fuse_read_in*>(body));
      case FUSE_READ:
        return read(in, *reinterpret_cast<const fuse_read_in*>(body));
      case FUSE_RELEASE:  // another handle's next read opens the file again
        if (int& fd = nodes_[in.nodeid].fd; fd >= 0) ::close(std::exchange(fd, -1));
        [[fallthrough]];
      case FUSE_RELEASEDIR:
        return reply(in, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
        return;
      default:
        return reply(in, ENOSYS);
    }
  }

  void list(const fuse_in_header& in, const fuse_read_in& asked) {
    const auto& children = nodes_[in.nodeid].children;
    std::size_t used = 0;
    for (std::size_t i = asked.offset; i < children.size(); ++i) {
      const Node& child = nodes_[children[i]];
      const bool plus = in.opcode == FUSE_READDIRPLUS;
      const std::size_t head = plus ? offsetof(fuse_direntplus, dirent) : 0;
      const std::size_t needed =
          FUSE_DIRENT_ALIGN(head + offsetof(fuse_dirent, name) + child.name.size());
      if (used + needed > std::min<std::size_t>(asked.size, answer_.size())) break;
      char* const at = answer_.data() + used;
      if (plus) {
        const fuse_entry_out out = entry(children[i]);
        std::memcpy(at, &out, sizeof out);
      }
      auto& out = *reinterpret_cast<fuse_dirent*>(at + head);
      out.ino = children[i];
      out.off = i + 1;
      out.namelen = static_cast<std::uint32_t>(child.name.size());
      out.type = (child.stat.st_mode & S_IFMT) >> 12;
      std::memcpy(at + head + offsetof(fuse_dirent, name), child.name.data(), child.name.size());
      used += needed;
    }
    reply(in, 0, answer_.data(), used);
  }

  void read(const fuse_in_header& in, const fuse_read_in& asked) {
    Node& node = nodes_[in.nodeid];
    if (node.fd < 0) node.fd = ::open(node.path.c_str(), O_RDONLY | O_CLOEXEC);
    const std::size_t size = std::min<std::size_t>(asked.size, answer_.size());
    const ssize_t got = ::pread(node.fd, answer_.data(), size, static_cast<off_t>(asked.offset));
    if (got < 0) return reply(in, EIO);
    reply(in, 0, answer_.data(), static_cast<std::size_t>(got));
  }

  const int device_;
  std::deque<Node> nodes_;  // by node id; where they are they stay, for by_name
  std::vector<char> buffer_, answer_;
};

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::fputs("usage: fuse_floor SOURCE MOUNTPOINT\n", stderr);
    return 2;
  }
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  Floor floor(words[1], device);
  const std::string options =
      "fd=" + std::to_string(device) +
      ",rootmode=40000,user_id=0,group_id=0,allow_other,max_read=" + std::to_string(kMostRead);
  if (::mount("fuse_floor", words[2], "fuse", MS_RDONLY | MS_NOSUID | MS_NODEV, options.c_str()) !=
      0) {
    std::perror("fuse_floor: mount");
    return 1;
  }
  floor.serve();
}
