#include "mount/fuse_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

namespace swarmfs::mount {

namespace {

constexpr double kForever = 86400;
/// How old the root's number of torrents may be.
constexpr double kWhileGrowing = 1;
constexpr unsigned kBlockUnit = 4096;
constexpr std::size_t kNameMax = 255;
/// Bytes of a file from which on it pays to open the disk's own file for the kernel: that takes
/// longer than to read a smaller one through us.
constexpr std::uint64_t kLeastPassed = 256 << 10;
/// A READ from this length on is copied for longer than it takes to wake another thread.
constexpr std::uint32_t kMuch = 64 << 10;

using FilePtr = OpenFiles::FilePtr;

FuseBridge& bridge(fuse_req_t req) { return *static_cast<FuseBridge*>(fuse_req_userdata(req)); }

FilePtr& file_of(fuse_file_info* fi) { return *reinterpret_cast<FilePtr*>(fi->fh); }

/// Exceptions must not reach libfuse: `body` has not answered yet when it throws.
template <class Body>
void guarded(fuse_req_t req, Body body) {
  try {
    body();
  } catch (const std::exception&) {
    fuse_reply_err(req, ENOMEM);
  }
}

mode_t type_of(fs::NodeKind kind) {
  switch (kind) {
    case fs::NodeKind::folder:
      return S_IFDIR;
    case fs::NodeKind::file:
      return S_IFREG;
    case fs::NodeKind::symlink:
      return S_IFLNK;
  }
  return 0;
}

struct stat to_stat(const fs::Attributes& a) {
  struct stat st {};
  st.st_ino = a.ino;
  st.st_mode = type_of(a.kind) | a.permissions;
  st.st_nlink = a.links;
  st.st_uid = ::geteuid();
  st.st_gid = ::getegid();
  st.st_size = static_cast<off_t>(a.size);
  st.st_blocks = static_cast<blkcnt_t>(a.blocks);
  st.st_blksize = kBlockUnit;
  st.st_atim.tv_sec = st.st_mtim.tv_sec = st.st_ctim.tv_sec = a.mtime;
  return st;
}

/// How long the kernel may keep these attributes. Of a file that is still arriving it is told when
/// they have changed.
double attribute_timeout(FuseBridge& b, const fs::Attributes& a) {
  if (fs::is_info(a.ino)) return kWhileGrowing;
  if (a.kind != fs::NodeKind::file) return a.final ? kForever : kWhileGrowing;
  if (!a.final) b.watch.give(a);
  return kForever;
}

fuse_entry_param to_entry(FuseBridge& b, const fs::Attributes& a) {
  fuse_entry_param entry{};
  entry.ino = a.ino;
  entry.generation = 1;
  entry.attr = to_stat(a);
  entry.attr_timeout = attribute_timeout(b, a);
  // The hidden folder has names of torrents, which go without the kernel being told there.
  entry.entry_timeout = fs::is_info(a.ino) ? kWhileGrowing : kForever;
  return entry;
}

void init(void* userdata, fuse_conn_info* conn) {
  // Both count READs of all files together: with a limit, readers of a file that is stuck would
  // hold up those of every other.
  conn->max_background = conn->congestion_threshold = 65535;
  conn->max_read = static_cast<FuseBridge*>(userdata)->max_read;
  // With ASYNC_DIO a reader with O_DIRECT waits where not even SIGKILL ends it.
  const unsigned never = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO | FUSE_CAP_SPLICE_READ |
                         FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC;
  const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                          FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_CACHE_SYMLINKS |
                          FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
  conn->want = (conn->want | (conn->capable & wanted)) & ~never;
  static_cast<FuseBridge*>(userdata)->passthrough.negotiate(conn);
}

/// For an inode that answers nothing: of a torrent that was removed, or not of that kind.
int missing(const fs::Tree& tree, fuse_ino_t ino, int otherwise) {
  return tree.attributes(ino) ? otherwise : ESTALE;
}

void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  guarded(req, [&] {
    if (std::strlen(name) > kNameMax) {  // the kernel lets through up to 1,024
      fuse_reply_err(req, ENAMETOOLONG);
      return;
    }
    const auto& tree = bridge(req).tree;
    const auto ino = tree.lookup(parent, name);
    const auto attributes = ino ? tree.attributes(*ino) : std::nullopt;
    if (!attributes) {
      fuse_reply_err(req, ENOENT);
      return;
    }
    const auto entry = to_entry(bridge(req), *attributes);
    fuse_reply_entry(req, &entry);
  });
}

void getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  guarded(req, [&] {
    const auto attributes = bridge(req).tree.attributes(ino);
    if (!attributes) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    const auto st = to_stat(*attributes);
    fuse_reply_attr(req, &st, attribute_timeout(bridge(req), *attributes));
  });
}

