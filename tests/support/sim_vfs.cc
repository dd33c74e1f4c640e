#include "tests/support/sim_vfs.h"

#include <atomic>
#include <cstring>
#include <new>

#include "tests/support/sim_disk.h"

namespace swarmfs::test {
namespace {

/// SQLite allocates it, raw; `state` is ours.
struct SqlFile {
  sqlite3_file base;
  struct State* state;
};

struct State {
  SimDisk& disk;
  fs::path path;
  std::unique_ptr<cache::DiskFile> file;
  bool sync_folder;  // as SQLite's own VFS does for new journals
  bool delete_on_close;
};

State& state_of(sqlite3_file* file) { return *reinterpret_cast<SqlFile*>(file)->state; }

int code_of(const Error& error, int otherwise) {
  return error.kind == ErrorKind::no_space ? SQLITE_FULL : otherwise;
}

int close_file(sqlite3_file* file) {
  State* state = reinterpret_cast<SqlFile*>(file)->state;
  if (state->delete_on_close) (void)state->disk.remove(state->path);
  delete state;
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  const auto wanted = static_cast<std::size_t>(size);
  auto* bytes = static_cast<std::uint8_t*>(out);
  const auto n = state_of(file).file->read({bytes, wanted}, static_cast<std::uint64_t>(offset));
  if (!n) return SQLITE_IOERR_READ;
  if (*n == wanted) return SQLITE_OK;
  std::memset(bytes + *n, 0, wanted - *n);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  const ByteView part(static_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size));
  const auto r =
      state_of(file).file->write(std::span(&part, 1), static_cast<std::uint64_t>(offset));
  return r ? SQLITE_OK : code_of(r.error(), SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 length) {
  const auto r = state_of(file).file->resize(static_cast<std::uint64_t>(length));
  return r ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int sync_file(sqlite3_file* file, int) {
  State& state = state_of(file);
  if (!state.file->sync()) return SQLITE_IOERR_FSYNC;
  if (state.sync_folder) {
    if (!state.disk.sync_folder(state.path.parent_path())) return SQLITE_IOERR_DIR_FSYNC;
    state.sync_folder = false;
  }
  return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  const auto n = state_of(file).file->size();
  if (!n) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*n);
  return SQLITE_OK;
}

int lock_nothing(sqlite3_file*, int) { return SQLITE_OK; }
int reserved_nothing(sqlite3_file*, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}
int control_nothing(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

const sqlite3_io_methods kMethods = {1,
                                     close_file,
                                     read_file,
                                     write_file,
                                     truncate_file,
                                     sync_file,
                                     size_of_file,
                                     lock_nothing,
                                     lock_nothing,
                                     reserved_nothing,
                                     control_nothing,
                                     sector_size,
                                     characteristics,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr};

SimDisk& disk_of(sqlite3_vfs* vfs) { return *static_cast<SimDisk*>(vfs->pAppData); }

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (name == nullptr) return SQLITE_CANTOPEN;  // temporary files are kept in memory
  SimDisk& disk = disk_of(vfs);
  const bool is_new = !disk.exists(name);
  auto opened = disk.open(
      name, (flags & SQLITE_OPEN_CREATE) != 0 ? cache::OpenMode::create : cache::OpenMode::update);
  if (!opened) return SQLITE_CANTOPEN;
  const bool journal = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
  reinterpret_cast<SqlFile*>(file)->state = new State{
      disk, name, std::move(*opened), journal && is_new, (flags & SQLITE_OPEN_DELETEONCLOSE) != 0};
  file->pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int sync_folder) {
  SimDisk& disk = disk_of(vfs);
  if (!disk.exists(name)) return SQLITE_IOERR_DELETE_NOENT;
  if (!disk.remove(name)) return SQLITE_IOERR_DELETE;
  if (sync_folder != 0 && !disk.sync_folder(fs::path(name).parent_path()))
    return SQLITE_IOERR_DIR_FSYNC;
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* name, int, int* there) {
  *there = disk_of(vfs).exists(name) ? 1 : 0;
  return SQLITE_OK;
}

int full_name(sqlite3_vfs*, const char* name, int size, char* out) {
  if (std::strlen(name) >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::strcpy(out, name);
  return SQLITE_OK;
}

int random_bytes(sqlite3_vfs*, int size, char* out) {
  std::memset(out, 0x5a, static_cast<std::size_t>(size));  // runs must repeat exactly
  return size;
}
int sleep_nothing(sqlite3_vfs*, int micros) { return micros; }
int some_time(sqlite3_vfs*, double* days) {
  *days = 2460000.5;
  return SQLITE_OK;
}

}  // namespace

SimVfs::SimVfs(SimDisk& disk) {
  static std::atomic<int> count = 0;
  name_ = "sim" + std::to_string(++count);
  vfs_.iVersion = 1;
  vfs_.szOsFile = sizeof(SqlFile);
  vfs_.mxPathname = 1024;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = &disk;
  vfs_.xOpen = open_file;
  vfs_.xDelete = delete_file;
  vfs_.xAccess = access_file;
  vfs_.xFullPathname = full_name;
  vfs_.xRandomness = random_bytes;
  vfs_.xSleep = sleep_nothing;
  vfs_.xCurrentTime = some_time;
  sqlite3_vfs_register(&vfs_, 0);
}

SimVfs::~SimVfs() { sqlite3_vfs_unregister(&vfs_); }

}  // namespace swarmfs::test
