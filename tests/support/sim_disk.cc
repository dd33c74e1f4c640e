#include "tests/support/sim_disk.h"

#include <algorithm>
#include <cerrno>

#include "tests/support/sim_vfs.h"

namespace swarmfs::test {

using cache::OpenMode;

namespace {
Error error_of(int code, const fs::path& path) {
  return Error::from_errno(code, "simulated disk: " + path.string());
}
}  // namespace

class SimFile final : public cache::DiskFile {
 public:
  SimFile(SimDisk& disk, SimDisk::NodePtr node, fs::path path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)) {
    const std::lock_guard lock(disk_.mutex_);
    disk_.most_open_files_ = std::max(disk_.most_open_files_, ++disk_.open_files_);
  }
  ~SimFile() override {
    const std::lock_guard lock(disk_.mutex_);
    --disk_.open_files_;
  }

  Result<std::size_t> read(MutableByteView out, std::uint64_t offset) override {
    if (disk_.fault)
      if (const int code = disk_.fault({SimDisk::OpKind::read, path_.string()}); code != 0)
        return error_of(code, path_);
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.dead_) return error_of(EIO, path_);
    if (offset >= node_->now.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(out.size(), node_->now.size() - offset);
    std::copy_n(node_->now.begin() + static_cast<std::ptrdiff_t>(offset), n, out.begin());
    return n;
  }

  bool read_cached(MutableByteView out, std::uint64_t offset) override {
    if (disk_.caches_nothing) return false;
    const auto n = read(out, offset);
    return n && *n == out.size();
  }

  Result<> write(std::span<const ByteView> parts, std::uint64_t offset) override {
    SimDisk::Change change{true, offset, {}};
    for (const ByteView part : parts) append(change.bytes, part);
    const std::lock_guard lock(disk_.mutex_);
    const bool was_dead = disk_.dead_;
    int code = disk_.before(SimDisk::OpKind::write, path_);
    if (was_dead) return error_of(EIO, path_);
    std::set<std::uint64_t> sectors = node_->sectors;
    for (std::uint64_t at = offset / 512; at * 512 < offset + change.bytes.size(); ++at)
      sectors.insert(at);
    if (disk_.used() + 512 * (sectors.size() - node_->sectors.size()) > disk_.capacity)
      code = ENOSPC;
    // What fails may have been done in part.
    if (code != 0 && !disk_.dead_) change.bytes.resize(change.bytes.size() / 2);
    if (code == 0 || code == EIO) node_->sectors = std::move(sectors);
    if (code != ENOSPC) {
      SimDisk::apply(node_->now, change);
      node_->unsynced.push_back(std::move(change));
    }
    if (code != 0) return error_of(code, path_);
    return {};
  }

  Result<> sync() override {
    const std::lock_guard lock(disk_.mutex_);
    if (const int code = disk_.before(SimDisk::OpKind::sync, path_); code != 0) {
      if (disk_.dead_) return error_of(code, path_);
      node_->unsynced.clear();
      if (!disk_.failed_sync_keeps_cache) node_->now = node_->durable;
      return error_of(code, path_);
    }
    SimDisk::sync_node(*node_);
    return {};
  }

  Result<> sync_filesystem() override {
    const std::lock_guard lock(disk_.mutex_);
    if (const int code = disk_.before(SimDisk::OpKind::sync, path_); code != 0)
      return error_of(code, path_);
    for (auto& [path, name] : disk_.names_) {
      name.erase(name.begin(), name.end() - 1);
      if (name.back()) SimDisk::sync_node(*name.back());
    }
    return {};
  }