void readlink(fuse_req_t req, fuse_ino_t ino) {
  guarded(req, [&] {
    const auto target = bridge(req).tree.link_target(ino);
    if (target) {
      fuse_reply_readlink(req, target->c_str());
    } else {
      fuse_reply_err(req, missing(bridge(req).tree, ino, EINVAL));
    }
  });
}

void opendir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  // Torrents come to and go from the root and the hidden folder; every other stays as it is.
  fi->cache_readdir = fi->keep_cache = ino != fs::kRootIno && !fs::is_info(ino);
  fuse_reply_open(req, fi);
}

/// Entries until `size` bytes are full; with attributes for readdirplus.
void list(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset, bool plus) {
  guarded(req, [&] {
    const auto& tree = bridge(req).tree;
    std::string buffer(size, '\0');
    std::size_t used = 0;
    const auto add = [&](const char* name, fs::Ino child, fs::NodeKind kind, std::uint64_t next) {
      fuse_entry_param entry{};
      entry.attr.st_ino = child;
      entry.attr.st_mode = type_of(kind);
      const bool dots = std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
      if (plus && !dots) {
        const auto attributes = tree.attributes(child);
        if (attributes) entry = to_entry(bridge(req), *attributes);
      }
      char* at = buffer.data() + used;
      const std::size_t room = size - used;
      const auto next_offset = static_cast<off_t>(next);
      const std::size_t needed =
          plus ? fuse_add_direntry_plus(req, at, room, name, &entry, next_offset)
               : fuse_add_direntry(req, at, room, name, &entry.attr, next_offset);
      if (needed > room) return false;
      used += needed;
      return true;
    };
    if (tree.list(ino, static_cast<std::uint64_t>(offset), add)) {
      fuse_reply_buf(req, buffer.data(), used);
    } else {
      fuse_reply_err(req, missing(tree, ino, ENOTDIR));
    }
  });
}

void readdir(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
  list(req, ino, size, offset, false);
}

void readdirplus(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
  list(req, ino, size, offset, true);
}

void forget_handle(FuseBridge& b, FilePtr* file) {
  b.passthrough.remove_handle((*file)->ino());
  b.reads.closed(**file);
  b.files.remove(file);
}

void open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  guarded(req, [&] {
    if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
      fuse_reply_err(req, EROFS);
      return;
    }
    auto& b = bridge(req);
    if (auto info = b.tree.info_file(ino)) {
      b.info.open(req, std::move(*info), *fi);
      return;
    }
    auto target = b.tree.open_target(ino);
    if (!target) {
      fuse_reply_err(req, missing(b.tree, ino, EISDIR));
      return;
    }
    std::call_once(b.opened, [&b] {
      b.turn.pass();
      if (b.on_first_open) b.on_first_open();
    });
    // Nothing of a complete file waits for the network, so that closing it has nothing to say.
    ContentSource* const source = target->source.get();
    const bool complete = source != nullptr && source->bytes_here(target->index) == target->length;
    fi->noflush = complete;
    const auto backing = b.passthrough.add_handle(ino, [&] {
      if (!complete || target->length < kLeastPassed) return Fd();
      b.turn.pass();  // the disk may let us wait
      Fd file = source->open_verified(target->index);
      if (!file.valid()) source->verify_later(target->index);
      return file;
    });
    Run run = complete ? Run{} : b.files.run_of(*target, b.next_handle);
    FilePtr* const file =
        b.files.add(complete ? std::make_shared<OpenFile>(ino, std::move(*target), b.next_handle)
                             : std::make_shared<OpenFile>(ino, std::move(*target), b.next_handle,
                                                          fs::WindowTuning{}, std::move(run)));
    fi->fh = reinterpret_cast<std::uintptr_t>(file);
    int sent = 0;
    if (backing) {
      sent = Passthrough::reply_open(req, fi, *backing);
    } else {
      // Content never changes; without this a second open() would wait for the READs of the first.
      fi->keep_cache = 1;
      sent = fuse_reply_open(req, fi);
    }
    if (sent != 0) forget_handle(b, file);  // nobody waits for it any more
  });
}

