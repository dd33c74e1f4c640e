// SQLite on the simulated disk: a VFS without shared memory, for one connection at a time.
#pragma once

#include <sqlite3.h>

#include <string>

namespace swarmfs::test {

class SimDisk;

/// Registered with SQLite under a name of its own until destroyed.
struct SimVfs {
  explicit SimVfs(SimDisk& disk);
  ~SimVfs();
  SimVfs(const SimVfs&) = delete;
  SimVfs& operator=(const SimVfs&) = delete;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  sqlite3_vfs vfs_{};
};

}  // namespace swarmfs::test