  Result<> resize(std::uint64_t length) override {
    SimDisk::Change change{false, length, {}};
    const std::lock_guard lock(disk_.mutex_);
    const bool was_dead = disk_.dead_;
    const int code = disk_.before(SimDisk::OpKind::resize, path_);
    if (was_dead || (code != 0 && !disk_.dead_)) return error_of(code, path_);
    SimDisk::apply(node_->now, change);
    node_->unsynced.push_back(std::move(change));
    if (code != 0) return error_of(code, path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    const std::lock_guard lock(disk_.mutex_);
    if (disk_.dead_) return error_of(EIO, path_);
    return std::uint64_t{node_->now.size()};
  }

  bool has_data(std::uint64_t offset, std::uint64_t length) override {
    const std::lock_guard lock(disk_.mutex_);
    for (std::uint64_t at = offset / 512; at * 512 < offset + length; ++at)
      if (!node_->sectors.contains(at)) return false;
    return true;
  }

 private:
  SimDisk& disk_;
  SimDisk::NodePtr node_;
  fs::path path_;
};

class SimLock final : public cache::DiskLock {
 public:
  SimLock(SimDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  ~SimLock() override {
    const std::lock_guard lock(disk_.mutex_);
    disk_.locked_.erase(path_);
  }

 private:
  SimDisk& disk_;
  std::string path_;
};

SimDisk::SimDisk() {
  auto root = std::make_shared<Node>();
  root->folder = true;
  names_["/"] = {root};
  vfs_ = std::make_unique<SimVfs>(*this);
  vfs_name_ = vfs_->name();
}

SimDisk::~SimDisk() = default;

void SimDisk::apply(Bytes& content, const Change& change) {
  if (!change.is_write) {
    content.resize(change.offset);
    return;
  }
  if (content.size() < change.offset + change.bytes.size())
    content.resize(change.offset + change.bytes.size());
  std::ranges::copy(change.bytes, content.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void SimDisk::sync_node(Node& node) {
  for (const Change& change : node.unsynced) apply(node.durable, change);
  node.unsynced.clear();
}

Bytes SimDisk::crashed(const Node& node, CrashStyle style, std::mt19937_64& rng) const {
  if (style == CrashStyle::drop_all) return node.durable;
  Bytes content = node.durable;
  if (style == CrashStyle::keep_all || style == CrashStyle::in_order) {
    const std::size_t count =
        style == CrashStyle::keep_all ? node.unsynced.size() : rng() % (node.unsynced.size() + 1);
    for (std::size_t i = 0; i < count; ++i) {
      Change change = node.unsynced[i];
      const bool torn = style == CrashStyle::in_order && i + 1 == count && change.is_write;
      if (torn) change.bytes.resize(std::min<std::size_t>(change.bytes.size(), 512 * (rng() % 65)));
      apply(content, change);
    }
    return content;
  }
  // Every sector in any version it had; the length too.
  const std::size_t unit = style == CrashStyle::mixed_512 ? 512 : 4096;
  std::map<std::size_t, std::vector<Bytes>> versions;
  std::vector<std::size_t> lengths{content.size()};
  const auto note = [&](std::size_t from, std::size_t to) {
    for (std::size_t at = from / unit; at * unit < to; ++at) {
      Bytes sector(unit);
      for (std::size_t i = 0; i < unit && at * unit + i < content.size(); ++i)
        sector[i] = content[at * unit + i];
      versions[at].push_back(std::move(sector));
    }
  };
  for (const Change& change : node.unsynced) {
    const std::size_t from =
        change.is_write ? change.offset : std::min<std::size_t>(change.offset, content.size());
    const std::size_t to = change.is_write ? change.offset + change.bytes.size() : content.size();
    for (std::size_t at = from / unit; at * unit < to; ++at)
      if (!versions.contains(at)) note(at * unit, at * unit + 1);
    apply(content, change);
    note(from, to);
    lengths.push_back(content.size());
  }
  const std::size_t length = lengths[rng() % lengths.size()];
  Bytes found = node.durable;
  found.resize(std::max(content.size(), found.size()) + unit);
  for (const auto& [at, choices] : versions) {
    const Bytes& sector = choices[rng() % choices.size()];
    if (found.size() < (at + 1) * unit) found.resize((at + 1) * unit);
    std::ranges::copy(sector, found.begin() + static_cast<std::ptrdiff_t>(at * unit));
  }
  found.resize(length);
  return found;
}

std::unique_ptr<SimDisk> SimDisk::after_crash(CrashStyle style, std::uint64_t seed) const {
  std::mt19937_64 rng(seed);
  const std::lock_guard lock(mutex_);
  auto disk = std::make_unique<SimDisk>();
  disk->names_.clear();
  std::map<Node*, NodePtr> copies;
  for (const auto& [path, name] : names_) {
    std::size_t version = 0;
    if (style == CrashStyle::keep_all) version = name.size() - 1;
    if (style != CrashStyle::keep_all && style != CrashStyle::drop_all)
      version = rng() % name.size();
    const NodePtr& node = name[version];
    const std::string parent = fs::path(path).parent_path().string();
    if (!node || (path != "/" && !disk->names_.contains(parent))) continue;
    NodePtr& copy = copies[node.get()];
    if (!copy) {
      copy = std::make_shared<Node>();
      copy->folder = node->folder;
      copy->durable = crashed(*node, style, rng);
      copy->now = copy->durable;
      copy->sectors = node->sectors;
    }
    disk->names_[path] = {copy};
  }
  return disk;
}

void SimDisk::flip(const fs::path& path, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const NodePtr node = find(path);
  if (!node) return;
  for (Bytes* content : {&node->now, &node->durable})
    if (offset < content->size()) (*content)[offset] ^= 0x40;
}

Bytes SimDisk::content(const fs::path& path) const {
  const std::lock_guard lock(mutex_);
  const NodePtr node = find(path);
  return node ? node->now : Bytes();
}

void SimDisk::replace(const fs::path& path, Bytes content) {
  const std::lock_guard lock(mutex_);
  auto node = std::make_shared<Node>();
  node->now = content;
  node->durable = std::move(content);
  for (std::uint64_t at = 0; at * 512 < node->now.size(); ++at) node->sectors.insert(at);
  names_[path.string()] = {node};
}

SimDisk::NodePtr SimDisk::find(const fs::path& path) const {
  const auto it = names_.find(path.string());
  return it == names_.end() ? nullptr : it->second.back();
}

void SimDisk::set_name(const fs::path& path, NodePtr node) {
  Name& name = names_[path.string()];
  if (name.empty()) name.push_back(nullptr);
  name.push_back(std::move(node));
}

int SimDisk::before(OpKind kind, const fs::path& path) {
  if (dead_) return EIO;
  ++operations_;
  if (operations_ == die_at_) {
    dead_ = true;
    return EIO;
  }
  return fault ? fault({kind, path.string()}) : 0;
}

std::uint64_t SimDisk::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, name] : names_)
    if (name.back()) bytes += 512 * name.back()->sectors.size();
  return bytes;
}

Result<std::unique_ptr<cache::DiskFile>> SimDisk::open(const fs::path& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (dead_) return error_of(EIO, path);
  NodePtr node = find(path);
  if (!node && mode == OpenMode::create) {
    if (!find(path.parent_path())) return error_of(ENOENT, path);
    const int code = before(OpKind::make, path);
    if (code != 0 && !dead_) return error_of(code, path);
    node = std::make_shared<Node>();
    set_name(path, node);
    if (code != 0) return error_of(code, path);
  }
  if (!node) return error_of(ENOENT, path);
  if (node->folder != (mode == OpenMode::folder)) return error_of(EISDIR, path);
  return std::unique_ptr<cache::DiskFile>(std::make_unique<SimFile>(*this, node, path));
}

Result<bool> SimDisk::make_folder(const fs::path& path, unsigned) {
  const std::lock_guard lock(mutex_);
  if (dead_) return error_of(EIO, path);
  if (const NodePtr node = find(path)) {
    if (node->folder) return false;
    return error_of(EEXIST, path);
  }
  if (!find(path.parent_path())) return error_of(ENOENT, path);
  const int code = before(OpKind::make, path);
  if (code != 0 && !dead_) return error_of(code, path);
  auto node = std::make_shared<Node>();
  node->folder = true;
  set_name(path, node);
  if (code != 0) return error_of(code, path);
  return true;
}

Result<> SimDisk::sync_folder(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  if (const int code = before(OpKind::sync_folder, path); code != 0) return error_of(code, path);
  for (auto& [name_path, name] : names_)
    if (fs::path(name_path).parent_path() == path) name.erase(name.begin(), name.end() - 1);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  if (dead_) return error_of(EIO, path);
  std::vector<std::string> found;
  for (const auto& [name_path, name] : names_)
    if (name.back() && name_path != "/" && fs::path(name_path).parent_path() == path)
      found.push_back(fs::path(name_path).filename().string());
  return found;
}

bool SimDisk::exists(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  return find(path) != nullptr;
}

Result<> SimDisk::remove(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  if (dead_) return error_of(EIO, path);
  if (!find(path)) return {};
  const int code = before(OpKind::remove, path);
  if (code == 0 || dead_) set_name(path, nullptr);
  if (code != 0) return error_of(code, path);
  return {};
}

Result<> SimDisk::rename(const fs::path& from, const fs::path& to) {
  const std::lock_guard lock(mutex_);
  if (dead_) return error_of(EIO, from);
  const NodePtr node = find(from);
  if (!node) return error_of(ENOENT, from);
  const int code = before(OpKind::rename, from);
  if (code == 0 || dead_) {
    set_name(to, node);
    set_name(from, nullptr);
  }
  if (code != 0) return error_of(code, from);
  return {};
}

Result<cache::DiskSpace> SimDisk::space(const fs::path&) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t total = std::min<std::uint64_t>(capacity, 1ULL << 40);
  return cache::DiskSpace{total - std::min(total, used()), total};
}

Result<std::unique_ptr<cache::DiskLock>> SimDisk::lock(const fs::path& path) {
  const std::lock_guard guard(mutex_);
  if (dead_) return error_of(EIO, path);
  if (!locked_.insert(path.string()).second)
    return fail(ErrorKind::busy, path.string() + " is locked");
  return std::unique_ptr<cache::DiskLock>(std::make_unique<SimLock>(*this, path.string()));
}

}  // namespace swarmfs::test