void read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* fi) {
  if (InfoFiles::owns(*fi)) {
    bridge(req).info.read(req, *fi, size, offset);
    return;
  }
  const FilePtr& file = file_of(fi);
  const auto begin = static_cast<std::uint64_t>(offset);
  if (begin >= file->length() || size == 0) {
    fuse_reply_buf(req, nullptr, 0);
    return;
  }
  const auto length =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(size, file->length() - begin));
  const bool direct = (fi->flags & O_DIRECT) != 0;
  if (length >= kMuch) bridge(req).turn.pass();
  bridge(req).reads.read({req, file, begin, length, fuse_req_ctx(req)->pid, direct});
}

void flush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  if (InfoFiles::owns(*fi)) {
    fuse_reply_err(req, 0);
    return;
  }
  const FilePtr file = file_of(fi);  // outlives the answer, after which RELEASE may come
  bridge(req).reads.flush(file, fuse_req_ctx(req)->pid, [req] { fuse_reply_err(req, 0); });
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  auto& b = bridge(req);
  if (InfoFiles::owns(*fi)) {
    b.info.release(*fi);
    fuse_reply_err(req, 0);
    return;
  }
  // First the count: once the answer is out, the next open() may come.
  FilePtr* const file = &file_of(fi);
  forget_handle(b, file);
  fuse_reply_err(req, 0);
}

void statfs(fuse_req_t req, fuse_ino_t) {
  const auto totals = bridge(req).tree.totals();
  struct statvfs st {};
  st.f_bsize = st.f_frsize = kBlockUnit;
  st.f_blocks = (totals.bytes + kBlockUnit - 1) / kBlockUnit;
  st.f_files = totals.entries;
  st.f_namemax = kNameMax;
  fuse_reply_statfs(req, &st);
}

/// The size if none is given, else the value if it fits.
void reply_xattr(fuse_req_t req, const std::string& value, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, value.size());
  } else if (value.size() <= size) {
    fuse_reply_buf(req, value.data(), value.size());
  } else {
    fuse_reply_err(req, ERANGE);
  }
}

void getxattr(fuse_req_t req, fuse_ino_t ino, const char* name, std::size_t size) {
  guarded(req, [&] {
    constexpr std::size_t kMaxValue = 64 << 10;  // XATTR_SIZE_MAX
    const auto value = bridge(req).tree.attribute(ino, name);
    if (!value) {
      fuse_reply_err(req, ENODATA);
    } else if (value->size() > kMaxValue) {
      fuse_reply_err(req, E2BIG);
    } else {
      reply_xattr(req, *value, size);
    }
  });
}

void listxattr(fuse_req_t req, fuse_ino_t ino, std::size_t size) {
  guarded(req, [&] {
    std::string names;
    for (const auto& name : bridge(req).tree.attribute_names(ino))
      names.append(name).push_back('\0');
    reply_xattr(req, names, size);
  });
}

template <class... Args>
void read_only(fuse_req_t req, Args...) {
  fuse_reply_err(req, EROFS);
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops ops{};
  ops.init = init;
  ops.lookup = lookup;
  ops.getattr = getattr;
  ops.readlink = readlink;
  ops.opendir = opendir;
  ops.readdir = readdir;
  ops.readdirplus = readdirplus;
  ops.open = open;
  ops.read = read;
  ops.flush = flush;
  ops.release = release;
  ops.statfs = statfs;
  ops.getxattr = getxattr;
  ops.listxattr = listxattr;
  // The mount is read-only, but root can remount it otherwise.
  ops.setattr = read_only;
  ops.mknod = read_only;
  ops.mkdir = read_only;
  ops.unlink = read_only;
  ops.rmdir = read_only;
  ops.symlink = read_only;
  ops.rename = read_only;
  ops.link = read_only;
  ops.create = read_only;
  ops.write = read_only;
  ops.setxattr = read_only;
  ops.removexattr = read_only;
  ops.fallocate = read_only;
  ops.copy_file_range = read_only;
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops ops = make_operations();
  return ops;
}

}  // namespace swarmfs::mount
